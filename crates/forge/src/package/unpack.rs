//! The content of a package, laid out as a folder that Dayfly serves: a manifest, components and
//! files. Everything in the package is hostile: nothing is written elsewhere than in that folder,
//! nothing that the manifest says leads out of it, and all of it is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use dayfly_model::{App, FileGrant, Manifest, Source};
use serde_json::Value;

use super::locked::{ContentRef, DAYFLY, LockedApp, LockedComponent};
use super::manifest::{self, Folder, Places};
use super::{ARCHIVE, Budget, LOCKED, PackageError, WASM_GZIP, archive};
use crate::fetch::{Descriptor, digest_of};

/// The longest path of a file.
const MAX_PATH: usize = 1024;

/// What a file takes of a disk at least, and by which it grows.
const BLOCK_BYTES: u64 = 4096;

/// The layers of a package that were fetched.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// By digest.
    plain: BTreeMap<String, PathBuf>,
    archives: BTreeMap<String, PathBuf>,
    compressed: BTreeMap<String, PathBuf>,
}

impl Layers {
    pub(super) fn add(&mut self, layer: &Descriptor, path: PathBuf) {
        let kind = match layer.media_type.as_str() {
            ARCHIVE => &mut self.archives,
            WASM_GZIP => &mut self.compressed,
            _ => &mut self.plain,
        };
        kind.insert(layer.digits().unwrap_or_default().to_owned(), path);
    }

    /// Everything by its digest, what is compressed unpacked into a folder.
    fn unpacked(
        &self,
        folder: &Path,
        budget: &mut Budget,
    ) -> Result<BTreeMap<String, PathBuf>, PackageError> {
        let mut contents = self.plain.clone();
        for (digest, layer) in &self.archives {
            let found = archive::unpack(layer, digest, folder, budget)?;
            contents.extend(found.into_iter().map(|digest| (digest.clone(), folder.join(digest))));
        }
        for (digest, layer) in &self.compressed {
            let digest = archive::decompress(layer, digest, folder, budget)?;
            contents.insert(digest.clone(), folder.join(digest));
        }
        Ok(contents)
    }
}

/// Whether a layer holds something that an app names, or may.
pub(super) fn is_needed(layer: &Descriptor, app: &LockedApp) -> bool {
    match layer.media_type.as_str() {
        LOCKED => false,
        ARCHIVE | WASM_GZIP => true,
        _ => layer.digits().is_some_and(|digits| app.named().any(|named| named == digits)),
    }
}

/// Lays an app out in `folder`; `scratch` is for what is unpacked on the way. Gives what it takes of the
/// disk: nothing is written where that is more than `room_bytes`.
pub(super) fn lay_out(
    app: &LockedApp,
    layers: &Layers,
    (scratch, folder): (&Path, &Path),
    room_bytes: u64,
) -> Result<u64, PackageError> {
    let mut budget = Budget::new();
    let unpacked = scratch.join("unpacked");
    fs::create_dir(&unpacked).map_err(PackageError::io(&unpacked))?;
    let contents = layers.unpacked(&unpacked, &mut budget)?;
    fs::create_dir(folder).map_err(PackageError::io(folder))?;
    let mut out = LayOut {
        folder,
        contents,
        budget: Budget::new(),
        bytes: 0,
        files: Vec::new(),
        folders: BTreeSet::new(),
        places: Places::default(),
    };
    for component in &app.components {
        out.module(&component.source.content, &format!("components/{}.wasm", component.id))?;
    }
    for part in app.modules() {
        let digits = part.digits().unwrap_or_default();
        out.module(part, &format!("dependencies/{}.wasm", digits.get(..16).unwrap_or(digits)))?;
    }
    for component in &app.components {
        out.files(component)?;
    }
    out.write(room_bytes)?;
    let (name, text) = manifest::of(app, &out.places)?;
    let parsed = Manifest::parse(&text, name, folder, None).map_err(PackageError::Manifest)?;
    stays_inside(&parsed, &out.places)?;
    let path = folder.join(name);
    fs::write(&path, text).map_err(PackageError::io(&path))?;
    Ok(out.bytes)
}

struct LayOut<'l> {
    folder: &'l Path,
    /// Where each content is, by its digest.
    contents: BTreeMap<String, PathBuf>,
    budget: Budget,
    /// What they take of the disk.
    bytes: u64,
    files: Vec<(PathBuf, Bytes)>,
    /// The folders that files lie in, below the folder.
    folders: BTreeSet<PathBuf>,
    places: Places,
}

/// The bytes of a file.
enum Bytes {
    Stated(Vec<u8>),
    /// What another file has.
    Of(PathBuf),
}

