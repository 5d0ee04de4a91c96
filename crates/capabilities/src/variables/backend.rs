//! Where the values of an app's variables come from, first answer wins: the command line, the
//! process environment (`DAYFLY_VARIABLE_NAME`, `SPIN_VARIABLE_NAME`), the manifest's default.

use std::collections::BTreeMap;

use dayfly_model::App;
use thiserror::Error;

/// The prefixes of variables in the process environment, in order of precedence.
const PREFIXES: [&str; 2] = ["DAYFLY_VARIABLE_", "SPIN_VARIABLE_"];

/// Why the app's variables have no complete set of values.
#[derive(Debug, Error)]
pub enum VariableError {
    /// Variables that the manifest calls required and that no provider has.
    #[error("no value for the required variable{} `{}`", if .0.len() == 1 { "" } else { "s" }, .0.join("`, `"))]
    Missing(Vec<String>),
    /// Values given on the command line for variables that the app does not declare.
    #[error("the app declares no variable `{}`", .0.join("`, `"))]
    Unknown(Vec<String>),
}

/// What the operator gave, outside the manifest. Values may be secret, so there is no `Debug`.
#[derive(Default, Clone)]
pub struct Providers {
    /// Values from the command line.
    pub arguments: BTreeMap<String, String>,
    /// The process environment; only names with one of the prefixes are looked at.
    pub environment: BTreeMap<String, String>,
}

impl Providers {
    /// Providers that read this process's environment.
    pub fn from_process(arguments: BTreeMap<String, String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        Self { arguments, environment }
    }

    /// A value for each variable of the app.
    ///
    /// # Errors
    /// Names all variables that lack one, and all arguments that name no variable.
    pub fn resolve(&self, app: &App) -> Result<BTreeMap<String, String>, VariableError> {
        let unknown: Vec<String> = self
            .arguments
            .keys()
            .filter(|name| !app.variables.contains_key(*name))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            return Err(VariableError::Unknown(unknown));
        }
        let mut missing = Vec::new();
        let mut values = BTreeMap::new();
        for (name, variable) in &app.variables {
            match self.value(name).or_else(|| variable.default.clone()) {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => missing.push(name.clone()),
            }
        }
        if missing.is_empty() { Ok(values) } else { Err(VariableError::Missing(missing)) }
    }

    fn value(&self, name: &str) -> Option<String> {
        let from_environment = || {
            PREFIXES.iter().find_map(|prefix| {
                self.environment.get(&format!("{prefix}{}", name.to_ascii_uppercase()))
            })
        };
        self.arguments.get(name).or_else(from_environment).cloned()
    }
}
