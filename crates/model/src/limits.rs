//! The bounds of one component. Each has a default, so there is always a bound.

use std::time::Duration;

use crate::Source;
use crate::feature::Feature;
use crate::manifest::{parse_duration, parse_size, parse_stack};

/// The default of what is streamed. Nothing of it is held, so it costs no memory however long it is;
/// this is about what a guest can pass on within the default of its CPU time.
const STREAMED_BYTES: u64 = 16 << 30;

/// How much one component may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, in bytes.
    pub memory_bytes: u64,
    /// Elements of one instance's tables, all together.
    pub table_elements: u64,
    /// Stack of one instance, in bytes. Wasmtime bounds stacks for a whole engine, so every instance
    /// that a process runs has the largest that any of its components asks for.
    pub stack_bytes: u64,
    /// CPU time of one request, with that of the components that it calls.
    pub cpu: Duration,
    /// WebAssembly instructions of one request, counted alike on every machine; `None` counts none.
    pub instructions: Option<u64>,
    /// Wall time of one request until its response's headers, and between two pieces of its body.
    pub time: Duration,
    /// Instances that run at once.
    pub concurrency: u32,
    /// The request's body, in bytes.
    pub body_bytes: u64,
    /// The response's body, in bytes.
    pub output_bytes: u64,
    /// One set of headers or trailers that a guest builds, in bytes.
    pub header_bytes: u64,
    /// What one instance writes to each of its two log streams, in bytes.
    pub log_bytes: u64,
    /// What all instances write to the log in a second, in bytes.
    pub log_rate_bytes: u64,
    /// Files and folders that one instance holds open.
    pub files: u32,
    /// Sockets that one instance holds open.
    pub sockets: u32,
    /// Outbound requests and connections that one instance makes, from its start to its end.
    pub outbound: u32,
    /// Calls of other components behind one another, from the request that came from outside to the
    /// last that this component may make.
    pub depth: u32,
    /// Resources, futures and streams that one instance holds: each kind of handle together.
    pub resources: u32,
    /// What an SQL database grows to by the component's statements, in bytes.
    pub database_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            table_elements: 1_000_000,
            stack_bytes: 1 << 20,
            cpu: Duration::from_secs(10),
            instructions: None,
            time: Duration::from_secs(30),
            concurrency: 1024,
            body_bytes: STREAMED_BYTES,
            output_bytes: STREAMED_BYTES,
            header_bytes: 128 << 10,
            log_bytes: 1 << 20,
            log_rate_bytes: 4 << 20,
            files: 256,
            sockets: 64,
            outbound: 1000,
            depth: 8,
            resources: 10_000,
            database_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// The defaults of a component whose source is this: an interpreter needs more room than what
    /// is compiled.
    pub fn of_source(source: &Source) -> Self {
        let usual = Self::default();
        match source {
            Source::File(file) if Feature::script(file).is_some() => {
                Self { memory_bytes: 512 << 20, stack_bytes: 8 << 20, ..usual }
            }
            _ => usual,
        }
    }

    /// Lowers every limit to what `most` says, at most; one that it does not count stays.
    pub fn lower_to(&mut self, most: &Self) {
        // Each by its name, so that a new one is not forgotten.
        let Self {
            memory_bytes,
            table_elements,
            stack_bytes,
            cpu,
            instructions,
            time,
            concurrency,
            body_bytes,
            output_bytes,
            header_bytes,
            log_bytes,
            log_rate_bytes,
            files,
            sockets,
            outbound,
            depth,
            resources,
            database_bytes,
        } = most;
        *self = Self {
            memory_bytes: self.memory_bytes.min(*memory_bytes),
            table_elements: self.table_elements.min(*table_elements),
            stack_bytes: self.stack_bytes.min(*stack_bytes),
            cpu: self.cpu.min(*cpu),
            instructions: match (self.instructions, *instructions) {
                (Some(own), Some(most)) => Some(own.min(most)),
                (own, most) => own.or(most),
            },
            time: self.time.min(*time),
            concurrency: self.concurrency.min(*concurrency),
            body_bytes: self.body_bytes.min(*body_bytes),
            output_bytes: self.output_bytes.min(*output_bytes),
            header_bytes: self.header_bytes.min(*header_bytes),
            log_bytes: self.log_bytes.min(*log_bytes),
            log_rate_bytes: self.log_rate_bytes.min(*log_rate_bytes),
            files: self.files.min(*files),
            sockets: self.sockets.min(*sockets),
            outbound: self.outbound.min(*outbound),
            depth: self.depth.min(*depth),
            resources: self.resources.min(*resources),
            database_bytes: self.database_bytes.min(*database_bytes),
        };
    }

    /// The names of all limits, as a manifest spells them.
    pub const NAMES: [&'static str; 18] = [
        "memory",
        "tables",
        "stack",
        "cpu",
        "instructions",
        "time",
        "concurrency",
        "body",
        "output",
        "headers",
        "log",
        "log_rate",
        "files",
        "sockets",
        "outbound",
        "depth",
        "resources",
        "database",
    ];

    /// Sets one limit by its name, from text as a manifest spells it: `128MiB`, `500ms`, `64`.
    ///
    /// # Errors
    /// What is wrong, a sentence fragment, if there is no such limit or the text is no value of it.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "memory" => self.memory_bytes = parse_size(text)?,
            "tables" => self.table_elements = number(text)?,
            "stack" => self.stack_bytes = parse_stack(text)?,
            "cpu" => self.cpu = parse_duration(text)?,
            "instructions" => self.instructions = Some(number(text)?),
            "time" => self.time = parse_duration(text)?,
            "concurrency" => self.concurrency = number(text)?,
            "body" => self.body_bytes = parse_size(text)?,
            "output" => self.output_bytes = parse_size(text)?,
            "headers" => self.header_bytes = parse_size(text)?,
            "log" => self.log_bytes = parse_size(text)?,
            "log_rate" => self.log_rate_bytes = parse_size(text)?,
            "files" => self.files = number(text)?,
            "sockets" => self.sockets = number(text)?,
            "outbound" => self.outbound = number(text)?,
            "depth" => self.depth = number(text)?,
            "resources" => self.resources = number(text)?,
            "database" => self.database_bytes = parse_size(text)?,
            _ => {
                return Err(format!(
                    "there is no such limit; there are {}",
                    Self::NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// A whole number, at least 1.
fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    match text.parse::<u64>() {
        Ok(0) => Err("is zero".to_owned()),
        Ok(number) => T::try_from(number).map_err(|_| "is too large".to_owned()),
        Err(_) => Err("is not a whole number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_sets_a_limit_of_its_own() {
        let mut seen = vec![Limits::default()];
        for name in Limits::NAMES {
            let mut limits = Limits::default();
            let set =
                ["7B", "7ms", "7", "700KiB"].iter().any(|text| limits.set(name, text).is_ok());
            assert!(set && !seen.contains(&limits), "{name}");
            seen.push(limits);
        }
    }

    #[test]
    fn every_limit_is_lowered() {
        let usual = Limits::default();
        for name in Limits::NAMES {
            let mut limits = Limits::default();
            let large = ["64MiB", "4000GiB", "4000000000", "5h"];
            // Of a stack that is as large as may be, and of all else.
            let set = large.iter().rev().any(|text| limits.set(name, text).is_ok());
            assert!(set && limits != usual, "{name}");
            limits.lower_to(&Limits { instructions: Some(1), ..usual.clone() });
            assert_eq!(limits, Limits { instructions: Some(1), ..usual.clone() }, "{name}");
        }
        let mut small = Limits { files: 1, ..usual.clone() };
        small.lower_to(&usual);
        assert_eq!(small, Limits { files: 1, ..usual });
    }

    #[test]
    fn mistakes_say_what_is_wrong() {
        let said = |name, text| Limits::default().set(name, text).unwrap_err();
        assert_eq!(said("concurrency", "0"), "is zero");
        assert_eq!(said("concurrency", "9999999999"), "is too large");
        assert_eq!(said("files", "many"), "is not a whole number");
        assert!(said("memory", "64").contains("has no unit"));
        assert_eq!(said("stack", "4KiB"), "is not between 64KiB and 64MiB");
        assert!(said("speed", "64").contains("memory, tables, stack"));
    }
}