impl LayOut<'_> {
    /// Puts a module in its place, unless it has one.
    fn module(&mut self, content: &ContentRef, place: &str) -> Result<(), PackageError> {
        let Some(digits) = content.digits() else {
            return Err(PackageError::Locked("code in it has no digest".to_owned()));
        };
        if self.places.modules.contains_key(digits) {
            return Ok(());
        }
        self.put(content, place)?;
        self.places.modules.insert(digits.to_owned(), place.to_owned());
        Ok(())
    }

    /// Puts the files of a component in their places.
    fn files(&mut self, component: &LockedComponent) -> Result<(), PackageError> {
        let mut folders = folders_of(component)?;
        for (index, folder) in folders.iter_mut().enumerate() {
            folder.path = format!("files/{}/{index}", component.id);
            let path = self.folder.join(&folder.path);
            fs::create_dir_all(&path).map_err(PackageError::io(&path))?;
        }
        for file in &component.files {
            let is_plain = |part| matches!(part, Component::Normal(_));
            let path = Path::new(&file.path);
            if file.path.is_empty()
                || file.path.len() > MAX_PATH
                || file.path.contains('\0')
                || !path.components().all(is_plain)
            {
                return Err(PackageError::Escapes(file.path.clone()));
            }
            // The folder by which the guest sees it.
            let within = folders.iter().filter_map(|folder| {
                let below = path.strip_prefix(folder.destination.trim_matches('/')).ok()?;
                Some((folder, below)).filter(|_| below != Path::new(""))
            });
            let within =
                within.max_by_key(|(folder, _)| folder.destination.trim_matches('/').len());
            let (folder, below) = within.ok_or_else(|| PackageError::Escapes(file.path.clone()))?;
            self.put(&file.content, &format!("{}/{}", folder.path, below.display()))?;
        }
        if !folders.is_empty() {
            self.places.folders.insert(component.id.clone(), folders);
        }
        Ok(())
    }

    /// Writes all files, if there is room for them.
    fn write(&mut self, room_bytes: u64) -> Result<(), PackageError> {
        if self.bytes > room_bytes {
            return Err(PackageError::NoRoom { bytes: self.bytes, room_bytes });
        }
        for (path, bytes) in self.files.drain(..) {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(PackageError::io(parent))?;
            }
            let written = match bytes {
                Bytes::Stated(bytes) => fs::write(&path, bytes),
                Bytes::Of(from) => copy(&from, &path),
            };
            written.map_err(PackageError::io(&path))?;
        }
        Ok(())
    }

    /// Has content lie in a place below the folder.
    fn put(&mut self, content: &ContentRef, place: &str) -> Result<(), PackageError> {
        let path = self.folder.join(place);
        for folder in Path::new(place).ancestors().skip(1) {
            if self.folders.contains(folder) {
                break;
            }
            self.take(0)?;
            self.folders.insert(folder.to_owned());
        }
        let digits = content.digits().unwrap_or_default();
        if let Some(bytes) = content.bytes() {
            let bytes = bytes?;
            if !digits.is_empty() && digest_of(&bytes) != digits {
                let problem = "is not what stands in the description".to_owned();
                return Err(PackageError::Layer { digest: digits.to_owned(), problem });
            }
            self.take(bytes.len() as u64)?;
            self.files.push((path, Bytes::Stated(bytes)));
            return Ok(());
        }
        let from = self.contents.get(digits);
        let from = from.ok_or_else(|| PackageError::Missing { digest: digits.to_owned() })?;
        let bytes = from.metadata().map_err(PackageError::io(from))?.len();
        self.files.push((path, Bytes::Of(from.clone())));
        self.take(bytes)
    }

    /// Counts a file, or a folder.
    fn take(&mut self, bytes: u64) -> Result<(), PackageError> {
        self.budget.take(bytes)?;
        self.bytes += bytes.max(1).next_multiple_of(BLOCK_BYTES);
        Ok(())
    }
}

/// Copies a file, but not its permissions, as `fs::copy` does: what is kept only its user may read.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut File::create(to)?).map(drop)
}

/// The folders that a component sees: as Dayfly packed them, or all as one, as with Spin.
fn folders_of(component: &LockedComponent) -> Result<Vec<Folder>, PackageError> {
    let folder = |destination: &str, writable| Folder {
        path: String::new(),
        destination: destination.to_owned(),
        writable,
    };
    let own = component.metadata.get(DAYFLY).and_then(|own| own.get("folders"));
    let Some(Value::Array(stated)) = own else {
        return Ok(match component.files.is_empty() {
            true => Vec::new(),
            false => vec![folder("/", false)],
        });
    };
    let folders = stated.iter().map(|it| {
        let at = it.get("at").and_then(Value::as_str);
        let at = at.ok_or_else(|| PackageError::Locked("a folder is nowhere".to_owned()))?;
        Ok(folder(at, it.get("writable").and_then(Value::as_bool).unwrap_or(false)))
    });
    folders.collect()
}

