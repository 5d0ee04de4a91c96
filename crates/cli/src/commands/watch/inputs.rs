//! Which files decide what an app is: its manifest, the sources of its components, and what these are
//! built of.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component as Piece, Path, PathBuf};

use dayfly_forge::script;
use dayfly_model::{App, Component, ComponentId, FileGrant, Source};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::app::{fixed_part, folder_of};
use crate::building;
use crate::source::is_frozen;

/// What is no source of anything, wherever it lies: what tools make and keep. What is hidden is none
/// either.
const PASSED_OVER: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// Where files lie that decide what an app is.
pub(crate) struct Inputs {
    manifest: PathBuf,
    /// Files that are taken as they are.
    sources: BTreeSet<PathBuf>,
    /// Folders of which everything is taken.
    folders: BTreeSet<PathBuf>,
    builds: BTreeMap<ComponentId, Watched>,
}

/// What a component is built of.
struct Watched {
    /// Everything in this folder that matches, or everything where there is no pattern.
    folder: PathBuf,
    globs: Option<GlobSet>,
    /// The folders below which something can match.
    roots: Vec<PathBuf>,
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) manifest: bool,
    /// Whether a component is another now.
    pub(crate) sources: bool,
    /// The components that are to be built.
    pub(crate) builds: BTreeSet<ComponentId>,
}

impl Inputs {
    /// Those of an app. `skips_builds` if others build it.
    pub(crate) fn of(app: &App, manifest: &Path, skips_builds: bool) -> Self {
        let files = app.sources().filter_map(|source| match source {
            Source::File(file) => Some(plain(&app.root.join(file))),
            _ => None,
        });
        let sources: BTreeSet<PathBuf> = files.collect();
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        folders.extend(
            sources.iter().filter_map(|file| script::folder(&app.root, file)).map(Path::to_owned),
        );
        let frozen = app.components.values().filter(|component| is_frozen(component));
        folders.extend(frozen.flat_map(|component| &component.files).filter_map(
            |grant| match grant {
                FileGrant::Mount { source, writable: false, .. } => {
                    Some(plain(&app.root.join(source)))
                }
                _ => None,
            },
        ));
        let is_built = |component: &&Component| {
            component.build.as_ref().is_some_and(|build| !build.commands.is_empty())
        };
        let built =
            app.components.values().map(Box::as_ref).filter(|_| !skips_builds).filter(is_built);
        let builds = built.map(|component| (component.id.clone(), Watched::of(app, component)));
        Self { manifest: plain(manifest), sources, folders, builds: builds.collect() }
    }

    /// What a change of these files means.
    pub(crate) fn changes<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) -> Changes {
        let mut changes = Changes::default();
        for path in paths {
            changes.manifest |= path == self.manifest;
            changes.sources |= self.sources.contains(path)
                || self.folders.iter().any(|folder| is_in(path, folder));
            let built = self.builds.iter().filter(|(_, watched)| watched.matches(path));
            let is_source = self.sources.contains(path);
            let built = built.filter(|(_, watched)| !is_source || watched.globs.is_some());
            changes.builds.extend(built.map(|(id, _)| id.clone()));
        }
        changes
    }

    /// Whether a file decides anything.
    pub(crate) fn matter(&self, path: &Path) -> bool {
        self.changes([path]) != Changes::default()
    }

    /// The components that are built.
    pub(crate) fn built(&self) -> BTreeSet<ComponentId> {
        self.builds.keys().cloned().collect()
    }

    /// The files that are taken as they are.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(PathBuf::as_path)
    }

    /// The folders to look at, and whether at what is in their folders, too.
    pub(crate) fn places(&self) -> BTreeMap<PathBuf, bool> {
        let mut places = BTreeMap::new();
        for file in self.sources.iter().chain([&self.manifest]) {
            places.entry(folder_of(file)).or_insert(false);
        }
        let roots = self.builds.values().flat_map(|watched| &watched.roots);
        for folder in self.folders.iter().chain(roots) {
            places.insert(folder.clone(), true);
        }
        places
    }
}

