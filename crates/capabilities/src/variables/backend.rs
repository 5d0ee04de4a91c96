//! Where the values of an app's variables come from, first answer wins: the command line, the
//! providers of the runtime configuration in their order, the process environment, a file `.env`
//! beside the manifest, the manifest's default. All but a Vault's are here from the start.

mod cached;
mod dotenv;
mod vault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dayfly_model::runtime_config::VariablesProvider;
use dayfly_model::template::{MissingVariable, Part};
use dayfly_model::{App, RuntimeConfig, Template};
use thiserror::Error;

use cached::Cached;
pub use dotenv::DotenvError;
use vault::Vault;
pub use vault::VaultError;

/// The prefixes of variables in the process environment, in order of precedence; the last is what
/// Spin called them first.
const PREFIXES: [&str; 3] = ["DAYFLY_VARIABLE_", "SPIN_VARIABLE_", "SPIN_CONFIG_"];

/// Why the app's variables have no complete set of values. No value is ever told.
#[derive(Debug, Error)]
pub enum VariableError {
    /// Variables that the manifest calls required and that no provider has.
    #[error("no value for the required variable{} `{}`", if .0.len() == 1 { "" } else { "s" }, .0.join("`, `"))]
    Missing(Vec<String>),
    /// Values given on the command line for variables that the app does not declare.
    #[error("the app declares no variable `{}`", .0.join("`, `"))]
    Unknown(Vec<String>),
    /// A file of values.
    #[error("failed to read the variables of `{}`", .path.display())]
    Dotenv {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DotenvError,
    },
    /// A Vault that cannot be asked as it is described.
    #[error("failed to set up the variables provider `vault`")]
    Vault(#[source] VaultError),
    /// A Vault that gave no answer where one was needed at once.
    #[error("variable `{name}`, which `allowed_outbound_hosts` needs, could not be had")]
    Asked {
        /// The variable.
        name: String,
        /// What went wrong.
        source: VaultError,
    },
}

/// What the operator gave, outside the manifest. Values may be secret, so there is no `Debug`.
#[derive(Default)]
pub struct Providers {
    /// Values from the command line.
    arguments: BTreeMap<String, String>,
    /// The process environment; only names that stand for variables are looked at.
    environment: BTreeMap<String, String>,
    configured: Vec<Provider>,
    /// The file `.env` of the app's folder.
    dotenv: BTreeMap<String, String>,
}

/// Who may have a value.
enum Provider {
    Environment { prefix: String, dotenv: BTreeMap<String, String> },
    Static(BTreeMap<String, String>),
    Vault(Arc<Vault>),
}

impl Providers {
    /// Providers that read this process's environment.
    pub fn from_process(arguments: BTreeMap<String, String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { arguments, environment, ..Self::default() }
    }

    /// Providers that know these values and ask nobody else: what runs apps of several owners has an
    /// environment that is none of theirs.
    pub fn given(values: BTreeMap<String, String>) -> Self {
        Self { arguments: values, ..Self::default() }
    }

    /// The same with those of a runtime configuration, and the file `.env` of the folder `root`.
    ///
    /// # Errors
    /// If a file of values is malformed, or a Vault cannot be asked as it is described.
    pub fn configured(self, config: &RuntimeConfig, root: &Path) -> Result<Self, VariableError> {
        let configured = config.variables_providers.iter().map(provider);
        let configured = configured.collect::<Result<_, VariableError>>()?;
        let dotenv = read_dotenv(&root.join(".env"))?;
        Ok(Self { configured, dotenv, ..self })
    }

    /// A value for each variable of the app, or who is to be asked for it.
    ///
    /// # Errors
    /// Names all variables that lack one, and all arguments that name no variable.
    pub fn resolve(&self, app: &App) -> Result<Variables, VariableError> {
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
        let mut variables = Variables::default();
        for (name, variable) in &app.variables {
            let (vaults, value) = self.value(name);
            let value = value.or_else(|| variable.default.clone());
            if !vaults.is_empty() {
                variables.asked.insert(
                    name.clone(),
                    Asked {
                        name: name.clone(),
                        vaults,
                        fallback: value,
                        cached: Cached::default(),
                    },
                );
            } else if let Some(value) = value {
                variables.known.insert(name.clone(), value);
            } else {
                missing.push(name.clone());
            }
        }
        if missing.is_empty() { Ok(variables) } else { Err(VariableError::Missing(missing)) }
    }

