//! The last phase: an app as a package, of a registry or in a file, and a package as an app's folder
//! again.
//!
//! Packages are Spin's: what it calls the *locked app* (`locked`), and its content in layers. What
//! Dayfly's manifest says beyond Spin's stands where Spin does not look, so that there is one
//! description of an app and not two. Components are packed as their sources have them, and composed
//! where they are served; those that are frozen are packed frozen, because nobody else may have what
//! it takes to make them.

mod archive;
mod files;
mod layout;
mod locked;
mod manifest;
mod pack;
mod pull;
mod push;
mod signature;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dayfly_model::ManifestErrors;

use crate::fetch::{Descriptor, FetchFailure};
use crate::pipeline::ForgeError;
use crate::resolve::{MAX_SOURCE_BYTES, ResolveError};

pub use files::Granted;
pub use layout::{Written, is_archive, open, write};
pub use pack::Packer;
pub use pull::{kept, pull, unpack};
pub use push::{Pushed, push};
pub use signature::VerifyKey;

/// What describes an app. Older packages have it as their config, newer ones as a layer.
const LOCKED: &str = "application/vnd.fermyon.spin.application.v1+config";
/// A component, or a part of one.
const WASM: &str = "application/vnd.wasm.content.layer.v1+wasm";
/// The same in the packages of `wkg`.
const WKG_WASM: &str = "application/wasm";
/// The same, compressed; Spin has no such layer.
const WASM_GZIP: &str = "application/vnd.dayfly.wasm.v1+gzip";
/// A file.
const DATA: &str = "application/vnd.wasm.content.layer.v1+data";
/// Files, as a compressed archive.
const ARCHIVE: &str = "application/vnd.wasm.content.bundle.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// How many layers a package has: above the 500 that some registries take.
const MAX_LAYERS: usize = 1000;

/// How many files its components have, all together.
const MAX_FILES: usize = 100_000;

/// How much all that is in it comes to, unpacked.
const MAX_PACKAGE_BYTES: u64 = 4 << 30;

/// The longest description of an app.
const MAX_LOCKED_BYTES: u64 = 16 << 20;

/// What a package is made of.
#[derive(Debug)]
pub struct Package {
    manifest: Bytes,
    blobs: Vec<Blob>,
    /// What its components see and it has not, by the guests' paths: state, secrets, and links that
    /// lead elsewhere.
    pub left_out: Vec<String>,
}

/// A blob, and where its bytes are.
#[derive(Debug)]
struct Blob {
    descriptor: Descriptor,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

/// A blob of a package, for those who send it elsewhere than to a registry.
#[derive(Debug, Clone, Copy)]
pub struct PackageBlob<'a>(&'a Blob);

impl Package {
    /// The manifest, an OCI image manifest; the package is called by its SHA-256 digest.
    #[must_use]
    pub fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// What it consists of, its manifest aside.
    pub fn blobs(&self) -> impl Iterator<Item = PackageBlob<'_>> {
        self.blobs.iter().map(PackageBlob)
    }
}

impl PackageBlob<'_> {
    /// Its digest: `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.descriptor.digest
    }

    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.descriptor.size
    }

    /// What it is, for people.
    #[must_use]
    pub fn described(&self) -> String {
        described(&self.0.descriptor)
    }

    /// Its content.
    ///
    /// # Errors
    /// If a file of the app cannot be read.
    pub fn read(&self) -> Result<Bytes, PackageError> {
        self.0.content.read()
    }
}

