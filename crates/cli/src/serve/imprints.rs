//! Code of tenants' components on a platform, which workers alone prepare and compile (decision 36). They leave
//! in the artifact cache what they prepared each component to; a process that serves finds its code by that,
//! and asks the control plane for what is missing. What is wrong with a component harms its worker only.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use dayfly_engine::{ArtifactCache, Digest, Engine, Stamp};
use dayfly_host::{Awaited, BoxError, ImageSource, Imprint, Made, Prepared, Unmade};
use dayfly_model::App;
use dayfly_model::platform::{AppId, ReleaseId};

use super::reconciler::Kept;
use crate::app::Target;

/// What a component's imprint is called. Another version of this program makes its own.
pub(crate) fn name(release: &ReleaseId, app: &App, target: &Target<'_>) -> Digest {
    let Target { component, executor, middleware } = target;
    // Not by its id: that of a component which came alone is its app's, and may have been another's first.
    let place = app.components.keys().position(|id| id == *component);
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("dayfly {version} imprint {release} {place:?} {executor:?} {middleware:?}");
    Digest::of(text.as_bytes())
}

/// Leaves an imprint for the processes that serve, and checks that they will find the code.
///
/// # Errors
/// If they would not: the disk may be full.
pub(crate) fn leave(engine: &Engine, name: &Digest, imprint: &Imprint) -> anyhow::Result<()> {
    let bytes = imprint.to_bytes();
    let is_left = cache(engine).zip(bytes).is_some_and(|(it, bytes)| it.keep_record(name, &bytes));
    match is_left && engine.load_cached(imprint.digest, imprint.flavour)?.is_some() {
        true => Ok(()),
        false => Err(anyhow!(Unkept)),
    }
}

/// Compiled code could not be kept, which is no fault of whoever uploaded it.
#[derive(Debug)]
pub(crate) struct Unkept;

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("compiled code could not be kept in the artifact cache: its disk may be full")
    }
}

impl std::error::Error for Unkept {}

/// A component of a release that is served.
pub(super) struct Component {
    pub(super) store: Arc<dyn Kept>,
    pub(super) app: AppId,
    pub(super) release: ReleaseId,
    /// Where the release is laid out.
    pub(super) folder: PathBuf,
    /// What its imprint is called.
    pub(super) name: Digest,
}

impl ImageSource for Component {
    fn stamp(&self) -> io::Result<Stamp> {
        // Nothing in it ever changes.
        self.folder.metadata().map(|folder| Stamp::of(&folder))
    }

    fn recipe(&self) -> Option<Digest> {
        None
    }

    fn prepare(&self, engine: &Engine) -> Result<Prepared, BoxError> {
        let cache = cache(engine).ok_or("this process has no artifact cache")?;
        let stand_in = match cache.record(&self.name).and_then(|it| Imprint::from_bytes(&it)) {
            None => None,
            Some(Imprint { digest, flavour, shape }) => {
                let made = |code| Prepared { made: Made::Code(code), shape };
                if let Some(code) = engine.load_cached(digest, flavour)? {
                    return Ok(made(code));
                }
                let baseline = engine.baseline(flavour)?;
                let code = baseline.map(|it| it.load_cached(digest, flavour)).transpose()?;
                code.flatten().map(made)
            }
        };
        if !cache.is_there() {
            let text =
                "was removed below this process (hint: send SIGHUP to the platform's supervisor)";
            return Err(format!("the artifact cache `{}` {text}", cache.path().display()).into());
        }
        let refused = self.store.want(&self.app, &self.release)?;
        match (stand_in, refused) {
            (Some(made), _) => Ok(made),
            (None, Some(why)) => Err(Unmade(why).into()),
            (None, None) => Err(Awaited.into()),
        }
    }
}

fn cache(engine: &Engine) -> Option<&ArtifactCache> {
    engine.cache()?.ok()
}
