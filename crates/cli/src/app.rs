//! From what a user names on the command line to an app that the host can activate.

pub(crate) mod kept;
mod named;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dayfly_capabilities::variables::{Providers, VariableError, Variables};
use dayfly_capabilities::wasi::stdio::LogSink;
use dayfly_capabilities::{Backends, registry};
use dayfly_forge::Drafts;
use dayfly_forge::fetch::{Fetched, Reference};
use dayfly_forge::script::{self, Language};
use dayfly_host::{GuestLog, Image, Release, triggers};
use dayfly_model::feature::Feature;
use dayfly_model::runtime_config::{KeyValueStore, SqliteDatabase, VariablesProvider};
use dayfly_model::{
    App, CommandTrigger, ComponentId, EventSource, EventTrigger, Executor, FileGrant, HttpTarget,
    HttpTrigger, Limits, Middleware, Output, RuntimeConfig, TriggerKind,
};

use crate::databases::{self, Sql};
use crate::harden::Needs;
use crate::key_value::{self, Seeds};
use crate::report::{self, Several};
use crate::source::Source;
use crate::variables::{self, Argument};
use named::Brought;
pub(crate) use named::{AppSource, is_manifest, read};

/// Which app, and what it is told.
#[derive(Args, Clone)]
pub(crate) struct AppArgs {
    #[command(flatten)]
    source: AppSource,

    /// Set a variable of the app; `NAME=@FILE` reads its value from a file, `@FILE.json` or
    /// `@FILE.toml` the values of several
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variables::argument)]
    variables: Vec<Argument>,

    /// What stands behind the app's grants on this machine: Spin's `runtime-config.toml`
    #[arg(long, env = "DAYFLY_RUNTIME_CONFIG_FILE", value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,

    /// Run SQL on the default SQL database before the app starts; `@FILE` reads it from a file,
    /// `@FILE:LABEL` runs it on the database of that label
    #[arg(long, value_name = "SQL", value_parser = databases::sql)]
    sqlite: Vec<Sql>,
    /// Store a value under a key before the app serves, in the store `default` unless another is
    /// named; `KEY=@FILE` reads the value from a file
    #[arg(long = "key-value", value_name = "[STORE:]KEY=VALUE", value_parser = key_value::argument)]
    key_values: Vec<key_value::Argument>,

    /// Set an environment variable in every component
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,

    /// Bound every component, whatever its manifest says, such as `--limit memory=64MiB`; a
    /// manifest's `limits` has the names
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limit)]
    limits: Vec<(String, String)>,

    /// Folder for what the app keeps [default: `.dayfly` beside the manifest]
    #[arg(long, env = "DAYFLY_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Serve a package only if it is signed by this key (PEM), as `cosign sign --key` does
    #[arg(long, env = "DAYFLY_VERIFY_KEY", value_name = "FILE")]
    verify_key: Option<PathBuf>,

    /// Where a package keeps it.
    #[arg(skip)]
    state_of_package: Option<PathBuf>,

    /// What scripts are made to while somebody works on them, if somebody does.
    #[arg(skip)]
    drafts: Option<Arc<Drafts>>,

    /// Folder of the components' log files [default: `logs` in the state folder]
    #[arg(long, env = "DAYFLY_LOG_DIR", value_name = "DIR")]
    log_dir: Option<PathBuf>,
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}

/// Reads `NAME=VALUE` of a limit.
pub(crate) fn limit(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    Limits::default().set(&name, &value)?;
    Ok((name, value))
}

/// Sets the limits that [`limit`] read.
pub(crate) fn set_limits(limits: &mut Limits, values: &[(String, String)]) {
    for (name, value) in values {
        // It was read before.
        let _ = limits.set(name, value);
    }
}

/// How to mend labels that nothing is behind.
const MISSING: &str = "only `default` needs no definition; define others in the file of \
    `--runtime-config-file`, `[key_value_store.LABEL]`, `[sqlite_database.LABEL]` and \
    `[messaging.LABEL]`";

/// Where Spin's environment says that the runtime configuration is.
const SPINS_RUNTIME_CONFIG: &str = "RUNTIME_CONFIG_FILE";

