//! Tells which files have other contents than before. Whoever writes a file as it was, as editors and
//! build tools do, has changed nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dayfly_engine::Digest;
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::inputs::is_passed_over;

/// How long to wait at most for what changes at the same time.
const TOGETHER: Duration = Duration::from_millis(500);

/// Of a larger file, its length and time tell whether it changed.
const READ_BYTES: u64 = 64 << 20;

/// How many folders are looked at.
const FOLDERS: usize = 50_000;

/// Looks at folders.
pub(super) struct Watcher {
    notify: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    /// The folders that are looked at, and whether new ones within them are, too.
    folders: HashMap<PathBuf, bool>,
    /// What files held when they were looked at last.
    known: HashMap<PathBuf, Option<Digest>>,
}

impl Watcher {
    pub(super) fn new() -> Result<Self> {
        let (sender, events) = channel();
        let notify = notify::recommended_watcher(sender).context("failed to watch files")?;
        Ok(Self { notify, events, folders: HashMap::new(), known: HashMap::new() })
    }

    /// Looks at these folders from now on, and where that is said at what is in their folders. Files that
    /// `matter` and were not known are.
    pub(super) fn follow(
        &mut self,
        places: &BTreeMap<PathBuf, bool>,
        matter: impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let gone: Vec<PathBuf> = self
            .folders
            .keys()
            .filter(|folder| !is_looked_at(places, folder) || !folder.is_dir())
            .cloned()
            .collect();
        for folder in gone {
            self.folders.remove(&folder);
            let _ = self.notify.unwatch(&folder);
        }
        for (folder, is_deep) in places {
            self.look_at(folder, *is_deep, &matter)?;
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        folder: &Path,
        is_deep: bool,
        matter: &impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let mut left = vec![folder.to_owned()];
        while let Some(folder) = left.pop() {
            // What is not there yet comes with a build.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            if self.folders.len() >= FOLDERS {
                anyhow::bail!("`{}` holds too many folders to watch", folder.display());
            }
            if self.folders.get(&folder).is_none_or(|known| is_deep && !known) {
                let watched = self.notify.watch(&folder, RecursiveMode::NonRecursive);
                watched.with_context(|| format!("failed to watch `{}`", folder.display()))?;
                self.folders.insert(folder.clone(), is_deep);
            }
            for entry in entries.flatten() {
                let path = entry.path();
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() && is_deep && !is_passed_over(&entry.file_name()) {
                    left.push(path);
                } else if !kind.is_dir() && matter(&path) && !self.known.contains_key(&path) {
                    self.known.insert(path.clone(), held(&path));
                }
            }
        }
        Ok(())
    }

    /// Takes files as they are now for known.
    pub(super) fn learn<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>) {
        for file in files {
            self.known.insert(file.to_owned(), held(file));
        }
    }

    /// Waits until files that `matter` have changed and nothing more has for a while, and tells which;
    /// none if it waited for so long in vain.
    ///
    /// # Errors
    /// If folders can no longer be looked at.
    pub(super) fn changed(
        &mut self,
        (patience, quiet): (Duration, Duration),
        matter: impl Fn(&Path) -> bool,
    ) -> Result<Vec<PathBuf>> {
        let mut touched = HashSet::new();
        match self.events.recv_timeout(patience) {
            Ok(event) => self.note(event, &mut touched, &matter)?,
            Err(RecvTimeoutError::Timeout) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("files are no longer watched"),
        }
        let until = Instant::now() + TOGETHER;
        while let Ok(event) = self.events.recv_timeout(quiet) {
            self.note(event, &mut touched, &matter)?;
            if Instant::now() >= until {
                break;
            }
        }
        let mut changed = Vec::new();
        for path in touched.into_iter().filter(|path| matter(path)) {
            let held = held(&path);
            if self.known.get(&path) != Some(&held) {
                self.known.insert(path.clone(), held);
                changed.push(path);
            }
        }
        changed.sort_unstable();
        Ok(changed)
    }

    fn note(
        &mut self,
        event: notify::Result<Event>,
        touched: &mut HashSet<PathBuf>,
        matter: &impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(target: "dayfly::watch", %error, "some changes may be missed");
                return Ok(());
            }
        };
        if event.need_rescan() {
            // Too much at once for the system to tell: every file is looked at.
            touched.extend(self.known.keys().cloned());
            return Ok(());
        }
        let is_read = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => true,
            _ => false,
        };
        if is_read {
            return Ok(());
        }
        let is_gone = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
        );
        for path in event.paths {
            let is_deep =
                path.parent().is_some_and(|folder| self.folders.get(folder) == Some(&true));
            let is_shown = path.file_name().is_some_and(|name| !is_passed_over(name));
            // Another of its name may be there already.
            if (is_gone || !path.is_dir()) && self.folders.remove(&path).is_some() {
                let _ = self.notify.unwatch(&path);
                touched.extend(self.known.keys().filter(|known| known.starts_with(&path)).cloned());
            }
            if is_deep && is_shown && path.is_dir() && !self.folders.contains_key(&path) {
                self.look_in_new(&path, touched, matter)?;
            }
            touched.insert(path);
        }
        Ok(())
    }

    /// Looks at a folder that has just come: what is in it is new, too.
    fn look_in_new(
        &mut self,
        folder: &Path,
        touched: &mut HashSet<PathBuf>,
        matter: &impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let before: HashSet<PathBuf> = self.known.keys().cloned().collect();
        self.look_at(folder, true, matter)?;
        let new: Vec<PathBuf> =
            self.known.keys().filter(|path| !before.contains(*path)).cloned().collect();
        for path in &new {
            self.known.remove(path);
        }
        touched.extend(new);
        touched.extend(before.into_iter().filter(|path| path.starts_with(folder)));
        Ok(())
    }
}

