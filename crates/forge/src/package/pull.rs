//! A package from a registry, as an app's folder. The folder is there whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::locked::{LockedApp, is_locked};
use super::signature::{self, VerifyKey};
use super::unpack::{self, Layers};
use super::{
    LOCKED, MAX_LAYERS, MAX_LOCKED_BYTES, MAX_PACKAGE_BYTES, PackageError, WASM, WKG_WASM,
    described,
};
use crate::fetch::{
    Client, Copy, Descriptor, FetchConfig, Fetching, Manifest, Oci, Reference, Store, Version,
    leftovers,
};
use crate::resolve::MAX_SOURCE_BYTES;

/// How the name of a folder begins in which a package is laid out.
pub(super) const STAGING: &str = ".dayfly-pulled-";

/// The folder of a package whose digest is stated and that was fetched before, in the folder that
/// keeps what was fetched.
pub fn kept(reference: &Reference, config: &FetchConfig) -> Option<PathBuf> {
    match &reference.version {
        Version::Digest(digest) => Some(folder_of(config, digest)).filter(|it| it.is_dir()),
        Version::Tag(_) => None,
    }
}

/// Fetches a package and lays the app out: in `folder`, which must not be there or be empty, or else
/// in the folder that keeps what was fetched, where it may be already. With a key, the package must be
/// signed by it. Gives the app's folder.
///
/// # Errors
/// If the registry cannot be asked, the package holds no app, or something in it is not what it
/// claims to be.
pub fn pull(
    reference: &Reference,
    config: &FetchConfig,
    folder: Option<&Path>,
    key: Option<&VerifyKey>,
    mut tell: impl FnMut(Fetching<'_>),
) -> Result<PathBuf, PackageError> {
    if let Some(folder) = folder {
        is_free(folder)?;
    }
    let client = Client::new(config.patience)?;
    let mut oci = Oci::of(client.asker(), reference, config.credentials.as_deref())?;
    let version = reference.version();
    let (manifest, digest) = client.run(|_| oci.manifest(&version))?;
    if let Some(key) = key {
        signature::check(&client, &mut oci, &digest, key)?;
    }
    let place = folder.map_or_else(|| folder_of(config, &digest), Path::to_owned);
    if folder.is_none() && place.is_dir() {
        return Ok(place);
    }
    let store = Store::new(&config.folder);
    let mut bring = |blob: &Descriptor| -> Result<PathBuf, PackageError> {
        let (what, began) = (described(blob), Instant::now());
        if blob.digits().is_none_or(|digits| store.find(digits).is_none()) {
            tell(Fetching::Starts(&what));
        }
        let (copy, bytes) = client.run(|_| oci.bring(blob, &store, &mut tell))?;
        if bytes > 0 {
            tell(Fetching::Done { source: &what, bytes, took: began.elapsed() });
        } else if !copy.is(&fs::read(&copy.path).map_err(PackageError::io(&copy.path))?) {
            return Err(PackageError::Changed { path: copy.path });
        }
        Ok(copy.path)
    };
    let place_of = Place { folder: &place, is_shared: folder.is_none(), room_bytes: u64::MAX };
    lay_out(&manifest, reference.name(), &place_of, &mut bring)?;
    Ok(place)
}

/// Lays an app out in `folder` from blobs that are on this machine, which `find` knows by the digits of
/// their digests. An app that is one component is called `name`. `folder` is there whole or not at all;
/// one that is there stays as it is. Gives what it takes of the disk, in bytes, which is not
/// more than there is room for.
///
/// # Errors
/// As [`pull`], where a blob is missing or is not what it is called, or there is no room.
pub fn unpack(
    manifest: &[u8],
    name: &str,
    find: impl Fn(&str) -> Option<PathBuf>,
    folder: &Path,
    room_bytes: u64,
) -> Result<u64, PackageError> {
    let no_manifest = |error: serde_json::Error| PackageError::NoApp(error.to_string());
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(no_manifest)?;
    let mut bring = |blob: &Descriptor| -> Result<PathBuf, PackageError> {
        let digest = blob.digits().unwrap_or_default();
        let missing = || PackageError::Missing { digest: blob.digest.clone() };
        let path = find(digest).ok_or_else(missing)?;
        let copy = Copy { path, digest: digest.to_owned() };
        match copy.is(&fs::read(&copy.path).map_err(PackageError::io(&copy.path))?) {
            true => Ok(copy.path),
            false => Err(PackageError::Changed { path: copy.path }),
        }
    };
    let place = Place { folder, is_shared: true, room_bytes };
    lay_out(&manifest, name, &place, &mut bring)
}

/// Where an app is laid out.
struct Place<'a> {
    folder: &'a Path,
    /// Whether others may do the same.
    is_shared: bool,
    /// What it may take of the disk.
    room_bytes: u64,
}