impl AppArgs {
    /// Reads what stands behind the app's grants.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub(crate) fn runtime_config(&self) -> Result<RuntimeConfig> {
        let spins = || std::env::var_os(SPINS_RUNTIME_CONFIG).filter(|path| !path.is_empty());
        let Some(path) = self.runtime_config_file.clone().or_else(|| spins().map(Into::into))
        else {
            return Ok(RuntimeConfig::default());
        };
        // Its paths hold from wherever they are used.
        let path = std::path::absolute(&path)
            .with_context(|| format!("failed to find `{}`", path.display()))?;
        RuntimeConfig::load(&path).map_err(|errors| anyhow!(Several(errors.to_string())))
    }

    /// The same, for one who works on the app.
    pub(crate) fn drafting(self) -> Self {
        Self { drafts: Some(Arc::default()), ..self }
    }

    /// What the user named.
    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    /// The package that the user named, if it is one.
    pub(crate) fn reference(&self) -> Result<Option<Reference>> {
        self.source.reference()
    }

    /// Reads the app; nothing is compiled yet.
    ///
    /// # Errors
    /// All mistakes of its manifest, and all uses of what this version does not serve.
    pub(crate) fn load(&self, config: &RuntimeConfig) -> Result<App> {
        let mut app = read(self.source.path(), self.source.profile())?;
        refuse_unserved(&app)?;
        for component in app.components.values_mut() {
            component.environment.extend(self.environment.iter().cloned());
            if let Some(most) = config.max_instance_memory {
                component.limits.memory_bytes = component.limits.memory_bytes.min(most);
            }
            set_limits(&mut component.limits, &self.limits);
        }
        if self.state_of_package.is_some() {
            let (state, _) = self.folders(&app, config);
            kept::writable(&mut app, &state)?;
        }
        Ok(app)
    }

    /// Fetches the sources that are elsewhere and were never fetched.
    ///
    /// # Errors
    /// If one cannot be had.
    pub(crate) fn fetch(&self, app: &App, quiet: bool) -> Result<Fetched> {
        self.source.fetch(app, quiet)
    }

    /// Fetches or opens the package that PATH names, if it names one, and takes its folder for PATH. What
    /// the app keeps is kept for its repository, or beside its file, so that the next version finds it.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(crate) fn bring(&mut self, quiet: bool) -> Result<()> {
        self.state_of_package = match self.source.bring(self.verify_key.as_deref(), quiet)? {
            Some(Brought::Pulled(reference)) => Some(kept::folder(&reference)?),
            Some(Brought::Opened(archive)) => Some(kept::beside(&archive)?),
            None => None,
        };
        Ok(())
    }

    /// Finds the components that triggers name, and the app's folders; of files, only those of the
    /// runtime configuration and of variables are read. `former` is what stands behind the release that
    /// this one follows, if it follows one.
    pub(crate) fn release(
        &self,
        app: &Arc<App>,
        fetched: &Arc<Fetched>,
        config: RuntimeConfig,
        former: Option<&Backends>,
    ) -> Result<Release> {
        let (state, logs) = self.folders(app, &config);
        let variables = values(app, &config, variables::read(&self.variables)?)?;
        let log = |id: &ComponentId| GuestLog::new(&id.0, Some(&logs));
        let images = images(app, fetched, (&state, self.drafts.as_ref()), log)?;
        let backends = match former {
            Some(former) => Backends::after(former, app, variables, config)?,
            None => Backends::new(app, variables, state, config)?,
        };
        let missing = backends.missing(app).into_iter().map(|error| Err::<(), _>(error.into()));
        report::all(missing).map_err(|error| report::hint(error, Some(MISSING)))?;
        if former.is_none() {
            databases::run(&backends.sqlite, &self.sqlite)?;
        }
        Ok(Release { app: app.clone(), images, backends: Arc::new(backends), usage: None })
    }

    /// What is to be stored before the app serves.
    pub(crate) fn seeds(&self, release: &Release) -> Result<Seeds> {
        let stores = release.backends.key_value.clone();
        Ok(Seeds { stores, pairs: key_value::read(&self.key_values)? })
    }

    fn folders(&self, app: &App, config: &RuntimeConfig) -> (PathBuf, PathBuf) {
        let state = self.state_dir.as_ref().or(config.state_dir.as_ref());
        let state = state.or(self.state_of_package.as_ref()).cloned();
        let state = state.unwrap_or_else(|| app.root.join(".dayfly"));
        let logs = self.log_dir.as_ref().or(config.log_dir.as_ref());
        let logs = logs.cloned().unwrap_or_else(|| state.join("logs"));
        (state, logs)
    }

    /// What serving the app opens. The folders that Dayfly writes to are made here, because only
    /// what exists can be granted; where that fails, writing to them will, and says so.
    pub(crate) fn needs(
        &self,
        app: &App,
        fetched: &Fetched,
        config: &RuntimeConfig,
        needs: &mut Needs,
    ) {
        let (state, logs) = self.folders(app, config);
        needs.outbound |= asks_servers(config);
        needs.outbound |= app.triggers.iter().any(|trigger| leaves_the_machine(&trigger.kind));
        for folder in [state, logs].into_iter().chain(folders_of_data(config)) {
            let _ = std::fs::create_dir_all(&folder);
            needs.write.push(folder);
        }
        for component in app.components.values() {
            needs.outbound |= component.allowed_outbound_hosts.leaves_the_app();
            needs.outbound |= !component.ai_models.is_empty();
            for grant in &component.files {
                match grant {
                    FileGrant::Glob(glob) => needs.read.push(app.root.join(fixed_part(glob))),
                    FileGrant::Mount { source, writable, .. } => {
                        let list = if *writable { &mut needs.write } else { &mut needs.read };
                        list.push(app.root.join(source));
                    }
                }
            }
        }
        needs.read.extend(fetched.folders().map(Path::to_owned));
        for source in app.sources() {
            if let dayfly_model::Source::File(file) = source {
                // Its folder, because a build puts a new file into it.
                let file = app.root.join(file);
                needs.read.push(folder_of(&file));
                needs.read.extend(script::folder(&app.root, &file).map(Path::to_owned));
            }
        }
        needs.tidy();
    }
}

