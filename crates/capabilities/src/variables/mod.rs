//! Variables: `wasi:config` and Spin's variables. A component reads its own, as the manifest's
//! `variables` table names and fills them; values come from the command line, the providers of the
//! runtime configuration, the environment or the manifest's defaults.

mod backend;
mod host;

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_model::template::{MissingVariable, is_variable_name};
use dayfly_model::{Component, Template};
use thiserror::Error;

use backend::FillError;
pub use backend::{DotenvError, Providers, VariableError, Variables, VaultError};

use crate::refusals::shortened;
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
    values: BTreeMap<String, Value>,
    variables: Arc<Variables>,
}

/// The value of a component's variable.
enum Value {
    Filled(String),
    /// Somebody outside has some of it.
    Asked(Template),
}

/// Why a guest gets no value.
#[derive(Debug, Clone, Error)]
enum ReadError {
    #[error("`{0}` is no name of a variable: those are in lower snake_case")]
    InvalidName(String),
    #[error("the component has no variable `{0}`")]
    Undefined(String),
    /// The guest is not told more: what is behind its variables is the operator's business.
    #[error("variable `{name}` could not be had from its provider")]
    Provider { name: String, cause: String },
}

impl Grant {
    /// Fills the component's templates from the app's variables, as far as these are here.
    ///
    /// # Errors
    /// If a template names a variable that has no value.
    pub fn prepare(
        component: &Component,
        variables: &Arc<Variables>,
    ) -> Result<Self, MissingVariable> {
        let filled = component.variables.iter().map(|(name, template)| {
            let value = match variables.fill_now(template) {
                Some(text) => Value::Filled(text?),
                None => Value::Asked(template.clone()),
            };
            Ok((name.clone(), value))
        });
        let values = filled.collect::<Result<_, MissingVariable>>()?;
        Ok(Self { values, variables: variables.clone() })
    }

    /// The names of its variables.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a variable.
    async fn read(&self, name: &str) -> Result<String, ReadError> {
        match self.values.get(name) {
            Some(Value::Filled(text)) => Ok(text.clone()),
            Some(Value::Asked(template)) => {
                self.variables.fill(template).await.map_err(|error| ReadError::Provider {
                    name: name.to_owned(),
                    cause: match &error {
                        FillError::Missing(_) => error.to_string(),
                        FillError::Provider(_, source) => format!("{error}: {source}"),
                    },
                })
            }
            None if is_variable_name(name) => Err(ReadError::Undefined(shortened(name).to_owned())),
            None => Err(ReadError::InvalidName(shortened(name).to_owned())),
        }
    }
}
