//! What a tenant's process asks of the platform's store: the node answers, and only what is the tenant's. Each
//! question has a connection of its own, by which one line goes there and one comes back.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use dayfly_model::platform::{
    Activation, AppId, AppName, ArtifactStore, BlobDigest, DomainName, Generation, Isolation,
    Quotas, ReleaseId, ReleaseStore, Setting, SettingName, Share, StoreFailure, TenantId, Usage,
    Used, UsedStore,
};
use dayfly_model::runtime_config::Secret;
use dayfly_store::UsageKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Message};
use crate::serve::usage::Ledger;

/// How long an answer may take, and how long the first one: the node may have to be started again.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_secs(100);
const PAUSE: Duration = Duration::from_millis(100);

/// The longest question, and the longest answer, in bytes.
pub(super) const QUESTION_BYTES: u64 = 8 << 20;
const ANSWER_BYTES: u64 = 256 << 20;

/// How many records of usage are told at once.
pub(super) const ROWS: usize = 1000;

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// Who this is for.
    Tenant,
    Generation,
    Stamps,
    Activation(AppName),
    Note {
        app: AppName,
        generation: Generation,
        error: Option<String>,
    },
    Want {
        app: AppName,
        release: ReleaseId,
    },
    Used,
    AddUsed(Used),
    Usage(Vec<Row>),
}

/// Whose process it is, and where that finds what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Own {
    pub(super) tenant: TenantId,
    /// The platform's folder, which is in no message to a tenant.
    pub(super) platform: PathBuf,
    /// Where its releases lie.
    pub(super) releases: PathBuf,
    /// What its apps keep lies in these.
    pub(super) states: Vec<PathBuf>,
}

/// What is active of an app.
#[derive(Serialize, Deserialize)]
pub(super) struct Active {
    number: u64,
    tenant_number: u64,
    generation: Generation,
    shares: Vec<(ReleaseId, u8, Option<String>)>,
    domains: Vec<DomainName>,
    settings: Vec<(SettingName, String, bool)>,
    quotas: Quotas,
    is_preview: bool,
    /// Where it keeps what it keeps.
    state: PathBuf,
}

/// What was used.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) app: AppName,
    pub(super) release: ReleaseId,
    pub(super) component: String,
    pub(super) usage: Usage,
}

/// The store as a tenant's process has it.
pub(super) struct Asking {
    channel: Arc<Channel>,
    number: u64,
    pub(super) own: Own,
    /// Where apps keep what they keep, by their numbers.
    states: Mutex<BTreeMap<u64, PathBuf>>,
    /// What became of activations, until the node has led their requests here.
    notes: Mutex<BTreeMap<AppName, (Generation, Option<String>)>>,
    /// How far the node has.
    seen: AtomicU64,
}

impl Ask {
    /// Whether it may be asked twice: what is added would be added twice.
    const fn is_harmless(&self) -> bool {
        !matches!(self, Self::AddUsed(_) | Self::Usage(_))
    }
}

impl Active {
    pub(super) fn of(activation: Activation, state: PathBuf) -> Self {
        let shares = activation.shares.into_iter();
        let settings = activation.settings.into_iter();
        Self {
            number: activation.number,
            tenant_number: activation.tenant_number,
            generation: activation.generation,
            shares: shares.map(|it| (it.release, it.percent, it.health_path)).collect(),
            domains: activation.domains.into_iter().collect(),
            settings: settings
                .map(|(name, Setting { value, is_secret })| (name, value.0.clone(), is_secret))
                .collect(),
            quotas: activation.quotas,
            is_preview: activation.is_preview,
            state,
        }
    }

    fn activation(self, app: AppId) -> Activation {
        let share = |(release, percent, health_path)| Share { release, percent, health_path };
        let settings = self.settings.into_iter();
        Activation {
            app,
            number: self.number,
            tenant_number: self.tenant_number,
            generation: self.generation,
            shares: self.shares.into_iter().map(share).collect(),
            domains: self.domains.into_iter().collect(),
            settings: settings
                .map(|(name, value, is_secret)| (name, Setting { value: Secret(value), is_secret }))
                .collect(),
            quotas: self.quotas,
            isolation: Isolation::OwnProcess,
            is_preview: self.is_preview,
        }
    }
}