/// The values of an app's variables, those of the command line first.
///
/// # Errors
/// If one has none, or who has it does not answer.
pub(crate) fn values(
    app: &App,
    config: &RuntimeConfig,
    arguments: BTreeMap<String, String>,
) -> Result<Variables> {
    let values = Providers::from_process(arguments)
        .configured(config, &app.root)
        .and_then(|providers| providers.resolve(app));
    let mut values = values.map_err(|error| {
        let hint = "set it with `--variable NAME=VALUE` or DAYFLY_VARIABLE_NAME";
        let missing = matches!(error, VariableError::Missing(_));
        report::hint(error, missing.then_some(hint))
    })?;
    if values.asks() {
        // The threads that serve, and their runtimes, are not there yet.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(values.ask_for_hosts(app))?;
    }
    Ok(values)
}

/// Finds the components that triggers name, each with a log. Where somebody works on the app, its scripts
/// are drafts.
///
/// # Errors
/// If one is not there.
pub(crate) fn images<L: LogSink + 'static>(
    app: &Arc<App>,
    fetched: &Arc<Fetched>,
    (state, drafts): (&Path, Option<&Arc<Drafts>>),
    log: impl Fn(&ComponentId) -> L,
) -> Result<Vec<Image>> {
    let images = targets(app).into_iter().map(|target| {
        let source = Source::find(app, target, fetched, state)?.drafting(drafts.cloned());
        Ok(Image {
            component: target.component.clone(),
            executor: target.executor.clone(),
            middleware: target.middleware.to_vec(),
            source: Box::new(source),
            log: Arc::new(log(target.component)),
            usage: None,
        })
    });
    report::all(images)
}

/// Whether the process itself asks other servers, whatever its guests may.
fn asks_servers(config: &RuntimeConfig) -> bool {
    let vault = |provider: &VariablesProvider| matches!(provider, VariablesProvider::Vault { .. });
    let redis = |store: &KeyValueStore| matches!(store, KeyValueStore::Redis(_));
    config.llm_compute.is_some()
        || !config.blob_stores.is_empty()
        || !config.messaging.is_empty()
        || config.variables_providers.iter().any(vault)
        || config.key_value_stores.values().any(redis)
}

