//! Containers, and their bounds.

use std::sync::Arc;

use tempfile::{NamedTempFile, TempDir};

use super::Error;
use super::folder::{CONTAINER_BYTES, Folder};

async fn container() -> (TempDir, Arc<Folder>) {
    let folder = tempfile::tempdir().unwrap();
    let container = Arc::new(Folder::new(folder.path().join("blobs/c")));
    container.clone().create().await.unwrap();
    (folder, container)
}

/// A file of that many bytes that takes none of the disk.
fn file(folder: &TempDir, bytes: u64) -> NamedTempFile {
    let file = NamedTempFile::new_in(folder.path()).unwrap();
    file.as_file().set_len(bytes).unwrap();
    file
}

#[tokio::test]
async fn what_a_container_holds_is_bounded() {
    let (folder, container) = container().await;
    let half = CONTAINER_BYTES / 2;
    container.put("one", file(&folder, half)).unwrap();
    container.put("two", file(&folder, half)).unwrap();
    assert!(matches!(container.put("three", file(&folder, 1)), Err(Error::Full)));
    container.put("two", file(&folder, half - 1)).unwrap();
    container.put("three", file(&folder, 1)).unwrap();
    container.clone().delete_objects(vec!["one".to_owned()]).await.unwrap();
    container.put("four", file(&folder, half)).unwrap();
    assert!(matches!(container.put("five", file(&folder, 1)), Err(Error::Full)));
    // What was there before the process counts as well.
    let again = Arc::new(Folder::new(folder.path().join("blobs/c")));
    assert!(matches!(again.put("five", file(&folder, 1)), Err(Error::Full)));
    again.clone().clear().await.unwrap();
    again.put("five", file(&folder, 1)).unwrap();
}

#[tokio::test]
async fn files_of_others_are_no_objects() {
    let (folder, container) = container().await;
    container.put("object", file(&folder, 3)).unwrap();
    for other in [".tmp-1", "%zz", "a%2f"] {
        std::fs::write(folder.path().join("blobs/c").join(other), "x").unwrap();
    }
    let mut listing = container.clone().list().await.unwrap();
    assert_eq!(listing.next(10).unwrap(), (vec!["object".to_owned()], true));
    let other = container.facts(".tmp-1".to_owned()).await;
    assert!(matches!(other, Err(Error::NoObject)));
}

#[tokio::test]
async fn many_write_and_read_one_object_and_see_it_whole() {
    let (folder, container) = container().await;
    let folder = Arc::new(folder);
    let write = |byte: u8| {
        let (folder, container) = (folder.clone(), container.clone());
        tokio::task::spawn_blocking(move || {
            for _ in 0..20 {
                let file = NamedTempFile::new_in(folder.path()).unwrap();
                std::fs::write(file.path(), [byte; 10_000]).unwrap();
                container.put("object", file).unwrap();
            }
        })
    };
    container.put("object", file(&folder, 10_000)).unwrap();
    let writers = [write(1), write(2)];
    for _ in 0..100 {
        let opened = container.clone().open("object".to_owned(), 0, u64::MAX).await.unwrap();
        assert_eq!(opened.bytes(), 10_000);
        let bytes = opened.whole().await.unwrap();
        assert!(bytes.len() == 10_000 && bytes.iter().all(|byte| *byte == bytes[0]));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