/// Whether a folder is one of these, or in one of those of which that is said.
fn is_looked_at(places: &BTreeMap<PathBuf, bool>, folder: &Path) -> bool {
    if places.contains_key(folder) {
        return true;
    }
    folder.ancestors().skip(1).any(|above| places.get(above) == Some(&true))
}

/// What a file holds; nothing if there is none.
fn held(path: &Path) -> Option<Digest> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    if metadata.len() > READ_BYTES {
        let text = format!("{} {:?}", metadata.len(), metadata.modified());
        return Some(Digest::of(text.as_bytes()));
    }
    fs::read(path).ok().map(|bytes| Digest::of(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(50));
    const SHORT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(50));

    #[test]
    fn other_contents_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let file = |path: &str| root.join(path);
        fs::create_dir_all(file("src/deep")).unwrap();
        fs::create_dir_all(file("target")).unwrap();
        fs::write(file("src/a.txt"), "a").unwrap();
        let matter = |path: &Path| path.extension().is_some_and(|it| it == "txt");
        let mut watcher = Watcher::new().unwrap();
        watcher.follow(&BTreeMap::from([(root.clone(), true)]), matter).unwrap();
        // The same again, what does not matter, and what tools keep.
        fs::write(file("src/a.txt"), "a").unwrap();
        fs::write(file("src/a.log"), "x").unwrap();
        fs::write(file("target/b.txt"), "x").unwrap();
        assert_eq!(watcher.changed(SHORT, matter).unwrap(), <[PathBuf; 0]>::default());
        // As editors do it.
        fs::write(file("src/a.txt~"), "b").unwrap();
        fs::rename(file("src/a.txt~"), file("src/a.txt")).unwrap();
        assert_eq!(watcher.changed(PATIENCE, matter).unwrap(), [file("src/a.txt")]);
        fs::write(file("src/deep/c.txt"), "c").unwrap();
        assert_eq!(watcher.changed(PATIENCE, matter).unwrap(), [file("src/deep/c.txt")]);
        // A new folder with what is in it, and what comes into it later.
        fs::create_dir_all(file("other")).unwrap();
        fs::write(file("other/d.txt"), "d").unwrap();
        fs::rename(file("other"), file("src/new")).unwrap();
        let new = watcher.changed(PATIENCE, matter).unwrap();
        assert!(new.contains(&file("src/new/d.txt")), "{new:?}");
        fs::write(file("src/new/e.txt"), "e").unwrap();
        assert_eq!(watcher.changed(PATIENCE, matter).unwrap(), [file("src/new/e.txt")]);
        fs::remove_dir_all(file("src/new")).unwrap();
        let gone = watcher.changed(PATIENCE, matter).unwrap();
        assert!(gone.contains(&file("src/new/d.txt")), "{gone:?}");
        fs::create_dir_all(file("src/new")).unwrap();
        fs::write(file("src/new/e.txt"), "e").unwrap();
        assert!(watcher.changed(PATIENCE, matter).unwrap().contains(&file("src/new/e.txt")));
    }
}