/// Whether a trigger's events come from servers, or its handlers' answers go to any.
fn leaves_the_machine(trigger: &TriggerKind) -> bool {
    let passes_on = match trigger.output() {
        Some(Output::Component(_) | Output::Queue(_) | Output::Websocket(_)) | None => false,
        Some(
            Output::Redis { .. } | Output::Mqtt { .. } | Output::Nats { .. } | Output::Http(_),
        ) => true,
    };
    let TriggerKind::Event(EventTrigger { source, .. }) = trigger else { return passes_on };
    let listens = match source {
        EventSource::Cron(_) | EventSource::Queue(_) => false,
        EventSource::Redis(_) | EventSource::Mqtt(_) | EventSource::Nats(_) => true,
    };
    passes_on || listens
}

/// Where a runtime configuration puts data outside the state folder.
fn folders_of_data(config: &RuntimeConfig) -> impl Iterator<Item = PathBuf> {
    let stores = config.key_value_stores.values().filter_map(|store| match store {
        KeyValueStore::Sqlite(path) => path.as_deref(),
        _ => None,
    });
    let databases =
        config.sqlite_databases.values().filter_map(|SqliteDatabase { path }| path.as_deref());
    stores.chain(databases).map(folder_of)
}

/// Refuses what the manifest uses and this version does not serve, all of it together.
pub(crate) fn refuse_unserved(app: &App) -> Result<()> {
    let unserved: Vec<String> = app
        .uses
        .iter()
        .filter(|used| !is_served(&used.feature))
        .map(|used| format!("{used}, which this version of Dayfly does not serve"))
        .collect();
    if unserved.is_empty() { Ok(()) } else { Err(anyhow!(Several(unserved.join("\n       ")))) }
}

/// Whether this version serves a feature that a manifest uses.
pub(crate) fn is_served(feature: &Feature) -> bool {
    match feature {
        Feature::Trigger(name) => triggers::serves(name),
        Feature::Capability(name) => registry::serves(name),
        Feature::ServiceChaining
        | Feature::Dependencies
        | Feature::Middleware
        | Feature::UrlSource
        | Feature::RegistrySource
        | Feature::Freeze
        | Feature::Optimize => true,
        Feature::ScriptSource(extension) => {
            Language::of(Path::new(&format!("script.{extension}"))).is_some()
        }
        _ => false,
    }
}

/// A component that a trigger names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Target<'a> {
    pub(crate) component: &'a ComponentId,
    /// How the trigger calls it.
    pub(crate) executor: &'a Executor,
    /// What it puts before it.
    pub(crate) middleware: &'a [Middleware],
}

/// The components that triggers name, how they are called and what stands before them, each
/// once.
pub(crate) fn targets(app: &App) -> Vec<Target<'_>> {
    let mut seen = HashSet::new();
    let targets = app.triggers.iter().filter_map(|trigger| match &trigger.kind {
        TriggerKind::Http(HttpTrigger { target, middleware, .. }) => match target {
            HttpTarget::Component { component, executor } => {
                Some(Target { component, executor, middleware })
            }
            HttpTarget::Static(_) | HttpTarget::Queue(_) => None,
        },
        TriggerKind::Event(event) => Some(event_target(&event.component)),
        TriggerKind::Command(CommandTrigger { component, executor, .. }) => {
            Some(Target { component, executor, middleware: &[] })
        }
        TriggerKind::Other { .. } => None,
    });
    let outputs = app.triggers.iter().filter_map(|trigger| match trigger.kind.output() {
        Some(Output::Component(id)) => Some(id),
        _ => None,
    });
    let targets = targets.chain(outputs.map(event_target));
    targets.filter(|target| seen.insert(*target)).collect()
}

/// A component that events wake.
fn event_target(component: &ComponentId) -> Target<'_> {
    Target { component, executor: &Executor::Detected, middleware: &[] }
}

/// The folders of a glob before its first wildcard.
pub(crate) fn fixed_part(glob: &str) -> PathBuf {
    let is_fixed = |part: &&str| !part.contains(['*', '?', '[']);
    glob.split('/').take_while(is_fixed).collect()
}

/// The folder that a file lies in.
pub(crate) fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_read_below_their_fixed_part() {
        let part = |glob| fixed_part(glob).display().to_string();
        assert_eq!(part("assets/**/*.png"), "assets");
        assert_eq!(part("a/b/c.txt"), "a/b/c.txt");
        assert_eq!(part("*.txt"), "");
        assert_eq!(part("a/b[0-9]/c"), "a");
    }
}
