//! The graph of a composition: instances of components, and which export satisfies which import.
//! A thin layer over `wac-graph`, whose errors and panics become errors of ours.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wac_graph::types::{Package, WorldId};
use wac_graph::{CompositionGraph, EncodeOptions, InstantiationArgumentError, NodeId};

use super::ComposeError;
use crate::resolve::MAX_SOURCE_BYTES;

#[derive(Default)]
pub(super) struct Graph {
    graph: CompositionGraph,
    count: usize,
    bytes: u64,
}

/// An instance of one component.
pub(super) struct Instance {
    /// What it is called in messages.
    pub(super) called: String,
    node: NodeId,
    world: WorldId,
}

/// Runs what uses a graph. The crate behind it expects that its input was made by certain tools,
/// and panics where it was not.
pub(super) fn guarded<T>(
    work: impl FnOnce() -> Result<T, ComposeError>,
) -> Result<T, ComposeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "they have types that cannot be composed".to_owned();
        Err(ComposeError::Unfit { reason })
    })
}

impl Graph {
    /// Adds an instance of a component.
    pub(super) fn add(&mut self, called: &str, wasm: Vec<u8>) -> Result<Instance, ComposeError> {
        let failed = |reason| ComposeError::Types { part: called.to_owned(), reason };
        self.bytes += wasm.len() as u64;
        if self.bytes > MAX_SOURCE_BYTES {
            let limit = MAX_SOURCE_BYTES >> 20;
            return Err(ComposeError::Unfit { reason: format!("they have more than {limit} MiB") });
        }
        // Names must differ; nobody sees them.
        let name = format!("part:number{}", self.count);
        self.count += 1;
        let package = Package::from_bytes(&name, None, wasm, self.graph.types_mut())
            .map_err(|error| failed(format!("{error:#}")))?;
        let world = package.ty();
        let package =
            self.graph.register_package(package).map_err(|error| failed(error.to_string()))?;
        let node = self.graph.instantiate(package);
        Ok(Instance { called: called.to_owned(), node, world })
    }

    /// The names of what an instance imports.
    pub(super) fn imports(&self, instance: &Instance) -> Vec<String> {
        self.graph.types()[instance.world].imports.keys().cloned().collect()
    }

    /// The names of what it exports.
    pub(super) fn exports(&self, instance: &Instance) -> Vec<String> {
        self.graph.types()[instance.world].exports.keys().cloned().collect()
    }

    /// Satisfies an import of one instance by an export of another.
    pub(super) fn connect(
        &mut self,
        importer: &Instance,
        import: &str,
        exporter: &Instance,
        export: &str,
    ) -> Result<(), ComposeError> {
        let mismatch = |reason| ComposeError::Mismatch {
            part: exporter.called.clone(),
            export: export.to_owned(),
            import: import.to_owned(),
            reason,
        };
        let aliased = self.graph.alias_instance_export(exporter.node, export);
        let aliased = aliased.map_err(|error| mismatch(error.to_string()))?;
        self.graph.set_instantiation_argument(importer.node, import, aliased).map_err(|error| {
            mismatch(match error {
                InstantiationArgumentError::ArgumentTypeMismatch { source, .. } => {
                    format!("{source:#}")
                }
                other => other.to_string(),
            })
        })
    }

    /// Exports from the composition what an instance exports by that name.
    pub(super) fn export(&mut self, instance: &Instance, name: &str) -> Result<(), ComposeError> {
        let aliased = self.graph.alias_instance_export(instance.node, name).map_err(unfit)?;
        self.graph.export(aliased, name).map_err(unfit)
    }

    /// The same with everything that an instance exports.
    pub(super) fn export_all(&mut self, instance: &Instance) -> Result<(), ComposeError> {
        self.exports(instance).iter().try_for_each(|name| self.export(instance, name))
    }

    /// The bytes of the composition. Imports that nothing satisfies become imports of it, those of
    /// compatible versions one.
    pub(super) fn encode(&self) -> Result<Vec<u8>, ComposeError> {
        self.graph.encode(EncodeOptions::default()).map_err(|error| {
            let mut reason = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                reason.push_str(&format!(": {error}"));
                cause = error.source();
            }
            ComposeError::Unfit { reason }
        })
    }
}

fn unfit(error: impl std::error::Error) -> ComposeError {
    ComposeError::Unfit { reason: error.to_string() }
}
