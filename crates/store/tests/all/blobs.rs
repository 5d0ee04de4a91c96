//! Blobs, and what is collected of them.

use std::time::Duration;

use dayfly_model::platform::{ArtifactStore as _, BlobDigest, ReleaseManifest};
use dayfly_store::{MAX_BLOB_BYTES, Result, StoreError, digest_of};

use crate::{Fixture, app, by, open, release, send, tenant};

#[test]
fn what_was_sent_is_not_missing_but_for_others() {
    let it = Fixture::new();
    let digest = send(&it.store, "acme", b"bytes").unwrap();
    let missing = |owner| it.store.missing(&tenant(owner), std::slice::from_ref(&digest)).unwrap();
    assert!(missing("acme").is_empty());
    assert_eq!(missing("other").as_slice(), std::slice::from_ref(&digest));
    let path = it.store.blob(&digest).unwrap().unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"bytes");
    // Others send it, too, and then they have it.
    send(&it.store, "other", b"bytes").unwrap();
    assert!(missing("other").is_empty());
    assert_eq!(it.store.tenant(&tenant("acme")).unwrap().storage_bytes, 5);
}

#[test]
fn what_is_not_what_it_is_called_is_not_kept() {
    let it = Fixture::new();
    let digest: BlobDigest = digest_of(b"bytes").parse().unwrap();
    let mut blob = it.store.take_blob(&tenant("acme"), &digest).unwrap();
    blob.write(b"other").unwrap();
    assert!(matches!(it.store.keep_blob(blob), Err(StoreError::Digest { .. })));
    assert!(it.store.blob(&digest).unwrap().is_none());
    assert_eq!(std::fs::read_dir(it.store.incoming()).unwrap().count(), 0);
}

#[test]
fn a_blob_beyond_the_quota_is_refused_as_it_comes() {
    let it = Fixture::new();
    it.quotas("acme", |quotas| quotas.storage_bytes = 8);
    send(&it.store, "acme", b"bytes").unwrap();
    let more = send(&it.store, "acme", b"more");
    let quota = |it: &Result<BlobDigest>| match it {
        Err(StoreError::Quota { quota, limit, needed }) => Some((*quota, *limit, *needed)),
        _ => None,
    };
    assert_eq!(quota(&more), Some(("storage_bytes", 8, 9)));
    it.quotas("acme", |quotas| quotas.package_bytes = 2);
    assert_eq!(quota(&send(&it.store, "acme", b"abc")), Some(("package_bytes", 2, 3)));
    it.quotas("acme", |quotas| quotas.package_bytes = 1 << 40);
    it.quotas("acme", |quotas| quotas.storage_bytes = 1 << 40);
    let whole = it.store.take_blob(&tenant("acme"), &digest_of(b"any").parse().unwrap()).unwrap();
    whole.fits(MAX_BLOB_BYTES).unwrap();
    assert!(matches!(whole.fits(MAX_BLOB_BYTES + 1), Err(StoreError::TooLarge { .. })));
    drop(whole);
    it.quotas("acme", |quotas| quotas.storage_bytes = 8);
    // Two that come at once fit no more than one after the other.
    let begin = |bytes: &[u8]| {
        let digest = digest_of(bytes).parse().unwrap();
        let mut blob = it.store.take_blob(&tenant("acme"), &digest).unwrap();
        blob.write(bytes).unwrap();
        blob
    };
    let (one, two) = (begin(b"abc"), begin(b"def"));
    it.store.keep_blob(one).unwrap();
    let beyond = it.store.keep_blob(two);
    assert!(matches!(beyond, Err(StoreError::Quota { quota: "storage_bytes", .. })));
    // What was refused takes no room on the disk.
    assert!(it.store.blob(&digest_of(b"def").parse().unwrap()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(it.store.incoming()).unwrap().count(), 0);
    let full = it.store.take_blob(&tenant("acme"), &digest_of(b"x").parse().unwrap());
    assert!(matches!(full.map(drop), Err(StoreError::Quota { quota: "storage_bytes", .. })));
}

#[test]
fn only_what_nobody_names_is_collected() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    release(&it.store, &id, "named", &[]).unwrap();
    let named: BlobDigest = digest_of(b"named").parse().unwrap();
    let loose = send(&it.store, "acme", b"loose").unwrap();
    // Of what one tenant names, another's own copy is garbage, but the file is not.
    send(&it.store, "other", b"named").unwrap();
    let number = 1;
    std::fs::create_dir_all(it.store.state_folder(1, number)).unwrap();
    std::fs::write(it.store.incoming().join("broken"), "x").unwrap();
    std::fs::create_dir(it.folder.path().join("state/releases/.new-x")).unwrap();

    let nothing = it.store.collect(Duration::from_secs(3600)).unwrap();
    assert_eq!(nothing, dayfly_store::Collected::default());
    let collected = it.store.collect(Duration::ZERO).unwrap();
    assert_eq!((collected.blobs, collected.bytes, collected.others), (1, 5, 2));
    assert!(it.store.blob(&loose).unwrap().is_none());
    assert!(it.store.blob(&named).unwrap().is_some());
    assert_eq!(it.store.missing(&tenant("other"), std::slice::from_ref(&named)).unwrap().len(), 1);
    assert!(it.store.state_folder(1, number).exists());

    it.store.remove_app(&by(), &id).unwrap();
    it.store.collect(Duration::ZERO).unwrap();
    assert!(it.store.blob(&named).unwrap().is_none());
    assert!(!it.store.state_folder(1, number).exists());
}

