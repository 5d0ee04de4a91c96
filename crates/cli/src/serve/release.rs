//! From what is active of an app to what the node serves of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dayfly_capabilities::variables::{Providers, VariableError, Variables};
use dayfly_capabilities::{Account, Backends};
use dayfly_host::{BoxError, Image, Part, Recipe, Release, Rollout};
use dayfly_model::platform::{Activation, Quotas, ReleaseId};
use dayfly_model::{App, Component, EventSource, Limits, RuntimeConfig, TriggerKind};

use super::imprints;
use super::log::{ComponentLog, Logs};
use super::reconciler::Kept;
use super::usage::Counting;
use crate::app::{self, kept, targets};
use crate::report;

/// What the node makes releases with, of all apps.
pub(super) struct Making {
    /// Where releases are laid out, and who is asked for code that is missing.
    pub(super) store: Arc<dyn Kept>,
    /// What the operator says of every app's surroundings.
    pub(super) config: RuntimeConfig,
    /// Where guests' lines go.
    pub(super) logs: Logs,
    /// Where what they use is counted.
    pub(super) counting: Arc<Counting>,
}

/// What is around an activation.
pub(super) struct Around<'a> {
    pub(super) making: &'a Arc<Making>,
    /// The ids of what is served of it now.
    pub(super) there: &'a [Arc<str>],
    /// What stands behind that, if it is awake.
    pub(super) former: Option<&'a Backends>,
    /// What its tenant may take.
    pub(super) account: Arc<Account>,
    /// Whether its events are taken in here.
    pub(super) takes_events: bool,
    /// Whether what is served of it now was not looked at.
    pub(super) is_unlooked: bool,
}

/// How a release of an app is made, again and again: all that a node has of an app that nobody asks for. It
/// looks into no database, so that what is asked for is served whatever became of that.
struct Blueprint {
    making: Arc<Making>,
    activation: Arc<Activation>,
    id: ReleaseId,
    account: Arc<Account>,
}

/// What the node is to serve.
///
/// # Errors
/// If a release cannot be read, or lacks a variable.
pub(super) fn rollout(
    activation: &Activation,
    hosts: Vec<String>,
    around: &Around<'_>,
) -> Result<Rollout> {
    let surroundings = surroundings(activation);
    // Of the rest there is enough in the node for each of thousands of apps.
    let bare = Activation {
        shares: Vec::new(),
        domains: BTreeSet::new(),
        settings: activation.settings.clone(),
        app: activation.app.clone(),
        quotas: activation.quotas.clone(),
        ..*activation
    };
    let bare = Arc::new(bare);
    let parts = activation.shares.iter().map(|share| {
        let id: Arc<str> = format!("{} {surroundings:016x}", share.release).into();
        let blueprint = Blueprint {
            making: around.making.clone(),
            activation: bare.clone(),
            id: share.release.clone(),
            account: around.account.clone(),
        };
        let release = match around.there.contains(&id) {
            true => None,
            false => Some(blueprint.release(around.former)?),
        };
        let is_looked_at = release.is_some() || around.is_unlooked;
        let health_path = share.health_path.clone().filter(|_| is_looked_at);
        let percent = share.percent.into();
        // Where somebody has asked for the app, its next release is at hand for whoever does next.
        let recipe = around.former.is_none().then(|| Arc::new(blueprint) as Arc<dyn Recipe>);
        Ok(Part { id, percent, release, health_path, recipe })
    });
    let (releases, takes_events) = (parts.collect::<Result<_>>()?, around.takes_events);
    Ok(Rollout { hosts, releases, preload: false, takes_events })
}

/// What tells one surrounding of a release from another, within this process.
fn surroundings(activation: &Activation) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, setting) in &activation.settings {
        (name, &setting.value.0).hash(&mut hasher);
    }
    // What else there is of quotas is changed while a release is served.
    let Quotas { memory_bytes, cpu_ms, .. } = activation.quotas;
    (memory_bytes, cpu_ms).hash(&mut hasher);
    hasher.finish()
}

impl Recipe for Blueprint {
    fn make(&self, former: Option<&Backends>) -> Result<Release, BoxError> {
        Ok(self.release(former)?)
    }
}

impl Blueprint {
    fn release(&self, former: Option<&Backends>) -> Result<Release> {
        let Self { making, activation, id, .. } = self;
        let folder = making.store.release_folder(id);
        if !folder.is_dir() {
            return Err(anyhow!("release `{id}` is not laid out"));
        }
        let state = making.store.state_folder(activation.tenant_number, activation.number);
        kept::unlinked(&state)?;
        let app = read(activation, &folder, &state)?;
        self.around(Arc::new(app), (folder, state), former)
    }

