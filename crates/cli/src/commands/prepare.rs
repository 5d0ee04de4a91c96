//! `dayfly prepare`: makes one uploaded release ready, as a process of its own that gives up everything
//! else first. `dayfly serve` starts it for each upload; it is hidden because nobody else needs it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use dayfly_control::Ready;
use dayfly_engine::{Digest, Engine, Flavour};
use dayfly_forge::fetch::Fetched;
use dayfly_forge::package::{self, PackageError};
use dayfly_host::{ImageSource as _, Imprint, Made, WORTH_A_BASELINE};
use dayfly_model::App;
use dayfly_model::platform::{AppName, Grants, ReleaseId, ReleaseManifest};
use rustix::process::{Pid, Resource, Rlimit, getppid, setrlimit};
use serde::{Deserialize, Serialize};

use crate::app::{self, targets};
use crate::engine::EngineArgs;
use crate::harden::{Harden, Needs};
use crate::serve::imprints::{self, Unkept};
use crate::source::Source;
use crate::{logging, oneshot, output, report};

/// Make a release ready
#[derive(Args)]
#[command(hide = true)]
pub(crate) struct Prepare {
    /// The platform's folder; only its blobs are read, and its releases written
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// The app, which a package of one component is called by
    #[arg(long, value_name = "NAME")]
    app: AppName,

    /// The release, whose manifest comes by standard input
    #[arg(long, value_name = "DIGEST")]
    release: ReleaseId,

    /// A folder for what it makes, which goes when it ends
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,

    /// How much of the disk the release may take, in bytes; without it the release is made again, and
    /// all of its code in full
    #[arg(long, value_name = "BYTES")]
    room: Option<u64>,

    /// The most memory that it may take, in bytes
    #[arg(long, value_name = "BYTES")]
    memory: u64,

    /// The most CPU time that it may take, in seconds
    #[arg(long, value_name = "SECONDS")]
    cpu: u64,

    /// The process that starts it, and waits for it
    #[arg(long, value_name = "ID")]
    parent: i32,

    #[arg(long, value_enum, default_value_t = Harden::Auto, value_name = "WHEN")]
    harden: Harden,

    #[command(flatten)]
    engine: EngineArgs,
}

/// What it says on standard output, if it comes to that.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The release is ready.
    Ready(Ready),
    /// It cannot be served, for this reason.
    Unservable(String),
    /// There is no room for it, as it takes so many bytes.
    NoRoom(u64),
}

/// The largest file that it writes, in bytes: a layer unpacked, an artifact, an image of memory.
const FILE_BYTES: u64 = 4 << 30;

/// How many files it has open.
const FILES: u64 = 1024;

