//! What was being written when a process was killed: it goes when the next one writes there.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Nobody writes one file for as long without a byte.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes entries of a folder whose names begin with `prefix` and that nobody has touched for a day, as
/// well as it can.
pub(crate) fn sweep(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > FORGOTTEN) {
            let _ = match metadata.is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_was_begun_long_ago_goes() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * FORGOTTEN;
        for name in [".new-old", ".new-now", "kept"] {
            File::create(folder.path().join(name)).unwrap();
        }
        let tree = folder.path().join(".new-tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "").unwrap();
        for name in [".new-old", "kept", ".new-tree"] {
            File::open(folder.path().join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        sweep(folder.path(), ".new-");
        let left = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, [".new-now", "kept"]);
    }
}
