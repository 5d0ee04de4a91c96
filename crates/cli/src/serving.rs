//! What an app that runs notes in its state folder for those who send events to it: the triggers that no
//! source stands behind, and where its routes are reached. The note counts as long as its file is locked,
//! and gets its name when it is whole.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

use dayfly_model::route::Segment;
use dayfly_model::{App, HttpTarget, HttpTrigger, TriggerKind};
use serde::{Deserialize, Serialize};

/// The note's name in the state folder.
const FILE: &str = "serving.json";

/// Its name while it is written.
const NEW: &str = "serving.json.new";

/// Locked by the process whose note it is.
const LOCK: &str = "serving.lock";

/// The longest note that is read, in bytes.
const MOST: u64 = 16 << 20;

/// The note.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Serving {
    /// What its routes are under, without a slash at the end; nothing if it has none that a client by TCP
    /// reaches.
    pub(crate) url: Option<String>,
    pub(crate) triggers: Vec<Noted>,
}

/// A trigger.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Noted {
    pub(crate) id: String,
    /// The component that it wakes, if it wakes one.
    pub(crate) component: Option<String>,
    pub(crate) kind: Kind,
}

/// What wakes a component.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Requests. `path` is the one that the route alone covers, or the shortest; nothing if it has parts
    /// that can be anything.
    Route { route: String, path: Option<String> },
    /// What happens on WebSockets.
    Websocket { route: String },
    /// The start of the app.
    Command,
}

/// The locked files of a note, once it is written.
pub(crate) type Kept = Arc<OnceLock<[File; 2]>>;

/// Notes in the state folder what an app serves, for as long as what is returned lives. Of several processes
/// with the same folder one does; the others wait in the background until it ends.
pub(crate) fn note(app: &App, url: Option<String>, state: &Path) -> Kept {
    let kept = Kept::default();
    if let Some(serving) = Serving::of(app, url)
        && let Err(error) = serving.keep(state.to_owned(), &kept)
    {
        unnoted(&error);
    }
    kept
}

fn unnoted(error: &io::Error) {
    tracing::debug!(%error, "`dayfly send` will not find the app's routes");
}

impl Serving {
    /// What is to be noted of an app; nothing if all its triggers have sources.
    fn of(app: &App, url: Option<String>) -> Option<Self> {
        let noted = app.triggers.iter().filter_map(|trigger| {
            let (component, kind) = match &trigger.kind {
                TriggerKind::Http(http) => of_route(http)?,
                TriggerKind::Command(command) => (Some(command.component.0.clone()), Kind::Command),
                TriggerKind::Event(_) | TriggerKind::Other { .. } => return None,
            };
            Some(Noted { id: trigger.id.clone(), component, kind })
        });
        let triggers: Vec<Noted> = noted.collect();
        (!triggers.is_empty()).then_some(Self { url, triggers })
    }

    fn keep(self, state: PathBuf, kept: &Kept) -> io::Result<()> {
        let lock =
            File::options().create(true).truncate(false).write(true).open(state.join(LOCK))?;
        let write = {
            let kept = kept.clone();
            move |lock| self.write(&state).map(|file| drop(kept.set([file, lock])))
        };
        match lock.try_lock() {
            Ok(()) => return write(lock),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let wait = move || {
            if let Err(error) = lock.lock().and_then(|()| write(lock)) {
                unnoted(&error);
            }
        };
        thread::Builder::new().name("note".to_owned()).spawn(wait).map(drop)
    }

    fn write(&self, state: &Path) -> io::Result<File> {
        let mut file = File::create(state.join(NEW))?;
        file.lock()?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        std::fs::rename(state.join(NEW), state.join(FILE))?;
        Ok(file)
    }

    /// What the app of a state folder has noted that runs now.
    pub(crate) fn find(state: &Path) -> Option<Self> {
        let file = File::open(state.join(FILE)).ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// What a route wakes; nothing for a private one.
fn of_route(http: &HttpTrigger) -> Option<(Option<String>, Kind)> {
    let route = http.route.as_ref()?;
    let component = match &http.target {
        HttpTarget::Component { component, .. } => Some(component.0.clone()),
        _ => None,
    };
    if http.websocket.is_some() {
        return Some((component, Kind::Websocket { route: route.full() }));
    }
    let parts = route.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => Some(format!("/{text}")),
        Segment::Param(_) | Segment::Mixed(_) => None,
    });
    let path: Option<String> = parts.collect();
    let path = path.map(|path| if path.is_empty() { "/".to_owned() } else { path });
    Some((component, Kind::Route { route: route.full(), path }))
}
