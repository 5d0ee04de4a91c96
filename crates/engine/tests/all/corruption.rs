//! Whatever is in an artifact's place is never trusted and never fatal: it is compiled again and
//! replaced.

use std::fs;
use std::path::Path;

use dayfly_engine::Origin;

use crate::cache::{artifacts, folder, load};
use crate::support::{answer, ask};

/// A cache with one artifact, and the artifact's bytes.
fn cache() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &answer(1));
    let bytes = fs::read(&artifacts(dir.path())[0]).unwrap();
    (dir, bytes)
}

/// It was not trusted, the guest works, and the next start finds a good artifact.
fn assert_replaced(cache_dir: &Path, what: &str) {
    let code = load(cache_dir, &answer(1));
    assert!(matches!(code.origin(), Origin::Compiled(_)), "{what}");
    assert_eq!(ask(&code), 1, "{what}");
    assert_eq!(load(cache_dir, &answer(1)).origin(), Origin::Cached, "{what}: not replaced");
}

#[test]
fn changed_bytes() {
    let (dir, good) = cache();
    let path = &artifacts(dir.path())[0];
    let mut places: Vec<usize> = (0..good.len()).step_by(good.len() / 60).collect();
    places.extend((0..64).step_by(4));
    places.extend(good.len() - 128..good.len());
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        fs::write(path, &bad).unwrap();
        assert_replaced(dir.path(), &format!("byte {place}"));
    }
}

#[test]
fn other_lengths() {
    let (dir, good) = cache();
    let path = &artifacts(dir.path())[0];
    let mut lengths = vec![0, 1, 63, 64, 127, 128, 129, 4096, good.len() - 128];
    lengths.extend((0..good.len()).step_by(good.len() / 30));
    lengths.extend(good.len() - 5..good.len());
    for length in lengths {
        fs::write(path, &good[..length]).unwrap();
        assert_replaced(dir.path(), &format!("length {length}"));
    }
    for more in [1, 128, 4096] {
        fs::write(path, [&good[..], &vec![0; more]].concat()).unwrap();
        assert_replaced(dir.path(), &format!("{more} more"));
    }
    fs::write(path, [&good[..], &good[..]].concat()).unwrap();
    assert_replaced(dir.path(), "twice");
}

#[test]
fn something_else() {
    let (dir, good) = cache();
    let path = &artifacts(dir.path())[0];
    let zeros = vec![0; good.len()];
    let elf = fs::read(std::env::current_exe().unwrap()).unwrap();
    for bytes in [&zeros[..], b"#!/bin/sh\n", &elf[..100_000], &good[..good.len() - 128]] {
        fs::write(path, bytes).unwrap();
        assert_replaced(dir.path(), "something else");
    }
}

#[test]
fn swapped_artifacts() {
    let (dir, _) = cache();
    load(dir.path(), &answer(2));
    let [a, b] = &artifacts(dir.path())[..] else { panic!("two artifacts") };
    let aside = dir.path().join("aside");
    fs::rename(a, &aside).unwrap();
    fs::rename(b, a).unwrap();
    fs::rename(&aside, b).unwrap();
    for value in [1, 2] {
        let code = load(dir.path(), &answer(value));
        assert!(matches!(code.origin(), Origin::Compiled(_)));
        assert_eq!(ask(&code), value);
        assert_eq!(load(dir.path(), &answer(value)).origin(), Origin::Cached);
    }
}

#[test]
fn an_artifact_of_another_user() {
    let (dir, _) = cache();
    let (other, foreign) = cache();
    let path = &artifacts(dir.path())[0];
    assert_eq!(path.file_name(), artifacts(other.path())[0].file_name());
    fs::write(path, foreign).unwrap();
    assert_replaced(dir.path(), "another key");
}

#[test]
fn an_artifact_of_another_version() {
    let (dir, good) = cache();
    let path = &artifacts(dir.path())[0];
    // As if the format had another version, with a MAC that is right.
    let key = fs::read(folder(dir.path()).join("key")).unwrap().try_into().unwrap();
    let mut bad = good.clone();
    let head = good.len() - 128;
    bad[head + 16] += 1;
    let mac_at = good.len() - 32;
    let mac = blake3_keyed(&key, &bad[..mac_at]);
    bad[mac_at..].copy_from_slice(&mac);
    fs::write(path, &bad).unwrap();
    assert_replaced(dir.path(), "another version");
}

fn blake3_keyed(key: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(key, bytes).as_bytes()
}

/// Artifacts that verify but that Wasmtime refuses: a bug of ours would look like this.
#[test]
fn an_authentic_artifact_that_does_not_load() {
    let (dir, _) = cache();
    let path = &artifacts(dir.path())[0];
    let key = fs::read(folder(dir.path()).join("key")).unwrap().try_into().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let digits = |i: usize| u8::from_str_radix(&name[2 * i..2 * i + 2], 16).unwrap();
    let artifact_key = std::array::from_fn::<u8, 32, _>(digits).into();
    for image in [&b""[..], b"\x7fELF", &[0; 10_000]] {
        let trailer = dayfly_engine::artifact::trailer(image, &artifact_key, &key);
        fs::write(path, [image, &trailer].concat()).unwrap();
        assert_replaced(dir.path(), "no image");
    }
}

#[test]
fn no_file_at_all() {
    let (dir, good) = cache();
    let path = &artifacts(dir.path())[0];
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, good).unwrap();

    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path).unwrap();
    assert_replaced(dir.path(), "a symbolic link");
    assert!(fs::symlink_metadata(path).unwrap().is_file());

    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink("/nowhere", path).unwrap();
    assert_replaced(dir.path(), "a dangling link");

    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    assert_replaced(dir.path(), "an empty folder");

    fs::remove_file(path).unwrap();
    fs::create_dir_all(path.join("a/b")).unwrap();
    fs::write(path.join("a/b/c"), "x").unwrap();
    assert_replaced(dir.path(), "a folder");

    fs::remove_file(path).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
    assert_replaced(dir.path(), "a named pipe");

    assert_eq!(fs::read_dir(folder(dir.path()).join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_vanishes() {
    let (dir, _) = cache();
    let engine = crate::support::engine(dayfly_engine::Mode::Aot, Some(dir.path()));
    fs::remove_dir_all(dir.path()).unwrap();
    for value in [1, 2] {
        assert_eq!(ask(&engine.load(&answer(value)).unwrap()), value);
    }
}
