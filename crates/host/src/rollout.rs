//! What a node is told to serve of an app: which releases, who gets which part of the requests, and under
//! which hosts.

use std::fmt;
use std::sync::Arc;

use dayfly_capabilities::Backends;

use crate::BoxError;
use crate::dispatch::ActivateError;
use crate::front;
use crate::release::Release;

/// An app of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppKey {
    /// Who owns it.
    pub tenant: Arc<str>,
    /// Its name, which none of the tenant's other apps has.
    pub app: Arc<str>,
}

impl AppKey {
    /// The app of that name of a tenant.
    pub fn new(tenant: impl Into<Arc<str>>, app: impl Into<Arc<str>>) -> Self {
        Self { tenant: tenant.into(), app: app.into() }
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.app)
    }
}

/// What is to be served of an app from now on.
pub struct Rollout {
    /// The hosts that it answers, without ports. A node of one app answers all.
    pub hosts: Vec<String>,
    /// The releases that share its requests, together a hundred percent; events are the first one's.
    pub releases: Vec<Part>,
    /// Whether every component is loaded before anything changes: what cannot be is an error then, and
    /// not one of the first request's.
    pub preload: bool,
    /// Whether the node takes in the app's events, once it does at all. If not, another process still
    /// does, and the same is put again when that has ended.
    pub takes_events: bool,
}

/// The part of an app's requests that one release gets.
pub struct Part {
    /// Tells the release from others of the app: what it is made of, with its surroundings.
    pub id: Arc<str>,
    /// How many of a hundred requests it gets.
    pub percent: u32,
    /// The release; nothing if it is one that is served already.
    pub release: Option<Release>,
    /// A path that the release has to answer with a status from 200 to 399 before anything changes.
    pub health_path: Option<String>,
    /// How the release is made once more, where it may sleep until its first request comes. It does, if it
    /// has the app's requests for itself and no event triggers, and nothing is asked of it before.
    pub recipe: Option<Arc<dyn Recipe>>,
}

/// Makes a release that was made before. A node that has many apps, few of which anybody asks for, has no more
/// than this of most.
pub trait Recipe: Send + Sync {
    /// Makes the release once more; `former` is what stands behind another one that still runs. It blocks.
    ///
    /// # Errors
    /// If what it is made of is not there any more.
    fn make(&self, former: Option<&Backends>) -> Result<Release, BoxError>;
}

impl Rollout {
    /// One release that gets all requests.
    pub fn whole(id: impl Into<Arc<str>>, release: Release) -> Self {
        let (id, release) = (id.into(), Some(release));
        let part = Part { id, percent: 100, release, health_path: None, recipe: None };
        Self { hosts: Vec::new(), releases: vec![part], preload: false, takes_events: true }
    }

    /// Checks what it says, and gives its hosts back as they are looked for.
    pub(crate) fn hosts(&self) -> Result<Vec<Arc<str>>, ActivateError> {
        let percent = |sum: u32, part: &Part| sum.saturating_add(part.percent);
        if self.releases.iter().fold(0, percent) != 100 {
            return Err(ActivateError::Rollout("the parts of the releases are not 100 percent"));
        }
        let twice = |(index, part): (usize, &Part)| {
            self.releases[..index].iter().any(|other| other.id == part.id)
        };
        if self.releases.iter().enumerate().any(twice) {
            return Err(ActivateError::Rollout("a release has two parts"));
        }
        Ok(self.hosts.iter().map(|host| front::name(host).into()).collect())
    }
}