impl Watched {
    fn of(app: &App, component: &Component) -> Self {
        let folder = plain(&building::folder(app, component));
        let patterns = component.build.as_ref().map_or(&[][..], |build| &build.watch);
        if patterns.is_empty() {
            return Self { roots: vec![folder.clone()], folder, globs: None };
        }
        let mut globs = GlobSetBuilder::new();
        let mut roots = Vec::new();
        for pattern in patterns {
            let fixed = plain(&folder.join(fixed_part(pattern)));
            // One file is looked at in its folder.
            roots.push(if fixed.is_dir() { fixed } else { folder_of(&fixed) });
            let (base, pattern) = without_steps_up(&folder, pattern);
            let base = globset::escape(&base.to_string_lossy());
            let glob =
                GlobBuilder::new(&format!("{base}/{pattern}")).literal_separator(true).build();
            // The model has checked that it is one.
            if let Ok(glob) = glob {
                globs.add(glob);
            }
        }
        Self { folder, globs: globs.build().ok(), roots }
    }

    fn matches(&self, path: &Path) -> bool {
        match &self.globs {
            Some(globs) => globs.is_match(path),
            // Components are what builds make.
            None => is_in(path, &self.folder) && path.extension() != Some(OsStr::new("wasm")),
        }
    }
}

/// Whether a file is a folder's own, rather than what tools keep there.
fn is_in(path: &Path, folder: &Path) -> bool {
    path.strip_prefix(folder).is_ok_and(|rest| !rest.iter().any(is_passed_over))
}

/// Whether whatever has this name is none of an app's own files.
pub(crate) fn is_passed_over(name: &OsStr) -> bool {
    PASSED_OVER.iter().any(|known| name == *known) || name.as_encoded_bytes().starts_with(b".")
}

/// A path without `.` and `..`, as those have it that tell of changes.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for piece in path.components() {
        match piece {
            Piece::CurDir => {}
            Piece::ParentDir => drop(plain.pop()),
            piece => plain.push(piece),
        }
    }
    plain
}

/// A pattern without `..` at its beginning, and what it is then relative to.
fn without_steps_up<'a>(folder: &Path, mut pattern: &'a str) -> (PathBuf, &'a str) {
    let mut folder = folder.to_owned();
    loop {
        if let Some(rest) = pattern.strip_prefix("../") {
            folder.pop();
            pattern = rest;
        } else if let Some(rest) = pattern.strip_prefix("./") {
            pattern = rest;
        } else {
            return (folder, pattern);
        }
    }
}

#[cfg(test)]
mod tests {
    use dayfly_model::Manifest;

    use super::*;

    fn inputs(folder: &Path) -> Inputs {
        std::fs::create_dir_all(folder.join("rust/src")).unwrap();
        let manifest = folder.join("dayfly.toml");
        std::fs::write(
            &manifest,
            "dayfly = 1\n[application]\nname = \"a\"\n\
             [[trigger.http]]\nroute = \"/a\"\ncomponent = \"a\"\n\
             [[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\n\
             [[trigger.http]]\nroute = \"/c\"\ncomponent = \"c\"\n\
             [component.a]\nsource = \"rust/target/a.wasm\"\n\
             build = { command = \"make\", workdir = \"rust\", \
             watch = [\"src/**/*.rs\", \"Cargo.toml\"] }\n\
             [component.b]\nsource = \"b/b.wasm\"\nbuild = { command = \"make\", workdir = \"b\" }\n\
             [component.c]\nsource = \"scripts/c.py\"\n",
        )
        .unwrap();
        let app = Manifest::load(&manifest, None).unwrap();
        Inputs::of(&app, &manifest, false)
    }

    #[test]
    fn each_file_means_what_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let inputs = inputs(&folder);
        let of = |path: &str| inputs.changes([folder.join(path).as_path()]);
        let build = |id: &str| Changes {
            builds: BTreeSet::from([ComponentId(id.to_owned())]),
            ..Changes::default()
        };
        let source = || Changes { sources: true, ..Changes::default() };
        for (path, expected) in [
            ("dayfly.toml", Changes { manifest: true, ..Changes::default() }),
            ("rust/src/lib.rs", build("a")),
            ("rust/src/deep/er.rs", build("a")),
            ("rust/Cargo.toml", build("a")),
            ("shared/x.txt", Changes::default()),
            ("rust/other/lib.rs", Changes::default()),
            ("rust/target/a.wasm", source()),
            ("rust/target/other", Changes::default()),
            ("b/src/x.ts", build("b")),
            ("b/node_modules/x/index.js", Changes::default()),
            ("b/b.wasm", source()),
            ("scripts/c.py", source()),
            ("scripts/lib/d.py", source()),
            ("scripts/__pycache__/c.pyc", Changes::default()),
            (".dayfly/queues.db", Changes::default()),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }
}