impl Asking {
    /// Asks whose process this is, until there is an answer.
    ///
    /// # Errors
    /// If there is none in time.
    pub(super) fn begin(channel: Arc<Channel>, number: u64) -> Result<Self> {
        let began = Instant::now();
        let own = loop {
            match ask(&channel, &Ask::Tenant) {
                Ok(own) => break own,
                Err(error) if began.elapsed() > FIRST => return Err(error),
                Err(_) => thread::sleep(PAUSE),
            }
        };
        Ok(Self {
            channel,
            number,
            own,
            states: Mutex::default(),
            notes: Mutex::default(),
            seen: AtomicU64::new(0),
        })
    }

    /// The node leads everything up to this generation here.
    pub(super) fn seen(&self, generation: Generation) {
        self.seen.fetch_max(generation.0, Relaxed);
    }

    /// Asks, and once more where the node ended before it had answered: another one has taken its place.
    fn ask<T: DeserializeOwned>(&self, question: &Ask) -> Result<T, StoreFailure> {
        let began = Instant::now();
        loop {
            match ask(&self.channel, question) {
                Err(error)
                    if question.is_harmless()
                        && is_unanswered(&error)
                        && began.elapsed() < PATIENCE =>
                {
                    thread::sleep(PAUSE);
                }
                answered => return answered.map_err(|error| StoreFailure(error.into())),
            }
        }
    }

    /// Tells what became of activations that the node leads here, or does not serve any more.
    fn tell_notes(&self) -> Result<(), StoreFailure> {
        let seen = Generation(self.seen.load(Relaxed));
        let is_due = |(_, (generation, _)): &(&AppName, &(Generation, _))| *generation <= seen;
        let due: Vec<_> = self.notes().iter().filter(is_due).map(|it| it.0.clone()).collect();
        for app in due {
            let Some((generation, error)) = self.notes().get(&app).cloned() else { continue };
            self.ask::<()>(&Ask::Note { app: app.clone(), generation, error })?;
            let mut notes = self.notes();
            if notes.get(&app).is_some_and(|(noted, _)| *noted == generation) {
                notes.remove(&app);
            }
        }
        Ok(())
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<AppName, (Generation, Option<String>)>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<u64, PathBuf>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask<T: DeserializeOwned>(channel: &Channel, question: &Ask) -> Result<T> {
    let (mut own, theirs) = UnixStream::pair()?;
    own.set_read_timeout(Some(PATIENCE))?;
    own.set_write_timeout(Some(PATIENCE))?;
    channel.send(&Message::Ask, Some(&theirs))?;
    drop(theirs);
    own.write_all(&serde_json::to_vec(question)?)?;
    own.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    BufReader::new(own).take(ANSWER_BYTES).read_to_end(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_slice::<Result<T, String>>(&answer)?.map_err(|error| anyhow!(error))
}

/// Whether whoever took a question ended with it.
fn is_unanswered(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let is_cut = |error: &serde_json::Error| error.is_eof();
    let is_ended =
        |error: &io::Error| matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof);
    error.downcast_ref().is_some_and(is_ended) || error.downcast_ref().is_some_and(is_cut)
}

impl ReleaseStore for Asking {
    fn generation(&self) -> Result<Generation, StoreFailure> {
        self.tell_notes()?;
        self.ask(&Ask::Generation)
    }

    fn stamps(&self) -> Result<BTreeMap<AppId, Generation>, StoreFailure> {
        let stamps: BTreeMap<AppName, Generation> = self.ask(&Ask::Stamps)?;
        let tenant = &self.own.tenant;
        let stamps = stamps.into_iter();
        Ok(stamps.map(|(app, at)| (AppId { tenant: tenant.clone(), app }, at)).collect())
    }

    fn activation(&self, app: &AppId) -> Result<Option<Activation>, StoreFailure> {
        let active: Option<Active> = self.ask(&Ask::Activation(app.app.clone()))?;
        Ok(active.map(|active| {
            self.states().insert(active.number, active.state.clone());
            active.activation(app.clone())
        }))
    }

    /// It is told once the node leads the app's requests here: who waits for it may ask.
    fn note(
        &self,
        app: &AppId,
        generation: Generation,
        outcome: Result<(), &str>,
    ) -> Result<(), StoreFailure> {
        let error = outcome.err().map(str::to_owned);
        self.notes().insert(app.app.clone(), (generation, error));
        Ok(())
    }
}

impl ArtifactStore for Asking {
    fn blob(&self, _: &BlobDigest) -> Result<Option<PathBuf>, StoreFailure> {
        Ok(None)
    }

    fn release_folder(&self, release: &ReleaseId) -> PathBuf {
        self.own.releases.join(release.digits())
    }

    fn state_folder(&self, _: u64, number: u64) -> PathBuf {
        let known = self.states().get(&number).cloned();
        known
            .or_else(|| Some(self.own.states.first()?.join(number.to_string())))
            .unwrap_or_default()
    }

    fn want(&self, app: &AppId, release: &ReleaseId) -> Result<Option<String>, StoreFailure> {
        self.ask(&Ask::Want { app: app.app.clone(), release: release.clone() })
    }
}

impl UsedStore for Asking {
    fn used(&self, _: &TenantId) -> Result<Used, StoreFailure> {
        self.ask(&Ask::Used)
    }

    fn add_used(&self, all: &[(TenantId, Used)]) -> Result<(), StoreFailure> {
        all.iter().try_for_each(|(_, used)| self.ask(&Ask::AddUsed(*used)))
    }
}

impl Ledger for Arc<Asking> {
    fn add(&mut self, used: &BTreeMap<UsageKey, Usage>) -> Result<()> {
        let rows = used.iter().filter(|(key, _)| key.tenant == self.number);
        let rows = rows.map(|(key, usage)| {
            let (app, release) = (key.app.parse()?, key.release.parse()?);
            Ok(Row { app, release, component: key.component.clone(), usage: usage.clone() })
        });
        let mut rows = rows.collect::<Result<Vec<_>>>()?;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(ROWS));
            ask::<()>(&self.channel, &Ask::Usage(rows))?;
            rows = rest;
        }
        Ok(())
    }

