//! Drafts: what a script is while somebody works on it, until the next save. It goes on from its
//! interpreter, which was started before, and becomes code at once: no component is made of it, nothing
//! is written to a disk, and only the last is kept.
//!
//! What is drawn at random while the interpreter starts (seeds of hash tables) is the same for all drafts
//! of a language, because no app is there yet.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blake3::Hash;
use dayfly_engine::{Code, Digest, Engine, Freezable, Freezing, Stamp};
use dayfly_model::{HandlerShape, Source};

use crate::fetch::Fetched;
use crate::freeze::{self, FreezeError, FreezeTerms, Freezer, FrozenFolder};
use crate::inspect::inspect;
use crate::pipeline::{self, Failure, ForgeError, Job, Prepared};
use crate::rename::rename;
use crate::resolve;
use crate::script::{self, BOOT, BUNDLER, KeptBundler, Language, SettingError};

/// What starts an interpreter.
const START: &str = "start";

/// What loads the app into an interpreter that was started.
const LOAD: &str = "initialize";

/// So many interpreters that were started are remembered, each with its memory; there are more only where
/// the names of scripts change.
const MAX_STARTED: usize = 16;

/// What the components of one process are made to while somebody works on them.
#[derive(Default)]
pub struct Drafts {
    started: Mutex<HashMap<Setting, Slot>>,
    /// Interpreters that nobody has started yet.
    awaited: Mutex<Vec<(Setting, FreezeTerms)>>,
    bundler: KeptBundler,
    /// By the component's name.
    last: Mutex<HashMap<String, Option<Last>>>,
}

/// What decides how an interpreter starts: its language, the folder with its boot files, and what the
/// folders are called that it will find.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Setting {
    language: Language,
    boot: PathBuf,
    guests: Vec<String>,
}

/// An interpreter that was started. Who starts it holds the lock, and others wait.
type Slot = Arc<Mutex<Option<Freezable>>>;

/// The last draft of a component, and what it was made of.
#[derive(Clone)]
struct Last {
    /// Its files, if a change of them would have shown.
    stamp: Option<Stamp>,
    seed: Hash,
    draft: Draft,
}

/// Code of a component, and how it takes an event.
#[derive(Clone)]
pub struct Draft {
    /// The code.
    pub code: Code,
    /// How it takes an event.
    pub shape: HandlerShape,
}

/// What a component was made to.
pub enum Drafted {
    /// A component: the first time, since what was made of the same before may be at hand.
    Component(Prepared),
    /// Code.
    Code(Draft),
}

impl fmt::Debug for Drafts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drafts").finish_non_exhaustive()
    }
}

/// Makes a draft of a script; `None` if the component is none, or is more than a script. `stamp` tells
/// versions of its files apart.
///
/// # Errors
/// As [`prepare`](crate::prepare).
pub fn draft(
    job: &Job<'_>,
    drafts: &Drafts,
    stamp: &dyn Fn() -> Option<Stamp>,
) -> Result<Option<Drafted>, ForgeError> {
    let (None, None, Some(freezer), Source::File(file)) =
        (&job.composition, &job.optimiser, job.freezer, job.source)
    else {
        return Ok(None);
    };
    let Some(language) = Language::of(file) else { return Ok(None) };
    let is_same = |last: &Last| last.stamp.is_some() && last.stamp == stamp();
    if let Some(draft) = drafts.last(job.component, freezer.engine, is_same) {
        return Ok(Some(Drafted::Code(draft)));
    }
    let drafted = drafts.make(job, freezer, language, stamp);
    drafted.map(Some).map_err(|failure| job.failed(failure.advised(&job.location())))
}

impl Drafts {
    /// Starts the interpreters that will be wanted next, and makes better code of the bundler if that is in
    /// use. It blocks, for as long as that takes; what goes wrong is told to who wants one.
    pub fn start(&self, engine: &Engine, fetched: &Fetched) {
        let awaited = std::mem::take(&mut *lock(&self.awaited));
        for (setting, terms) in awaited {
            if let Err(error) = self.started(&setting, engine, Some(fetched), &terms) {
                tracing::debug!(%error, language = %setting.language, "interpreter is not started");
            }
        }
        self.bundler.improve(engine, fetched.package(&BUNDLER));
    }

    /// The last draft of a component, if it is the one that is wanted.
    fn last(
        &self,
        component: &str,
        engine: &Engine,
        is_wanted: impl FnOnce(&Last) -> bool,
    ) -> Option<Draft> {
        let last = lock(&self.last).get(component)?.clone()?;
        (engine.accepts(&last.draft.code) && is_wanted(&last)).then_some(last.draft)
    }

