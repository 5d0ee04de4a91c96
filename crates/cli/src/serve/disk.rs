//! What apps keep on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dayfly_store::LOG_FOLDER;

/// What lies in an app's state folder and is nothing that it keeps: its log, which has a bound of its own,
/// and copies of its package's files.
const NOT_KEPT: [&str; 2] = [LOG_FOLDER, "files"];

/// The size of a block that a file says how many it takes of, whatever the file system's is.
const BLOCK_BYTES: u64 = 512;

/// What is kept in an app's state folder, in bytes of the disk. What goes meanwhile is not there.
pub(super) fn kept_in(state: &Path) -> u64 {
    let mut folders = Vec::new();
    let mut bytes = 0;
    let mut look = |folder: &Path, is_top: bool, folders: &mut Vec<_>| {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // Links are not followed.
            let Ok(found) = entry.metadata() else { continue };
            if is_top && NOT_KEPT.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if found.is_dir() {
                folders.push(entry.path());
            }
            bytes += found.blocks() * BLOCK_BYTES;
        }
    };
    look(state, true, &mut folders);
    while let Some(folder) = folders.pop() {
        look(&folder, false, &mut folders);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_keeps_is_counted_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let file = |path: &str, bytes: usize| {
            let path = state.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![1; bytes]).unwrap();
        };
        file("log/a.txt", 1 << 20);
        file("files/a/b", 1 << 20);
        let few = kept_in(state.path());
        assert!(few < 100 << 10, "{few}");
        file("written/a/deep/er/c", 1 << 20);
        file("sqlite/log/d", 1 << 20);
        std::os::unix::fs::symlink("/", state.path().join("link")).unwrap();
        let kept = kept_in(state.path());
        assert!((2 << 20..(2 << 20) + (200 << 10)).contains(&kept), "{kept}");
        assert_eq!(kept_in(&state.path().join("nowhere")), 0);
    }
}