/// A package could not be made, sent, fetched or laid out.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A component could not be prepared.
    #[error(transparent)]
    Prepare(#[from] ForgeError),
    /// What a component is composed with could not be had.
    #[error("failed to read {what}, which component `{component}` is composed with")]
    Part {
        /// The component.
        component: String,
        /// The part.
        what: String,
        /// Why.
        #[source]
        source: ResolveError,
    },
    /// A component is granted files that are not the app's.
    #[error("component `{component}` is granted `{}`, which lies outside the app's folder", path.display())]
    Outside {
        /// The component.
        component: String,
        /// The files.
        path: PathBuf,
    },
    /// A path that cannot be written down.
    #[error("`{}` has a name that is not Unicode", path.display())]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// It would take more of the disk than there is for it.
    #[error("it takes {bytes} bytes unpacked, and there is room for {room_bytes}")]
    NoRoom {
        /// What it takes.
        bytes: u64,
        /// What there is for it.
        room_bytes: u64,
    },
    /// Over a bound of packages.
    #[error("the package has more than {0}")]
    TooLarge(String),
    /// A file cannot be read or written.
    #[error("failed to use `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder that has something in it already.
    #[error("`{}` is there already, and is not empty", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A digest names what was pushed; it cannot be chosen.
    #[error("a package is pushed by a tag, not by a digest")]
    NoTag,
    /// The registry could not be asked, or answered with something else.
    #[error(transparent)]
    Fetch(#[from] FetchFailure),
    /// A key that signatures cannot be checked with.
    #[error("`{}` is no public key on P-256, in PEM", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// Nobody with the key has signed it.
    #[error("`sha256:{digest}` has no signature by that key")]
    Unsigned {
        /// The package's manifest.
        digest: String,
        /// Why one of its signatures could not be read.
        #[source]
        unread: Option<FetchFailure>,
    },
    /// It is a package of something else.
    #[error("it holds no app: {0}")]
    NoApp(String),
    /// Its description cannot be understood.
    #[error("its description of the app cannot be understood: {0}")]
    Locked(String),
    /// Something that it names is not there.
    #[error("it names `sha256:{digest}`, which none of its layers has")]
    Missing {
        /// The digest.
        digest: String,
    },
    /// A layer that is not what it claims to be.
    #[error("its layer `sha256:{digest}` {problem}")]
    Layer {
        /// The layer.
        digest: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A copy of a layer is no longer what was fetched.
    #[error("`{}` is not what it was when it was fetched", path.display())]
    Changed {
        /// The copy.
        path: PathBuf,
    },
    /// A path that leads out of the app's folder.
    #[error("it has a file `{0}`, which would lie elsewhere than in the app's folder")]
    Escapes(String),
    /// It reaches for what it does not bring.
    #[error("it names `{0}`, which it does not bring")]
    Strays(String),
    /// The app that it describes is none.
    #[error("the app that it describes is none")]
    Manifest(#[source] ManifestErrors),
}

/// Lays out in `folder` what stands in a description of an app itself, as [`pull`] does with what a
/// registry sent. `folder` must be there and be empty.
///
/// # Errors
/// As [`pull`]; everything that the description names by a digest alone is missing.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn lay_out(description: &[u8], folder: &Path) -> Result<(), PackageError> {
    let app = locked::LockedApp::parse(description)?;
    let folders = (folder, &*folder.join("app"));
    unpack::lay_out(&app, &unpack::Layers::default(), folders, u64::MAX).map(drop)
}

impl PackageError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Prepare(error) => error.hint(),
            Self::Part { source, .. } => source.hint(),
            Self::Outside { .. } => Some(
                "a package has what lies in the app's folder: move it there, or grant less"
                    .to_owned(),
            ),
            Self::Key { .. } => {
                Some("name the `cosign.pub` of `cosign generate-key-pair`".to_owned())
            }
            Self::Unsigned { .. } => Some(
                "whoever has the key signs it by `cosign sign --key cosign.key \
                 --new-bundle-format=false --use-signing-config=false REF`"
                    .to_owned(),
            ),
            Self::NoTag => Some("write `REGISTRY/NAME:TAG`".to_owned()),
            Self::Changed { path } => {
                Some(format!("remove `{}`, and it is fetched again", path.display()))
            }
            Self::Taken { .. } => Some("name another folder by `--output`".to_owned()),
            _ => None,
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A blob, for people: what it is, and the begin of its digest.
fn described(blob: &Descriptor) -> String {
    let kind = match blob.media_type.as_str() {
        WASM | WKG_WASM => "component",
        WASM_GZIP => "frozen component",
        ARCHIVE => "files",
        DATA => "file",
        _ => "description",
    };
    let digits = blob.digits().unwrap_or_default();
    format!("{kind} {}", digits.get(..12).unwrap_or(digits))
}

/// What a package may still take up.
#[derive(Debug)]
struct Budget {
    bytes: u64,
    files: usize,
}

impl Budget {
    fn new() -> Self {
        Self { bytes: MAX_PACKAGE_BYTES, files: MAX_FILES }
    }

    /// Takes one thing of so many bytes off it.
    fn take(&mut self, bytes: u64) -> Result<(), PackageError> {
        if bytes > MAX_SOURCE_BYTES {
            let most = format!("{} MiB in one piece", MAX_SOURCE_BYTES >> 20);
            return Err(PackageError::TooLarge(most));
        }
        let files = self.files.checked_sub(1);
        self.files = files.ok_or_else(|| PackageError::TooLarge(format!("{MAX_FILES} files")))?;
        let bytes = self.bytes.checked_sub(bytes).ok_or_else(Self::bytes_are_used_up);
        self.bytes = bytes?;
        Ok(())
    }

    fn bytes_are_used_up() -> PackageError {
        PackageError::TooLarge(format!("{} GiB in all", MAX_PACKAGE_BYTES >> 30))
    }
}
