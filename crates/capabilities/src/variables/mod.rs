//! Variables: `wasi:config`. A component reads its own, as the manifest's `variables` table names
//! and fills them; values come from the command line, the environment or the manifest's defaults.

mod backend;
mod host;

use std::collections::BTreeMap;

use dayfly_model::Component;
use dayfly_model::template::MissingVariable;

pub use backend::{Providers, VariableError};

use crate::registry::Capability;

/// This capability's line in the registry.
pub const CAPABILITY: Capability = Capability {
    name: "variables",
    interfaces: host::INTERFACES,
    granted_by: &[("variables", host::INTERFACES)],
    link: host::link,
};

/// One component's variables.
#[derive(Default)]
pub struct Grant {
    values: BTreeMap<String, String>,
}

impl Grant {
    /// Fills the component's templates from the app's variables.
    ///
    /// # Errors
    /// If a template names a variable that has no value.
    pub fn prepare(
        component: &Component,
        values: &BTreeMap<String, String>,
    ) -> Result<Self, MissingVariable> {
        let filled = component
            .variables
            .iter()
            .map(|(name, template)| Ok((name.clone(), template.resolve(values)?)))
            .collect::<Result<_, MissingVariable>>()?;
        Ok(Self { values: filled })
    }
}