/// Lays out what a manifest describes, with the blobs that `bring` gives. Where others may do the same
/// the first one counts. Gives what it takes of the disk.
fn lay_out(
    manifest: &Manifest,
    name: &str,
    place: &Place<'_>,
    bring: &mut dyn FnMut(&Descriptor) -> Result<PathBuf, PackageError>,
) -> Result<u64, PackageError> {
    check(manifest)?;
    let &Place { folder: place, is_shared, room_bytes } = place;
    let app = description(manifest, name, bring)?;
    let mut layers = Layers::default();
    for layer in manifest.layers.iter().filter(|layer| unpack::is_needed(layer, &app)) {
        let path = bring(layer)?;
        layers.add(layer, path);
    }
    let parent = place.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(PackageError::io(parent))?;
    leftovers::sweep(parent, STAGING);
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(parent);
    let staging = staging.map_err(PackageError::io(parent))?;
    let laid_out = staging.path().join("app");
    let bytes = unpack::lay_out(&app, &layers, (staging.path(), &laid_out), room_bytes)?;
    // Whoever finds it under its name takes it for whole.
    flush(&laid_out).map_err(PackageError::io(&laid_out))?;
    match fs::rename(&laid_out, place) {
        // Another process was faster.
        Err(_) if is_shared && place.is_dir() => {}
        renamed => renamed.map_err(PackageError::io(place))?,
    }
    Ok(bytes)
}

fn folder_of(config: &FetchConfig, digest: &str) -> PathBuf {
    config.folder.join("apps").join(digest)
}

/// Brings a folder's files to the disk, all at once where the system can.
fn flush(folder: &Path) -> std::io::Result<()> {
    let folder = fs::File::open(folder)?;
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::syncfs(&folder)?);
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()
}

fn is_free(folder: &Path) -> Result<(), PackageError> {
    let is_free = match folder.read_dir() {
        Ok(entries) => entries.count() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free { Ok(()) } else { Err(PackageError::Taken { path: folder.to_owned() }) }
}

/// Holds what a manifest states against the bounds, before anything is fetched.
fn check(manifest: &Manifest) -> Result<(), PackageError> {
    if manifest.layers.len() > MAX_LAYERS {
        return Err(PackageError::TooLarge(format!("{MAX_LAYERS} layers")));
    }
    let blobs = || manifest.layers.iter().chain(&manifest.config);
    if blobs().any(|blob| blob.size > MAX_SOURCE_BYTES) {
        let most = format!("{} MiB in one layer", MAX_SOURCE_BYTES >> 20);
        return Err(PackageError::TooLarge(most));
    }
    let all = blobs().fold(0_u64, |all, blob| all.saturating_add(blob.size));
    match all > MAX_PACKAGE_BYTES {
        true => Err(PackageError::TooLarge(format!("{} GiB in all", MAX_PACKAGE_BYTES >> 30))),
        false => Ok(()),
    }
}

/// The app that a package describes, or that its one component makes.
fn description(
    manifest: &Manifest,
    name: &str,
    bring: &mut dyn FnMut(&Descriptor) -> Result<PathBuf, PackageError>,
) -> Result<LockedApp, PackageError> {
    let no_app = |what: &str| Err(PackageError::NoApp(what.to_owned()));
    let layers = &manifest.layers;
    let described = layers.iter().find(|layer| is_locked(&layer.media_type));
    let Some(described) = described.or(manifest.config.as_ref()) else {
        return no_app("its manifest lists others, or nothing");
    };
    if described.size > MAX_LOCKED_BYTES {
        return no_app("its description is too long");
    }
    let path = bring(described)?;
    let text = fs::read(&path).map_err(PackageError::io(&path))?;
    if described.media_type == LOCKED || LockedApp::is_one(&text) {
        return LockedApp::parse(&text);
    }
    match &layers[..] {
        [one] if [WASM, WKG_WASM].contains(&&*one.media_type) => {
            let digits = one.digits().unwrap_or_default();
            Ok(LockedApp::of_component(name, digits))
        }
        _ => no_app("neither one that Spin or Dayfly pushed, nor one component"),
    }
}
