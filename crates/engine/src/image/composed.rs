//! Components that are composed of others, which have a memory each: the largest part that can gives its own
//! up, and the others stay as they are. So all that have the same parts share their code, whatever that one's
//! memory begins as.

use std::cmp::Reverse;
use std::ops::Range;

use wasm_encoder::Encode as _;
use wasmparser::{
    Chunk, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Parser, Payload,
};

use super::split::{Halves, Suited, Unsuited, halves};

/// The number of the section of a component within another.
const COMPONENT: u8 = 4;

/// A component within another.
struct Part {
    /// Where its section stands.
    section: Range<usize>,
    /// Where it stands itself.
    content: Range<usize>,
    /// How many instances of it there are.
    instances: usize,
}

/// Takes the memory of one part out of a component that is composed of several.
pub(super) fn split(component: &[u8]) -> Suited<Halves<'_>> {
    let parts = Part::all(component)?;
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| Reverse(parts[*at].content.len()));
    for at in order {
        let part = &parts[at];
        let content = |part: &Part| &component[part.content.clone()];
        let Ok(mut halves) = halves(content(part)) else { continue };
        if part.instances != 1 {
            return Err(Unsuited("its largest part is made more than once"));
        }
        let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, other) in others {
            if has_empty_memory(content(other))? {
                return Err(Unsuited("another of its parts begins with an empty memory"));
            }
        }
        let mut base = component[..part.section.start].to_vec();
        base.push(COMPONENT);
        halves.base.encode(&mut base);
        base.extend_from_slice(&component[part.section.end..]);
        halves.base = base;
        return Ok(halves);
    }
    Err(Unsuited("none of its parts is of the usual form"))
}

impl Part {
    /// The components within a component that has no modules of its own.
    fn all(component: &[u8]) -> Suited<Vec<Part>> {
        let damaged = Unsuited("it is damaged");
        let mut parser = Parser::new(0);
        let mut parts = Vec::new();
        // Of each component that may be instantiated, which part it is.
        let mut known = Vec::new();
        let mut at = 0;
        loop {
            let Chunk::Parsed { consumed, payload } = parser.parse(&component[at..], true)? else {
                return Err(damaged);
            };
            let start = at;
            at += consumed;
            match payload {
                Payload::ModuleSection { .. } => {
                    return Err(Unsuited("it is composed, and has modules of its own"));
                }
                Payload::ComponentSection { unchecked_range: content, .. } => {
                    component.get(content.clone()).ok_or(damaged)?;
                    at = content.end;
                    known.push(Some(parts.len()));
                    parts.push(Part { section: start..at, content, instances: 0 });
                }
                Payload::ComponentInstanceSection(section) => {
                    for instance in section {
                        let ComponentInstance::Instantiate { component_index, .. } = instance?
                        else {
                            continue;
                        };
                        let known = known.get(component_index as usize).ok_or(damaged)?;
                        if let Some(part) = known {
                            parts[*part].instances += 1;
                        }
                    }
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                            known.push(None);
                        }
                    }
                }
                Payload::ComponentAliasSection(section) => {
                    for alias in section {
                        let of_component = matches!(
                            alias?,
                            ComponentAlias::InstanceExport {
                                kind: ComponentExternalKind::Component,
                                ..
                            } | ComponentAlias::Outer {
                                kind: ComponentOuterAliasKind::Component,
                                ..
                            }
                        );
                        if of_component {
                            known.push(None);
                        }
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        // Others could make instances of it.
                        if export?.kind == ComponentExternalKind::Component {
                            return Err(Unsuited("it exports a component"));
                        }
                    }
                }
                Payload::End(_) => return Ok(parts),
                _ => {}
            }
        }
    }
}

/// Whether a memory of a component begins with no pages, as that of a base does.
fn has_empty_memory(component: &[u8]) -> Suited<bool> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::MemorySection(memories) = payload? {
            for memory in memories {
                if memory?.initial == 0 {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