#[test]
fn what_comes_while_an_old_file_of_it_is_collected_stays() {
    let it = Fixture::new();
    let state = it.folder.path().join("state");
    let hour = Duration::from_secs(3600);
    let digests: Vec<BlobDigest> =
        (0..50).map(|number| digest_of(format!("{number}").as_bytes()).parse().unwrap()).collect();
    for digest in &digests {
        let old = std::fs::File::create(state.join("blobs/sha256").join(digest.digits())).unwrap();
        old.set_modified(std::time::SystemTime::now() - 2 * hour).unwrap();
    }
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for number in 0..digests.len() {
                send(&it.store, "acme", format!("{number}").as_bytes()).unwrap();
            }
        });
        let collector = open(&state);
        while !sender.is_finished() {
            collector.collect(hour).unwrap();
        }
    });
    assert!(it.store.missing(&tenant("acme"), &digests).unwrap().is_empty());
    for digest in &digests {
        assert!(it.store.blob(digest).unwrap().is_some(), "{digest}");
    }
}

#[test]
fn what_is_laid_out_counts_until_it_is_collected() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let made = release(&it.store, &id, "bytes", &[]).unwrap();
    it.quotas("acme", |quotas| quotas.storage_bytes = 1000);
    it.store.laid_out(&id.tenant, &made.id, 900).unwrap();
    let stored = || it.store.tenant(&id.tenant).unwrap().storage_bytes;
    assert_eq!((stored(), it.store.taken(&id.tenant).unwrap().storage_bytes), (905, 905));
    let text = crate::manifest(b"bytes");
    let manifest = ReleaseManifest::parse(text.as_bytes()).unwrap();
    // For itself there is the room that it takes, and for another one there is the rest.
    let room = |digest| it.store.check_release(&id, digest, &manifest).unwrap();
    assert_eq!(room(&made.id).left_bytes(), 995);
    let other = digest_of(b"other").parse().unwrap();
    assert_eq!(room(&other).left_bytes(), 95);
    let refused = room(&other).refused(96);
    assert!(matches!(
        refused,
        StoreError::Quota { quota: "storage_bytes", limit: 1000, needed: 1001 }
    ));
    let blob = send(&it.store, "acme", &[7; 96]);
    assert!(matches!(blob, Err(StoreError::Quota { limit: 1000, needed: 1001, .. })), "{blob:?}");
    // As long as a release is there, and as long as its folder may be.
    it.store.collect(Duration::ZERO).unwrap();
    assert_eq!(stored(), 905);
    it.store.remove_app(&by(), &id).unwrap();
    it.store.collect(Duration::from_secs(3600)).unwrap();
    assert_eq!(stored(), 905);
    it.store.collect(Duration::ZERO).unwrap();
    assert_eq!(stored(), 0);
}