    fn make(
        &self,
        job: &Job<'_>,
        freezer: Freezer<'_>,
        language: Language,
        stamp: &dyn Fn() -> Option<Stamp>,
    ) -> Result<Drafted, Failure> {
        let before = stamp();
        let terms = script::terms(&job.location(), &freezer, Some(&self.bundler))?;
        let setting = Setting::of(language, &terms);
        if !lock(&self.last).contains_key(job.component) {
            let prepared = pipeline::prepare_on(job, &terms)?;
            lock(&self.last).insert(job.component.to_owned(), None);
            lock(&self.awaited).push((setting, terms.into_owned()));
            return Ok(Drafted::Component(prepared));
        }
        let (engine, fetched) = (freezer.engine, job.fetched);
        let started = self.started(&setting, engine, fetched, &terms)?;
        // This may compile, which takes long, and files change meanwhile: they are looked at afterwards.
        let freezing = engine.freezing_from(&started).map_err(FreezeError::Engine);
        let freezing = freezing.map_err(Failure::freeze)?;
        // The interpreter is known by its digest.
        let (seed, is_whole) = freeze::seed(language.interpreter().digest.as_bytes(), &terms);
        let is_wanted = |last: &Last| is_whole && last.seed == seed;
        if let Some(draft) = self.last(job.component, engine, is_wanted) {
            return Ok(Drafted::Code(draft));
        }
        let code = load(freezing, &terms, &seed).map_err(Failure::freeze)?;
        let draft = Draft { code, shape: pipeline::shape(job, &inspect(started.wasm())?)? };
        // What changed meanwhile may or may not be in it.
        let is_sure = is_whole && before.is_some() && before == stamp();
        let stamp = before.filter(Stamp::is_settled);
        let last = is_sure.then(|| Last { stamp, seed, draft: draft.clone() });
        lock(&self.last).insert(job.component.to_owned(), last);
        Ok(Drafted::Code(draft))
    }

    fn slot(&self, setting: &Setting) -> Slot {
        let mut started = lock(&self.started);
        if started.len() >= MAX_STARTED && !started.contains_key(setting) {
            started.clear();
        }
        started.entry(setting.clone()).or_default().clone()
    }

    /// An interpreter that was started in this setting, or is now.
    fn started(
        &self,
        setting: &Setting,
        engine: &Engine,
        fetched: Option<&Fetched>,
        terms: &FreezeTerms,
    ) -> Result<Freezable, Failure> {
        let slot = self.slot(setting);
        let mut slot = lock(&slot);
        if let Some(started) = &*slot {
            return Ok(started.clone());
        }
        let cache = engine.cache().and_then(Result::ok);
        let wasm = resolve::interpreter(setting.language, fetched, cache)?;
        let wasm = rename(wasm)?.0;
        let started = start(engine, wasm, &setting.terms(terms)?).map_err(Failure::freeze)?;
        Ok(slot.insert(started).clone())
    }
}

impl Setting {
    fn of(language: Language, terms: &FreezeTerms) -> Self {
        let guests = terms.folders.iter().map(|folder| folder.guest.clone()).collect();
        let boot = terms.folders.iter().rfind(|folder| folder.guest == BOOT);
        let boot = boot.map(|folder| folder.host.clone()).unwrap_or_default();
        Self { language, boot, guests }
    }

    /// What an interpreter may use while it starts: the same folders, of which all but that of its boot
    /// files are empty.
    fn terms(&self, terms: &FreezeTerms) -> Result<FreezeTerms, SettingError> {
        let empty = script::empty_beside(&self.boot)?;
        let host = |guest: &String| if guest == BOOT { &self.boot } else { &empty }.clone();
        let folder = |guest: &String| FrozenFolder { host: host(guest), guest: guest.clone() };
        let folders = self.guests.iter().map(folder).collect();
        Ok(FreezeTerms { folders, initialiser: Some(START.to_owned()), ..terms.clone() })
    }
}

/// Starts an interpreter.
fn start(engine: &Engine, wasm: Vec<u8>, terms: &FreezeTerms) -> Result<Freezable, FreezeError> {
    let (seed, _) = freeze::seed(&wasm, terms);
    let freezable = engine.freezable(wasm).map_err(FreezeError::Engine)?;
    let freezing = engine.freezing_from(&freezable).map_err(FreezeError::Engine)?;
    let stop = async |it: Freezing, store, instance| it.stop(store, instance).await;
    Ok(freeze::run_blocking(freezing, (terms, &seed), START, stop)?.0)
}

/// Loads an app into an interpreter that was started.
fn load(freezing: Freezing, terms: &FreezeTerms, seed: &Hash) -> Result<Code, FreezeError> {
    let digest = Digest::from(*seed.as_bytes());
    let end = async |it: Freezing, store, instance| it.finish_here(store, instance, digest).await;
    Ok(freeze::run_blocking(freezing, (terms, seed), LOAD, end)?.0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
