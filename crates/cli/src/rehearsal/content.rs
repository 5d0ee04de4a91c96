//! The bytes that a test states, and bytes for people.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result, bail};
use dayfly_host::printable;
use dayfly_model::test_file::Content;

/// The largest file that a test may send, or expect.
const FILE_BYTES: u64 = 64 << 20;

/// How much of a text is shown.
const SHOWN: usize = 2 << 10;

/// What a test states.
///
/// # Errors
/// If it is in a file that cannot be read.
pub(super) fn bytes(content: &Content) -> Result<Vec<u8>> {
    match content {
        Content::Text(text) => Ok(text.clone().into_bytes()),
        Content::Json(value) => Ok(value.to_string().into_bytes()),
        Content::File(path) => {
            let what = || format!("failed to read `{}`", path.display());
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
                .with_context(what)?;
            if bytes.len() as u64 > FILE_BYTES {
                bail!("`{}` is larger than {} MiB", path.display(), FILE_BYTES >> 20);
            }
            Ok(bytes)
        }
    }
}

/// Bytes as people may see them, their lines kept.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let cut = &text[..text.floor_char_boundary(SHOWN)];
    let lines: Vec<_> = cut.split('\n').map(printable).collect();
    let mut shown = lines.join("\n");
    if cut.len() < text.len() {
        shown += &format!("… ({} bytes in all)", bytes.len());
    }
    shown
}