    /// Puts what its surroundings are around an app that lies in a folder.
    fn around(
        &self,
        app: Arc<App>,
        (folder, state): (PathBuf, PathBuf),
        former: Option<&Backends>,
    ) -> Result<Release> {
        let Self { making, activation, id, account } = self;
        let Making { store, config, logs, counting } = &**making;
        std::fs::create_dir_all(&state)
            .with_context(|| format!("failed to create `{}`", state.display()))?;
        let log = logs.of(activation.number, &state);
        let variables = variables(activation, &app)?;
        let images = targets(&app).into_iter().map(|target| Image {
            component: target.component.clone(),
            executor: target.executor.clone(),
            middleware: target.middleware.to_vec(),
            source: Box::new(imprints::Component {
                store: store.clone(),
                app: activation.app.clone(),
                release: id.clone(),
                folder: folder.clone(),
                name: imprints::name(id, &app, &target),
            }),
            log: Arc::new(ComponentLog::new(&log, &activation.app, id, &target.component.0)),
            usage: Some(counting.of(activation, id, &target.component.0)),
        });
        let images = images.collect();
        let mut backends = match former {
            Some(former) => Backends::after(former, &app, variables, config.clone())?,
            None => Backends::new(&app, variables, state, config.clone())?,
        };
        let missing = backends.missing(&app).into_iter().map(|error| Err::<(), _>(error.into()));
        report::all(missing)?;
        backends.queues.charge(account);
        backends.account = Some(account.clone());
        let usage = Some(counting.of(activation, id, ""));
        Ok(Release { app, images, backends: Arc::new(backends), usage })
    }
}

/// Reads the app, with what its tenant sets and may have.
fn read(activation: &Activation, folder: &Path, state: &Path) -> Result<App> {
    let mut app = app::read(folder, None)?;
    app::refuse_unserved(&app)?;
    if activation.is_preview {
        // What is live has the schedules and the subscriptions.
        app.triggers.retain(|trigger| is_own(&trigger.kind));
    }
    let environment: BTreeMap<String, String> = activation
        .settings
        .iter()
        .filter(|(name, _)| !app.variables.contains_key(name.as_str()))
        .map(|(name, setting)| (name.to_string(), setting.value.0.clone()))
        .collect();
    for component in app.components.values_mut() {
        component.environment.extend(environment.clone());
        bound(component, &activation.quotas);
    }
    kept::writable(&mut app, state)?;
    Ok(app)
}

/// Whether nothing wakes a component by this but the app itself, or who asks it.
fn is_own(kind: &TriggerKind) -> bool {
    match kind {
        TriggerKind::Event(event) => matches!(event.source, EventSource::Queue(_)),
        TriggerKind::Http(_) | TriggerKind::Command(_) | TriggerKind::Other { .. } => true,
    }
}

/// How many times its default a limit may be that has no quota.
const MORE: u32 = 4;

/// The longest that a request of a tenant may take, unless the default is more.
const LONGEST: Duration = Duration::from_secs(300);

/// Bounds a component by its tenant's quotas, which may have become smaller since it was uploaded.
fn bound(component: &mut Component, quotas: &Quotas) {
    let most = most(&Limits::of_source(&component.source), quotas);
    component.limits.lower_to(&most);
}

/// The limits that no manifest of a tenant raises further.
fn most(usual: &Limits, quotas: &Quotas) -> Limits {
    let more = u64::from(MORE);
    Limits {
        memory_bytes: quotas.memory_bytes,
        table_elements: usual.table_elements * more,
        stack_bytes: usual.stack_bytes * more,
        cpu: Duration::from_millis(quotas.cpu_ms),
        // Whoever counts them has the CPU time as well.
        instructions: None,
        time: usual.time.max(LONGEST),
        // The tenant's account bounds them, with those of its other components.
        concurrency: u32::MAX,
        body_bytes: usual.body_bytes * more,
        output_bytes: usual.output_bytes * more,
        header_bytes: usual.header_bytes * more,
        log_bytes: usual.log_bytes * more,
        log_rate_bytes: usual.log_rate_bytes * more,
        files: usual.files * MORE,
        sockets: usual.sockets * MORE,
        outbound: usual.outbound * MORE,
        depth: usual.depth * MORE,
        resources: usual.resources * MORE,
        database_bytes: usual.database_bytes * more,
    }
}

fn variables(activation: &Activation, app: &App) -> Result<Variables> {
    let values = activation.settings.iter();
    let values = values
        .filter(|(name, _)| app.variables.contains_key(name.as_str()))
        .map(|(name, setting)| (name.to_string(), setting.value.0.clone()));
    Providers::given(values.collect()).resolve(app).map_err(|error| {
        let hint = "set it by `dayfly env` or `dayfly secrets`";
        let is_missing = matches!(error, VariableError::Missing(_));
        report::hint(error, is_missing.then_some(hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_raises_no_limit_as_it_likes() {
        let usual = Limits::default();
        let quotas = Quotas::default();
        let mut limits = Limits { time: Duration::from_secs(86_400), ..usual.clone() };
        (limits.header_bytes, limits.resources, limits.concurrency) = (1 << 40, u32::MAX, u32::MAX);
        limits.log_rate_bytes = 2 * usual.log_rate_bytes;
        limits.lower_to(&most(&usual, &quotas));
        assert_eq!(limits.time, LONGEST);
        assert_eq!((limits.header_bytes, limits.resources), (512 << 10, 40_000));
        assert_eq!(limits.concurrency, u32::MAX, "of all the tenant's, its account bounds");
        assert_eq!(limits.log_rate_bytes, 2 * usual.log_rate_bytes, "within what is allowed");
    }
}
