//! One core module: what of it `wasm-opt` gets to see, how that is called, and what has to come back.

use std::borrow::Cow;

use dayfly_model::Goal;
use wasmparser::{BinaryReaderError, Payload};

use super::features;
use crate::sections::sections;

/// What becomes of what serves only people who look into a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debug {
    /// Names of functions and of what made it stay. What points into code, as DWARF does, goes: it would
    /// be false.
    Kept,
    /// All of it goes.
    Stripped,
}

/// By what component tools connect a module with others. What has it consists of such connections.
const CONNECTIONS: &str = "$imports";

impl Debug {
    /// Whether a custom section stays.
    pub(super) fn keeps(self, section: &str) -> bool {
        let points_into_code = section.starts_with(".debug_")
            || section.starts_with("reloc.")
            || matches!(section, "external_debug_info" | "sourceMappingURL" | "linking");
        let serves_people = matches!(
            section,
            "name" | "component-name" | "producers" | "target_features" | "build_id"
        );
        !points_into_code && (self == Self::Kept || !serves_people)
    }
}

/// A module taken apart: what `wasm-opt` may change, and what is put to the outcome as it was.
pub(super) struct Parts<'a> {
    /// A module.
    pub(super) code: Cow<'a, [u8]>,
    /// Custom sections that have to come first, and the others.
    first: Vec<&'a [u8]>,
    last: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Takes a module apart.
    pub(super) fn of(module: &'a [u8], debug: Debug) -> Result<Self, BinaryReaderError> {
        let mut code = module.get(..8).unwrap_or(module).to_vec();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for section in sections(module) {
            let section = section?;
            let bytes = &module[section.range];
            match section.payload {
                Payload::Version { .. } | Payload::End(_) => {}
                Payload::CustomSection(custom) if custom.name() == "name" => {
                    if debug.keeps("name") {
                        code.extend_from_slice(bytes);
                    }
                }
                Payload::CustomSection(custom) if !debug.keeps(custom.name()) => {}
                Payload::CustomSection(custom) if custom.name().starts_with("dylink") => {
                    first.push(bytes);
                }
                Payload::CustomSection(_) => last.push(bytes),
                _ => code.extend_from_slice(bytes),
            }
        }
        Ok(Self { code: Cow::Owned(code), first, last })
    }

    /// What became of the code, with the rest.
    pub(super) fn with(&self, code: &[u8]) -> Vec<u8> {
        let (header, sections) = code.split_at(8.min(code.len()));
        [&[header], &self.first[..], &[sections], &self.last[..]].concat().concat()
    }
}

/// Whether nothing in a module is to be optimised: it only connects others, in a form that is
/// recognised later.
pub(super) fn only_connects(module: &[u8]) -> Result<bool, BinaryReaderError> {
    for section in sections(module) {
        match section?.payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if import?.name == CONNECTIONS {
                        return Ok(true);
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    if export?.name == CONNECTIONS {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// What `wasm-opt` is told.
pub(super) fn arguments(module: &[u8], goal: Goal, debug: Debug) -> Vec<&'static str> {
    let passes = match goal {
        Goal::Speed => "-O3",
        Goal::Size => "-Oz",
    };
    let names = (debug == Debug::Kept).then_some("-g");
    let told = ["wasm-opt", "-", "-o", "out", passes, "--mvp-features"];
    told.into_iter().chain(names).chain(features::used(module)).collect()
}

/// What others need of a module: its exports with their types, and what of its imports is left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Face {
    exports: Vec<String>,
    imports: Vec<String>,
}

impl Face {
    /// That of a valid module.
    pub(super) fn of(module: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut face = Self { exports: Vec::new(), imports: Vec::new() };
        for section in sections(module) {
            match section?.payload {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        face.imports.push(format!("{} {}", import.module, import.name));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        face.exports.push(format!("{:?} {}", export.kind, export.name));
                    }
                }
                _ => {}
            }
        }
        face.exports.sort_unstable();
        Ok(face)
    }

    /// Whether this can take the other's place, as far as names tell. That the types fit too, is
    /// validated with what surrounds it.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.exports == other.exports
            && self.imports.iter().all(|import| other.imports.contains(import))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    const TEXT: &str = r#"(module
        (@custom "dylink.0" (before first) "first")
        (import "a" "b" (func $b))
        (func $named (export "f") (call $b))
        (@custom "producers" "p")
        (@custom ".debug_info" "d")
        (@custom "component-type:x" "world")
        (@custom "other" "o"))"#;

    fn custom(module: &[u8]) -> Vec<String> {
        let names = sections(module).filter_map(|section| match section.unwrap().payload {
            Payload::CustomSection(custom) => Some(custom.name().to_owned()),
            _ => None,
        });
        names.collect()
    }

    #[test]
    fn what_is_not_false_is_kept_in_its_place() {
        let whole = module(TEXT);
        let parts = Parts::of(&whole, Debug::Kept).unwrap();
        assert_eq!(custom(&parts.code), ["name"]);
        let again = parts.with(&parts.code);
        assert_eq!(custom(&again), ["dylink.0", "name", "producers", "component-type:x", "other"]);
        features::validate(&again).unwrap();
    }

    #[test]
    fn what_serves_only_people_is_stripped() {
        let whole = module(TEXT);
        let parts = Parts::of(&whole, Debug::Stripped).unwrap();
        assert_eq!(custom(&parts.code), [""; 0]);
        assert_eq!(custom(&parts.with(&parts.code)), ["dylink.0", "component-type:x", "other"]);
    }

    #[test]
    fn exports_stay_and_imports_may_go() {
        let face = |text| Face::of(&module(text)).unwrap();
        let whole = face(TEXT);
        assert!(whole.replaces(&face(TEXT)));
        assert!(face(r#"(module (func (export "f")))"#).replaces(&whole));
        assert!(!face(r#"(module (func (export "g")))"#).replaces(&whole));
        assert!(!face(r#"(module (memory (export "f") 1))"#).replaces(&whole));
        assert!(!face(r#"(module (import "a" "c" (func)) (func (export "f")))"#).replaces(&whole));
    }

    #[test]
    fn what_connects_is_known() {
        let connects = |text| only_connects(&module(text)).unwrap();
        assert!(connects(r#"(module (table (export "$imports") 1 funcref))"#));
        assert!(connects(r#"(module (import "" "$imports" (table 1 funcref)))"#));
        assert!(!connects(TEXT));
    }
}
