//! What a check finds, and how it is told to machines.

use dayfly_capabilities::{Linkers, refuse};
use dayfly_engine::{Engine, Origin};
use dayfly_model::HandlerShape;
use serde_json::{Value, json};

use super::graph::Graph;

/// What was found in an app.
#[derive(Default)]
pub(super) struct Facts {
    /// Its name and version; empty when its manifest is not valid.
    pub(super) name: String,
    pub(super) version: String,
    /// The manifest, or the bare module.
    pub(super) path: String,
    /// What wakes which component, in the manifest's order.
    pub(super) triggers: Vec<(String, String)>,
    /// What leads where.
    pub(super) graph: Graph,
    pub(super) components: Vec<ComponentFacts>,
    /// What keeps it from running.
    pub(super) problems: Vec<Problem>,
    /// What may surprise.
    pub(super) warnings: Vec<String>,
}

/// What was found in one component.
pub(super) struct ComponentFacts {
    pub(super) id: String,
    pub(super) source: String,
    /// The source's size.
    pub(super) bytes: usize,
    pub(super) shape: Option<HandlerShape>,
    pub(super) imports: Vec<Import>,
    pub(super) exports: Vec<String>,
    /// A component's bytes, which a core module has been made into.
    pub(super) wasm: Vec<u8>,
    pub(super) compiled: Option<Compiled>,
}

/// What one import leads to.
pub(super) struct Import {
    pub(super) name: String,
    /// The capability that serves it.
    pub(super) capability: Option<&'static str>,
    /// The key of the component's table that grants it, where one does.
    pub(super) key: Option<&'static str>,
    pub(super) access: Access,
}

/// What a guest has of an import.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Every guest has it.
    Always,
    /// The manifest grants it.
    Granted,
    /// It is served, and the manifest does not grant it: calls fail.
    Denied,
    /// This version does not serve it: calls fail.
    Refused,
    /// It has only types, which nothing has to serve.
    Types,
    /// Nothing can stand for it: the component cannot run.
    Missing,
}

impl Access {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Types => "types",
            Self::Missing => "missing",
        }
    }
}

/// Something that cannot run.
pub(super) struct Problem {
    pub(super) component: Option<String>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What came of compiling a component.
pub(super) struct Compiled {
    pub(super) artifact_bytes: u64,
    pub(super) origin: Origin,
}

impl Facts {
    pub(super) fn problem(
        &mut self,
        component: Option<&str>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let component = component.map(str::to_owned);
        self.problems.push(Problem { component, message: message.into(), hint });
    }

    /// Compiles and links each component that was found, which also tells interfaces of types
    /// from those with functions.
    pub(super) fn compile(&mut self, engine: &Engine) {
        let linkers = Linkers::default();
        for component in &mut self.components {
            let failed = |message: String| Problem {
                component: Some(component.id.clone()),
                message,
                hint: None,
            };
            let code = match engine.load(&component.wasm) {
                Ok(code) => code,
                Err(error) => {
                    self.problems.push(failed(chain(&error)));
                    continue;
                }
            };
            component.compiled =
                Some(Compiled { artifact_bytes: code.artifact_bytes(), origin: code.origin() });
            let unserved = refuse::unserved(code.component(), code.component().engine());
            for import in &mut component.imports {
                if import.access == Access::Refused && !unserved.contains(&import.name) {
                    import.access = Access::Types;
                }
            }
            if let Err(error) = linkers.link(&code) {
                self.problems.push(failed(format!("failed to link: {error:#}")));
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        let triggers =
            self.triggers.iter().map(|(event, target)| json!({"on": event, "target": target}));
        let problems = self.problems.iter().map(|problem| {
            json!({
                "component": problem.component,
                "message": problem.message,
                "hint": problem.hint,
            })
        });
        json!({
            "ok": self.problems.is_empty(),
            "app": self.name,
            "version": self.version,
            "path": self.path,
            "triggers": triggers.collect::<Vec<_>>(),
            "components": self.components.iter().map(ComponentFacts::json).collect::<Vec<_>>(),
            "problems": problems.collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }
}

impl ComponentFacts {
    fn json(&self) -> Value {
        let imports = self.imports.iter().map(|import| {
            json!({
                "name": import.name,
                "capability": import.capability,
                "key": import.key,
                "access": import.access.word(),
            })
        });
        json!({
            "id": self.id,
            "source": self.source,
            "bytes": self.bytes,
            "shape": self.shape.map(HandlerShape::interface),
            "imports": imports.collect::<Vec<_>>(),
            "exports": self.exports,
            "artifact_bytes": self.compiled.as_ref().map(|compiled| compiled.artifact_bytes),
        })
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let source_text = source.to_string();
        // A transparent error repeats its source.
        if !text.ends_with(&source_text) {
            text = format!("{text}: {source_text}");
        }
        cause = source.source();
    }
    text
}
