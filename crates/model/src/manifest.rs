//! Manifests: the text of a `dayfly.toml` or `spin.toml` in, an [`App`] or all its mistakes out.
//!
//! The ways through: `text` counts lines and columns, `value` parses TOML into a tree that
//! remembers places, `check` holds the tree against the one description of every table and key
//! in `keys`, `upgrade` rewrites version 1 as version 2, and `lower` makes the app and
//! checks what spans keys. The JSON schema and the reference page come from the same description.

pub(crate) mod check;
pub(crate) mod error;
pub(crate) mod form;
pub(crate) mod formats;
pub(crate) mod json_schema;
mod keys;
mod lower;
mod measures;
pub(crate) mod reference;
mod stated;
pub(crate) mod text;
mod upgrade;
pub(crate) mod value;

use std::path::{Path, PathBuf};

pub use error::{ManifestError, ManifestErrors};
pub use json_schema::json_schema;
pub use reference::reference;
pub use stated::{Stated, StatedTrigger};

use crate::app::App;
use form::Dialect;
use text::Source;
use value::Node;

/// The manifest's longest text, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// The names of manifests that a folder is searched for, in this order.
pub const FILE_NAMES: [&str; 2] = ["dayfly.toml", "spin.toml"];

/// Where manifests are read from.
#[derive(Debug, Clone, Copy)]
pub struct Manifest;

impl Manifest {
    /// Reads the manifest at `path`, a file or a folder that holds one. Relative paths in it are
    /// relative to its folder. `profile` picks the components' overrides of that name.
    ///
    /// # Errors
    /// All mistakes of the manifest, or why it cannot be read.
    pub fn load(path: &Path, profile: Option<&str>) -> Result<App, ManifestErrors> {
        let (text, name, root) = Self::open(path)?;
        Self::parse(&text, &name, &root, profile)
    }

    /// Reads the manifest at `path` as [`Self::load`] does, and keeps what it states.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_stated(path: &Path, profile: Option<&str>) -> Result<Stated, ManifestErrors> {
        let (text, name, root) = Self::open(path)?;
        let (app, dialect, tree) = Self::understand(&text, &name, &root, profile)?;
        Ok(Stated::new(app, dialect, &tree))
    }

    /// The text of the manifest at `path`, how messages name it, and its folder.
    fn open(path: &Path) -> Result<(String, String, PathBuf), ManifestErrors> {
        let path = Self::find(path)?;
        let name = path.display().to_string();
        let text = read(&path).map_err(|problem| ManifestErrors::unread(&name, &problem))?;
        let root = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok((text, name, root))
    }

    /// The manifest that `path` means: itself if it is a file, else the one in the folder.
    ///
    /// # Errors
    /// The folder holds no manifest.
    pub fn find(path: &Path) -> Result<PathBuf, ManifestErrors> {
        if !path.is_dir() {
            return Ok(path.to_owned());
        }
        let candidates = FILE_NAMES.map(|name| path.join(name));
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let names = FILE_NAMES.map(|name| format!("`{name}`")).join(" or ");
            ManifestErrors::unread(
                &path.display().to_string(),
                &format!("the folder has no {names}"),
            )
        })
    }

    /// Parses a manifest. `file` is how messages name it, `root` the folder that its paths are
    /// relative to, which is not touched.
    ///
    /// # Errors
    /// All mistakes of the manifest.
    pub fn parse(
        text: &str,
        file: &str,
        root: &Path,
        profile: Option<&str>,
    ) -> Result<App, ManifestErrors> {
        Self::understand(text, file, root, profile).map(|(app, ..)| app)
    }

    /// The app of a manifest, and the tree of version 2 that it was made of.
    fn understand(
        text: &str,
        file: &str,
        root: &Path,
        profile: Option<&str>,
    ) -> Result<(App, Dialect, Node), ManifestErrors> {
        if text.len() as u64 > MAX_BYTES {
            return Err(ManifestErrors::unread(file, &too_long("manifest")));
        }
        let source = Source::new(file, text);
        let mut errors = Vec::new();
        let root_node = value::parse(&source, &mut errors);
        // A tree with holes would only add errors that vanish once the syntax is mended.
        if errors.is_empty()
            && let Some(dialect) = Dialect::detect(&source, &root_node, &mut errors)
        {
            check::check(&source, dialect, &root_node, &mut errors);
            let node = match dialect {
                Dialect::Spin1 => {
                    let node = upgrade::to_version_2(&root_node);
                    check::check_http_triggers(&source, &node, &mut errors);
                    node
                }
                Dialect::Spin2 | Dialect::Dayfly => root_node,
            };
            let app = lower::lower(&source, &node, root, profile, &mut errors);
            if errors.is_empty() {
                return Ok((app, dialect, node));
            }
        }
        Err(ManifestErrors::new(errors))
    }
}

/// Reads a size as manifests spell it (`128MiB`), in bytes.
///
/// # Errors
/// What is wrong with the text, a sentence fragment.
pub fn parse_size(text: &str) -> Result<u64, String> {
    measures::parse_size(text).map_err(|mistake| mistake.to_string())
}

/// Reads the size of a stack as manifests spell it (`2MiB`), in bytes.
///
/// # Errors
/// What is wrong with the text, a sentence fragment.
pub fn parse_stack(text: &str) -> Result<u64, String> {
    measures::parse_stack(text).map_err(|mistake| mistake.to_string())
}

/// Reads a duration as manifests spell it (`500ms`).
///
/// # Errors
/// What is wrong with the text, a sentence fragment.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    measures::parse_duration(text).map_err(|mistake| mistake.to_string())
}

/// Reads a file, no more of it than its text may be long and one byte.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bounded = file.take(MAX_BYTES + 1);
    bounded.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

pub(crate) fn too_long(kind: &str) -> String {
    format!("the {kind} is longer than {} KiB", MAX_BYTES >> 10)
}

/// Whether a text may name a queue: letters, digits, `-`, `_` and `.`, up to 64 of them.
///
/// # Errors
/// Why it may not, as it continues "the name … ".
pub fn check_queue(text: &str) -> Result<(), String> {
    (formats::QUEUE.check)(text).map_err(|mistake| mistake.to_string())
}
