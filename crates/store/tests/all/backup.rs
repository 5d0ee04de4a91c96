//! Copies of a store in use, and a store from a copy.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dayfly_model::platform::{ArtifactStore as _, ReleaseStore as _};
use dayfly_store::{StoreError, restore};

use crate::{Fixture, app, by, offer, open, release};

#[test]
fn a_copy_that_was_made_in_use_is_whole() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    let folder = it.store.release_folder(&one.id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("dayfly.toml"), "dayfly = 1").unwrap();
    let kept = it.store.state_folder(1, 1);
    std::fs::create_dir_all(&kept).unwrap();
    let data = rusqlite::Connection::open(kept.join("data.db")).unwrap();
    data.pragma_update(None, "journal_mode", "WAL").unwrap();
    data.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (7)").unwrap();
    std::fs::write(kept.join("plain.txt"), "text").unwrap();

    let (copy, restored) = (it.folder.path().join("copy"), it.folder.path().join("restored"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                release(&it.store, &id, &format!("more {number}"), &[]).unwrap();
                if done.load(Relaxed) {
                    break;
                }
            }
        });
        it.store.backup(&copy).unwrap();
        done.store(true, Relaxed);
    });
    assert!(matches!(it.store.backup(&copy), Err(StoreError::Taken(_))));
    restore(&copy, &restored).unwrap();
    let store = open(&restored);
    let active = store.activation(&id).unwrap().unwrap();
    assert_eq!(active.shares[0].release, one.id);
    let releases = store.releases(&id, None, 1000).unwrap();
    assert!(releases.iter().any(|release| release.id == one.id));
    for release in releases {
        let text = store.manifest(&release.id).unwrap();
        let manifest = dayfly_model::platform::ReleaseManifest::parse(&text).unwrap();
        for digest in manifest.blobs().keys() {
            assert!(store.blob(digest).unwrap().is_some(), "{digest}");
        }
    }
    assert!(store.release_folder(&one.id).join("dayfly.toml").is_file());
    assert_eq!(std::fs::read(store.state_folder(1, 1).join("plain.txt")).unwrap(), b"text");
    let copied = rusqlite::Connection::open(store.state_folder(1, 1).join("data.db")).unwrap();
    let seven: i64 = copied.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(seven, 7);
}

#[test]
fn a_damaged_copy_is_refused() {
    let it = Fixture::new();
    let digest = crate::send(&it.store, "acme", b"bytes").unwrap();
    let (copy, restored) = (it.folder.path().join("copy"), it.folder.path().join("restored"));
    it.store.backup(&copy).unwrap();
    let blob = copy.join("blobs/sha256").join(digest.digits());
    // Not through the link, which is the store's own.
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "other").unwrap();
    assert!(matches!(restore(&copy, &restored), Err(StoreError::Digest { .. })));
}

#[test]
fn what_guests_write_fails_no_copy() {
    let it = Fixture::new();
    let kept = it.store.state_folder(1, 1);
    let (written, log) = (kept.join("written/0"), kept.join("log"));
    std::fs::create_dir_all(&written).unwrap();
    std::fs::create_dir_all(&log).unwrap();
    // They begin as databases do, and are none.
    let head = b"SQLite format 3\0".to_vec();
    let long = [&head[..], &[7; 2000]].concat();
    let fakes = [("written/0/short", &head), ("written/0/long", &long), ("log/short", &head)];
    for (name, bytes) in fakes {
        std::fs::write(kept.join(name), bytes).unwrap();
    }
    // What a guest keeps beside its own database is a file like others.
    std::fs::write(written.join("long-journal"), "its own").unwrap();
    // A worker lays something out.
    let new = it.folder.path().join("state/releases/.new-1");
    std::fs::create_dir_all(&new).unwrap();
    std::fs::write(new.join("half"), "half").unwrap();
    // Files come and go meanwhile.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for folder in [&written, &log] {
                    let files: Vec<_> = (0..50).map(|it| folder.join(format!("t{it}"))).collect();
                    files.iter().for_each(|file| std::fs::write(file, "x").unwrap());
                    files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
                }
            }
        });
        let copies = (0..20).map(|number| it.folder.path().join(format!("copy{number}")));
        let failed: Vec<_> = copies.filter_map(|copy| it.store.backup(&copy).err()).collect();
        done.store(true, Relaxed);
        assert!(failed.is_empty(), "{failed:?}");
    });
    let (copy, restored) = (it.folder.path().join("copy0"), it.folder.path().join("restored"));
    assert!(!copy.join("releases/.new-1").exists());
    restore(&copy, &restored).unwrap();
    let kept = open(&restored).state_folder(1, 1);
    for (name, bytes) in fakes {
        assert!(std::fs::read(kept.join(name)).unwrap() == *bytes, "{name}");
    }
    assert_eq!(std::fs::read(kept.join("written/0/long-journal")).unwrap(), b"its own");
}