/// Refuses an app that reaches for anything that was not laid out for it.
fn stays_inside(app: &App, places: &Places) -> Result<(), PackageError> {
    let modules: BTreeSet<_> = places.modules.values().map(Path::new).collect();
    for source in app.sources() {
        match source {
            Source::File(file) if modules.contains(&**file) => {}
            Source::File(file) => return Err(PackageError::Strays(file.display().to_string())),
            Source::Url { url, .. } => return Err(PackageError::Strays(url.clone())),
            Source::Registry { package, .. } => {
                return Err(PackageError::Strays(package.clone()));
            }
        }
    }
    let folders: BTreeSet<_> =
        places.folders.values().flatten().map(|folder| Path::new(&folder.path)).collect();
    for grant in app.components.values().flat_map(|component| &component.files) {
        match grant {
            FileGrant::Mount { source, .. } if folders.contains(&**source) => {}
            FileGrant::Mount { source, .. } => {
                return Err(PackageError::Strays(source.display().to_string()));
            }
            FileGrant::Glob(glob) => return Err(PackageError::Strays(glob.clone())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A good description, all of whose content stands in it.
    const GOOD: &str = include_str!("../../../../fuzz/corpus/package/spin.json");

    /// What hostile descriptions say in place of a text.
    const HOSTILE: [&str; 10] = [
        "",
        "..",
        "../x",
        "/etc/passwd",
        "a/../../x",
        "a\0b",
        "sha256:../../x",
        "*",
        "{{ x }}",
        "components/a.wasm",
    ];

    fn laid_out(description: &Value) -> Option<App> {
        let outer = tempfile::tempdir().unwrap();
        let scratch = outer.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let folder = scratch.join("app");
        let app = LockedApp::parse(description.to_string().as_bytes()).ok()?;
        let laid_out = lay_out(&app, &Layers::default(), (&scratch, &folder), u64::MAX);
        assert_eq!(outer.path().read_dir().unwrap().count(), 1, "{description}");
        assert!(!Path::new("/etc/passwd.wasm").exists());
        laid_out.ok()?;
        Some(Manifest::load(&folder, None).expect("what was laid out is an app"))
    }

    /// The places of all texts.
    fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(at.to_owned()),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, it)| texts(it, &format!("{at}/{i}"), found));
            }
            Value::Object(table) => {
                table.iter().for_each(|(key, it)| texts(it, &format!("{at}/{key}"), found));
            }
            _ => {}
        }
    }

    #[test]
    fn no_text_of_a_description_leads_out_of_the_folder() {
        let good: Value = serde_json::from_str(GOOD).unwrap();
        assert!(laid_out(&good).is_some());
        let mut places = Vec::new();
        texts(&good, "", &mut places);
        assert!(places.len() > 20, "{places:?}");
        let is_inside = |path: &Path| path.is_relative() && !path.iter().any(|part| part == "..");
        for place in &places {
            for text in HOSTILE {
                let mut changed = good.clone();
                *changed.pointer_mut(place).unwrap() = text.into();
                let Some(app) = laid_out(&changed) else { continue };
                for source in app.sources() {
                    assert!(
                        matches!(source, Source::File(file) if is_inside(file)),
                        "{place} {text}"
                    );
                }
                for grant in app.components.values().flat_map(|component| &component.files) {
                    let FileGrant::Mount { source, .. } = grant else { panic!("{place} {text}") };
                    assert!(is_inside(source), "{place} {text}");
                }
            }
        }
    }

    #[test]
    fn each_place_of_content_counts_and_nothing_is_written_without_room() {
        let outer = tempfile::tempdir().unwrap();
        let layer = outer.path().join("layer");
        fs::write(&layer, [7; 1000]).unwrap();
        let digits = digest_of(&[7; 1000]);
        let description: Value = serde_json::from_str(GOOD).unwrap();
        let file =
            |path: &str| serde_json::json!({ "path": path, "digest": format!("sha256:{digits}") });
        let place = |room_bytes: u64, files: &[&str]| {
            let mut description = description.clone();
            description["components"][0]["files"] = files.iter().copied().map(file).collect();
            let scratch = tempfile::tempdir_in(outer.path()).unwrap();
            let app = LockedApp::parse(description.to_string().as_bytes()).unwrap();
            let layers = Layers {
                plain: BTreeMap::from([(digits.clone(), layer.clone())]),
                ..Layers::default()
            };
            let folder = scratch.path().join("app");
            let done = lay_out(&app, &layers, (scratch.path(), &folder), room_bytes);
            (done, folder.join("components").exists())
        };
        let once = place(u64::MAX, &["one"]).0.unwrap();
        let twice = place(u64::MAX, &["one", "two"]).0.unwrap();
        assert_eq!(twice, once + BLOCK_BYTES);
        // A folder takes room, too.
        assert_eq!(place(u64::MAX, &["one", "a/b/two"]).0.unwrap(), twice + 2 * BLOCK_BYTES);
        assert_eq!(place(twice, &["one", "two"]).0.unwrap(), twice);
        let (refused, is_there) = place(twice - 1, &["one", "two"]);
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, PackageError::NoRoom { bytes, .. } if bytes == twice),
            "{refused}"
        );
        assert!(!is_there);
    }
}