    /// The Vaults that are asked before the first provider that has a value, and that value.
    fn value(&self, name: &str) -> (Vec<Arc<Vault>>, Option<String>) {
        let mut vaults = Vec::new();
        if let Some(value) = self.arguments.get(name) {
            return (vaults, Some(value.clone()));
        }
        for provider in &self.configured {
            let value = match provider {
                Provider::Static(values) => values.get(name),
                Provider::Environment { prefix, dotenv } => {
                    let name = format!("{prefix}{}", name.to_ascii_uppercase());
                    self.environment.get(&name).or_else(|| dotenv.get(&name))
                }
                Provider::Vault(vault) => {
                    vaults.push(vault.clone());
                    None
                }
            };
            if value.is_some() {
                return (vaults, value.cloned());
            }
        }
        let value = [&self.environment, &self.dotenv].into_iter().find_map(|values| {
            let named = |prefix| values.get(&format!("{prefix}{}", name.to_ascii_uppercase()));
            PREFIXES.into_iter().find_map(named)
        });
        (vaults, value.cloned())
    }
}

fn provider(config: &VariablesProvider) -> Result<Provider, VariableError> {
    Ok(match config {
        VariablesProvider::Static(values) => Provider::Static(
            values.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
        ),
        VariablesProvider::Environment { prefix, dotenv } => Provider::Environment {
            prefix: match prefix.as_deref() {
                None => "SPIN_VARIABLE_".to_owned(),
                Some("") => String::new(),
                Some(prefix) => format!("{prefix}_"),
            },
            dotenv: dotenv.as_deref().map(read_dotenv).transpose()?.unwrap_or_default(),
        },
        VariablesProvider::Vault { url, token, mount, prefix } => {
            let vault = Vault::new(&url.0, &token.0, mount, prefix.as_deref());
            Provider::Vault(Arc::new(vault.map_err(VariableError::Vault)?))
        }
    })
}

fn read_dotenv(path: &Path) -> Result<BTreeMap<String, String>, VariableError> {
    dotenv::read(path).map_err(|source| VariableError::Dotenv { path: path.to_owned(), source })
}

/// The values of an app's variables. They may be secret, so there is no `Debug`.
#[derive(Default)]
pub struct Variables {
    /// Those that are here.
    known: BTreeMap<String, String>,
    /// Those that somebody is asked for when a guest asks.
    asked: BTreeMap<String, Asked>,
    /// Those of them that the grants of hosts need, as they were at the start.
    hosts: BTreeMap<String, String>,
}

/// A variable that Vaults may have.
struct Asked {
    name: String,
    vaults: Vec<Arc<Vault>>,
    fallback: Option<String>,
    cached: Cached,
}

impl Asked {
    /// The value: what was answered lately, or what the Vaults answer now.
    async fn get(&self) -> Result<Option<String>, VaultError> {
        self.cached.get(|| self.ask()).await
    }

    async fn ask(&self) -> Result<Option<String>, VaultError> {
        for vault in &self.vaults {
            if let Some(value) = vault.read(&self.name).await? {
                return Ok(Some(value));
            }
        }
        Ok(self.fallback.clone())
    }
}

/// Why a template has no text now.
#[derive(Debug, Clone, Error)]
pub(super) enum FillError {
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    #[error("variable `{0}` could not be had from its provider")]
    Provider(String, #[source] VaultError),
}

impl Variables {
    /// Whether somebody outside has to be asked for values.
    pub fn asks(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Asks for what the grants of hosts need: those are settled before the app serves.
    ///
    /// # Errors
    /// If one of these variables cannot be had.
    pub async fn ask_for_hosts(&mut self, app: &App) -> Result<(), VariableError> {
        let components = app.components.values();
        for name in components.flat_map(|component| component.allowed_outbound_hosts.variables()) {
            let Some(asked) = self.asked.get(name) else { continue };
            match asked.get().await {
                Ok(Some(value)) => drop(self.hosts.insert(name.to_owned(), value)),
                Ok(None) => return Err(VariableError::Missing(vec![name.to_owned()])),
                Err(source) => {
                    return Err(VariableError::Asked { name: name.to_owned(), source });
                }
            }
        }
        Ok(())
    }

    /// The values that the grants of hosts are made of.
    #[must_use]
    pub fn of_hosts(&self) -> BTreeMap<String, String> {
        self.known.iter().chain(&self.hosts).map(|(n, v)| (n.clone(), v.clone())).collect()
    }

    /// The text of a template that is the host's own, for what it listens to.
    ///
    /// # Errors
    /// If a variable has no value, or its provider does not answer; the text says why.
    pub async fn resolve(&self, template: &Template) -> Result<String, String> {
        self.fill(template).await.map_err(|error| match &error {
            FillError::Missing(_) => error.to_string(),
            FillError::Provider(_, source) => format!("{error}: {source}"),
        })
    }

    /// The text of a template, if nobody has to be asked for any of it.
    pub(super) fn fill_now(&self, template: &Template) -> Option<Result<String, MissingVariable>> {
        let asks = template.variables().any(|name| self.asked.contains_key(name));
        (!asks).then(|| template.resolve(&self.known))
    }

    /// The text of a template.
    pub(super) async fn fill(&self, template: &Template) -> Result<String, FillError> {
        let mut text = String::new();
        for part in template.parts() {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(name) => text.push_str(&self.get(name).await?),
            }
        }
        Ok(text)
    }

    async fn get(&self, name: &str) -> Result<String, FillError> {
        let missing = || FillError::Missing(MissingVariable(name.to_owned()));
        match self.asked.get(name) {
            None => self.known.get(name).cloned().ok_or_else(missing),
            Some(asked) => match asked.get().await {
                Ok(value) => value.ok_or_else(missing),
                Err(error) => Err(FillError::Provider(name.to_owned(), error)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