    /// The node does.
    fn prune(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the next question, and answers it or ends.
    fn take(node: &Channel, answer: Option<&str>) {
        let Some((Message::Ask, Some(mut stream))) = node.receive().unwrap() else {
            panic!("another message");
        };
        if let Some(answer) = answer {
            let mut question = String::new();
            stream.read_to_string(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    }

    fn asking(process: Channel) -> Asking {
        Asking {
            channel: Arc::new(process),
            number: 1,
            own: Own {
                tenant: "acme".parse().unwrap(),
                platform: PathBuf::new(),
                releases: PathBuf::new(),
                states: Vec::new(),
            },
            states: Mutex::default(),
            notes: Mutex::default(),
            seen: AtomicU64::new(0),
        }
    }

    #[test]
    fn what_a_node_took_that_ended_is_asked_the_next_one() {
        let (node, process) = Channel::new().unwrap();
        let asking = asking(Channel::of(process));
        let answering = thread::spawn(move || {
            take(&node, None);
            take(&node, Some("{\"Ok\":"));
            take(&node, Some("{\"Ok\":7}"));
            // What is added is not added twice.
            take(&node, None);
            take(&node, Some("{\"Err\":\"it cannot say\"}"));
        });
        assert_eq!(asking.generation().unwrap(), Generation(7));
        let used = Used { month: 0, cpu_us: 1, day: 0, log_bytes: 1, state_bytes: 1 };
        asking.add_used(&[("acme".parse().unwrap(), used)]).unwrap_err();
        // An answer is an answer.
        asking.generation().unwrap_err();
        answering.join().unwrap();
    }
}