impl Prepare {
    pub(crate) fn run(self) -> Result<ExitCode> {
        self.bound()?;
        logging::start_quietly();
        let mut manifest = Vec::new();
        let most = ReleaseManifest::MAX_BYTES as u64;
        std::io::stdin().lock().take(most).read_to_end(&mut manifest)?;
        let engine = self.engine.build(oneshot::INSTANCES, 0, [])?;
        let (blobs, releases) = (self.state.join("blobs"), self.state.join("releases"));
        let mut needs = Needs { read: vec![blobs.clone()], ..Needs::default() };
        needs.write = vec![releases.clone()];
        needs.write.extend(engine.config().cache_dir.clone());
        self.harden.apply(&needs)?;
        let folder = self.scratch.join("app");
        let said = match self.prepare(&engine, &manifest, &blobs, &folder) {
            Ok(ready) => {
                self.put(&folder, &releases)?;
                Said::Ready(ready)
            }
            Err(error) if error.is::<Unkept>() => return Err(error),
            Err(error) => match error.downcast_ref() {
                Some(PackageError::NoRoom { bytes, .. }) => Said::NoRoom(*bytes),
                // Whoever made the release learns nothing of where it lies here.
                _ => {
                    Said::Unservable(report::text(&error).replace(&*folder.to_string_lossy(), "."))
                }
            },
        };
        output::json(&serde_json::to_value(&said)?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Bounds what this process takes, before it reads anything of a stranger's.
    fn bound(&self) -> Result<()> {
        // Nobody would bound its time.
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // Who ended before that sends none.
        ensure!(getppid() == Pid::from_raw(self.parent), "whoever started this worker has ended");
        let bounds = [
            (Resource::Data, self.memory, self.memory),
            // At the first it ends with a signal of its own, by which it is told from one that is killed.
            (Resource::Cpu, self.cpu, self.cpu + 1),
            (Resource::Fsize, FILE_BYTES, FILE_BYTES),
            (Resource::Nofile, FILES, FILES),
            (Resource::Core, 0, 0),
        ];
        for (resource, most, last) in bounds {
            let bound = Rlimit { current: Some(most), maximum: Some(last) };
            setrlimit(resource, bound).with_context(|| format!("failed to bound {resource:?}"))?;
        }
        Ok(())
    }

    fn prepare(
        &self,
        engine: &Engine,
        manifest: &[u8],
        blobs: &Path,
        folder: &Path,
    ) -> Result<Ready> {
        let find = |digits: &str| {
            let path = blobs.join("sha256").join(digits);
            path.is_file().then_some(path)
        };
        let (name, room) = (self.app.as_str(), self.room.unwrap_or(u64::MAX));
        let laid_out_bytes = package::unpack(manifest, name, find, folder, room)?;
        let app = Arc::new(app::read(folder, None)?);
        app::refuse_unserved(&app)?;
        if app.triggers.is_empty() {
            return Err(anyhow!("the app has no trigger, so nothing would ever wake it"));
        }
        let makers = Makers { engine, baseline: engine.keeping_baseline() };
        let (mut components, mut component_bytes, mut stands_in) = (BTreeSet::new(), 0, false);
        let fetched = Arc::new(Fetched::default());
        for target in targets(&app) {
            let of = || format!("component `{}`", target.component);
            let source = Source::find(&app, target, &fetched, folder).with_context(of)?;
            let prepared = source.prepare(engine).map_err(|error| anyhow!(error));
            let prepared = prepared.with_context(of)?;
            let Made::Wasm(wasm) = prepared.made else {
                return Err(anyhow!("component `{}` is kept nowhere", target.component));
            };
            let flavour = Flavour::of(&wasm).with_context(of)?;
            let flavour = flavour.counted(counts(&app, target.component));
            let imprint = Imprint { digest: Digest::of(&wasm), flavour, shape: prepared.shape };
            let name = imprints::name(&self.release, &app, &target);
            stands_in |= makers.make(&wasm, &name, &imprint, self.is_first()).with_context(of)?;
            if components.insert(target.component) {
                component_bytes += wasm.len() as u64;
            }
        }
        Ok(Ready {
            version: app.version.clone(),
            grants: Grants::of(&app),
            components: u32::try_from(components.len())?,
            component_bytes,
            laid_out_bytes,
            stands_in,
        })
    }

    /// Whether it makes the release for the first time.
    fn is_first(&self) -> bool {
        self.room.is_some()
    }

    /// Gives the folder its name, once all of it is on the disk.
    fn put(&self, folder: &Path, releases: &Path) -> Result<()> {
        rustix::fs::syncfs(File::open(folder)?)?;
        let place = releases.join(self.release.digits());
        match std::fs::rename(folder, &place) {
            // Another process was faster.
            Err(_) if place.is_dir() => {}
            renamed => renamed?,
        }
        Ok(File::open(releases)?.sync_all()?)
    }
}

/// What makes code.
struct Makers<'e> {
    engine: &'e Engine,
    /// What makes code that answers sooner, where that is wanted.
    baseline: Option<Engine>,
}

impl Makers<'_> {
    /// Makes a component's code and leaves its imprint: of a large one first what answers soonest. For a first
    /// release that will do, and is said; the control plane has the rest made behind what is served.
    fn make(&self, wasm: &[u8], name: &Digest, imprint: &Imprint, is_first: bool) -> Result<bool> {
        let is_counted = imprint.flavour.is_counted();
        let load = if is_counted { Engine::load_counted } else { Engine::load };
        if let Some(baseline) = &self.baseline
            && wasm.len() >= WORTH_A_BASELINE
            && self.engine.load_at_hand(wasm, is_counted)?.is_none()
            && load(baseline, wasm).is_ok()
        {
            imprints::leave(baseline, name, imprint)?;
            if is_first {
                return Ok(true);
            }
        }
        load(self.engine, wasm)?;
        imprints::leave(self.engine, name, imprint)?;
        Ok(false)
    }
}

/// Whether a component's code counts its instructions.
fn counts(app: &App, component: &dayfly_model::ComponentId) -> bool {
    let component = app.components.get(component);
    component.is_some_and(|component| component.limits.instructions.is_some())
}
