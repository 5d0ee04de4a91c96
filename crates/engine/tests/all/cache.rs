//! The artifact cache: kept, found, bounded, private.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dayfly_engine::{
    ArtifactCache, CacheError, CacheStats, Code, Digest, Engine, EngineConfig, EngineError,
    Flavour, Mode, Origin,
};

use crate::support::{answer, ask, child, child_argument, engine, large_answer};

/// The folder that a cache makes in the one that it is given.
pub fn folder(cache_dir: &Path) -> PathBuf {
    cache_dir.join("artifacts-1")
}

/// The files of all artifacts.
pub fn artifacts(cache_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(cache_dir)).unwrap().map(|entry| entry.unwrap().path());
    let is_artifact = |path: &PathBuf| path.file_name().unwrap().len() == 64;
    let mut artifacts: Vec<_> = entries.filter(is_artifact).collect();
    artifacts.sort();
    artifacts
}

/// Loads as a new process would.
pub fn load(cache_dir: &Path, wasm: &[u8]) -> Code {
    engine(Mode::Aot, Some(cache_dir)).load(wasm).unwrap()
}

fn stats(engine: &Engine) -> CacheStats {
    engine.cache().unwrap().unwrap().stats()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_was_compiled_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = load(dir.path(), &answer(5));
    assert!(matches!(first.origin(), Origin::Compiled(_)));
    let second = load(dir.path(), &answer(5));
    assert_eq!(second.origin(), Origin::Cached);
    assert_eq!(ask(&second), 5);
    assert_eq!(first.digest(), second.digest());
    assert!(matches!(load(dir.path(), &answer(6)).origin(), Origin::Compiled(_)));
}

/// What this process has read so far, in bytes.
fn read_so_far() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn what_was_verified_is_not_read_again_unless_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let wasm = large_answer(5, 900 << 10);
    load(dir.path(), &wasm);
    let [artifact] = &*artifacts(dir.path()) else { panic!("one artifact") };
    let load_cached = || {
        let before = read_so_far();
        let code = engine(Mode::Aot, Some(dir.path()))
            .load_cached(Digest::of(&wasm), Flavour::SEQUENTIAL)
            .unwrap();
        (code.map(|code| ask(&code)), read_so_far() - before > 900 << 10)
    };
    // A file that has just been written might be written again with the same stamp.
    assert_eq!(load_cached(), (Some(5), true));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(load_cached(), (Some(5), true), "it was not settled when it was verified");
    assert_eq!(load_cached(), (Some(5), false), "it was verified");
    let mut bytes = fs::read(artifact).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let other = dir.path().join("other");
    fs::write(&other, &bytes).unwrap();
    fs::rename(&other, artifact).unwrap();
    assert_eq!(load_cached(), (None, true), "it is another file");
}

#[test]
fn a_known_component_is_found_without_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let digest = Digest::of(&answer(5));
    let find = |digest| {
        let engine = engine(Mode::Auto, Some(dir.path()));
        engine.load_cached(digest, Flavour::SEQUENTIAL).unwrap()
    };
    assert!(find(digest).is_none());
    load(dir.path(), &answer(5));
    assert_eq!(ask(&find(digest).unwrap()), 5);
    let engine = engine(Mode::Auto, Some(dir.path()));
    assert!(engine.load_cached(digest, Flavour::CONCURRENT).unwrap().is_none());
}

/// The initial memory of instances is mapped from the artifact's file, which may be removed.
#[test]
fn memory_images_work_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    for origin in ["compiled", "cached"] {
        let code = load(dir.path(), &large_answer(8, 3 << 20));
        for artifact in artifacts(dir.path()) {
            if origin == "cached" {
                fs::remove_file(artifact).unwrap();
            }
        }
        for _ in 0..3 {
            assert_eq!(ask(&code), 8, "{origin}");
        }
    }
}

#[test]
fn what_was_made_is_had_again_by_its_name_and_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let open = || ArtifactCache::open(dir.path(), 1 << 30).unwrap();
    let (name, other) = (Digest::of(b"one"), Digest::of(b"other"));
    assert_eq!(open().made(&name), None);
    open().keep_made(&name, b"what was made");
    assert_eq!(open().made(&name).as_deref(), Some(&b"what was made"[..]));
    assert_eq!(open().made(&other), None);
    let [file] = &artifacts(dir.path())[..] else { panic!("one is kept") };
    let mut bytes = fs::read(file).unwrap();
    bytes[0] ^= 1;
    fs::write(file, bytes).unwrap();
    assert_eq!(open().made(&name), None);
}

#[test]
fn everything_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let cache_dir = dir.path().join("a/b");
    load(&cache_dir, &answer(1));
    for path in ["a", "a/b", "a/b/artifacts-1", "a/b/artifacts-1/tmp"] {
        assert_eq!(mode(&dir.path().join(path)), 0o700, "{path}");
    }
    let key = folder(&cache_dir).join("key");
    assert_eq!(fs::read(&key).unwrap().len(), 32);
    for path in artifacts(&cache_dir).into_iter().chain([key]) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    // A folder that became too open is closed again.
    fs::set_permissions(folder(&cache_dir), Permissions::from_mode(0o777)).unwrap();
    load(&cache_dir, &answer(1));
    assert_eq!(mode(&folder(&cache_dir)), 0o700);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &answer(1));
    let key = folder(dir.path()).join("key");
    for open in [0o640, 0o604, 0o620, 0o602, 0o666] {
        fs::set_permissions(&key, Permissions::from_mode(open)).unwrap();
        let error = ArtifactCache::open(dir.path(), 1 << 30).err().unwrap();
        assert!(matches!(error, CacheError::KeyExposed { .. }), "{open:o}: {error}");
        // The engine works without a cache.
        let code = load(dir.path(), &answer(1));
        assert!(matches!(code.origin(), Origin::Compiled(_)));
        assert_eq!(ask(&code), 1);
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(load(dir.path(), &answer(1)).origin(), Origin::Cached);
}

#[test]
fn a_key_that_is_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &answer(1));
    let key = folder(dir.path()).join("key");
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&key, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &key).unwrap();
    assert!(matches!(ArtifactCache::open(dir.path(), 0), Err(CacheError::KeyExposed { .. })));
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    assert!(matches!(ArtifactCache::open(dir.path(), 0), Err(CacheError::KeyExposed { .. })));
}

#[test]
fn a_torn_key_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let key = folder(dir.path()).join("key");
    for len in [0, 1, 31, 33, 1000] {
        load(dir.path(), &answer(1));
        fs::write(&key, vec![7; len]).unwrap();
        let code = load(dir.path(), &answer(1));
        assert!(matches!(code.origin(), Origin::Compiled(_)), "{len}");
        assert_eq!(fs::read(&key).unwrap().len(), 32);
        assert_eq!(load(dir.path(), &answer(1)).origin(), Origin::Cached);
    }
}

#[test]
fn a_folder_that_cannot_be_made_means_no_cache() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for cache_dir in [file.clone(), file.join("below"), PathBuf::from("/proc/nothing")] {
        let engine = engine(Mode::Auto, Some(&cache_dir));
        assert!(matches!(engine.cache(), Some(Err(CacheError::Folder { .. }))));
        assert_eq!(ask(&engine.load(&answer(3)).unwrap()), 3);
    }
}

/// As another user than root, whom permissions do not stop.
#[test]
fn a_read_only_cache_is_read() {
    let Some(cache_dir) = child_argument() else {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        let run = |argument: &Path| {
            let mut child = child("cache::a_read_only_cache_is_read", argument.to_str().unwrap());
            if rustix::process::geteuid().is_root() {
                std::os::unix::process::CommandExt::uid(&mut child, 65534);
            }
            assert!(child.status().unwrap().success());
        };
        return run(dir.path());
    };
    let cache_dir = PathBuf::from(cache_dir).join("cache");
    load(&cache_dir, &answer(1));
    let folder = folder(&cache_dir);
    for path in [folder.join("tmp"), folder.clone()] {
        fs::set_permissions(path, Permissions::from_mode(0o500)).unwrap();
    }
    let engine = engine(Mode::Auto, Some(&cache_dir));
    assert!(!stats(&engine).writable);
    assert_eq!(engine.load(&answer(1)).unwrap().origin(), Origin::Cached);
    assert_eq!(ask(&engine.load(&answer(2)).unwrap()), 2);
    assert_eq!(stats(&engine).entries, 1);
    // An artifact that cannot be read.
    fs::set_permissions(&artifacts(&cache_dir)[0], Permissions::from_mode(0o000)).unwrap();
    assert!(matches!(load(&cache_dir, &answer(1)).origin(), Origin::Compiled(_)));
    // A folder that cannot be entered.
    fs::set_permissions(&cache_dir, Permissions::from_mode(0o000)).unwrap();
    assert_eq!(ask(&load(&cache_dir, &answer(1))), 1);
    fs::set_permissions(&cache_dir, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_engine_that_compiles_nothing_loads_what_others_have_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let auto = engine(Mode::Auto, Some(dir.path()));
    let loader = Engine::new(EngineConfig { compiles: false, ..auto.config().clone() }).unwrap();
    assert!(engine(Mode::Aot, Some(dir.path())).keeping_baseline().is_none());
    for wasm in [answer(5), large_answer(7, 2 << 20)] {
        let found = || loader.load_cached(Digest::of(&wasm), Flavour::of(&wasm).unwrap()).unwrap();
        assert!(found().is_none());
        for refused in [loader.load(&wasm), loader.load_counted(&wasm)] {
            let error = refused.err().unwrap();
            assert!(matches!(error, EngineError::CompilesNothing), "{error:?}");
        }
        assert!(matches!(loader.precompile(&wasm), Err(EngineError::CompilesNothing)));
        let flavour = Flavour::of(&wasm).unwrap();
        let baseline = loader.baseline(flavour).unwrap().expect("there is room for two");
        assert!(baseline.load(&wasm).is_err());
        let expected = ask(&auto.keeping_baseline().unwrap().load(&wasm).unwrap());
        let stand_in = baseline.load_cached(Digest::of(&wasm), flavour).unwrap();
        let stand_in = stand_in.expect("another has compiled it");
        assert!(ask(&stand_in) == expected && !loader.made(&stand_in) && found().is_none());
        load(dir.path(), &wasm);
        let code = found().expect("another has compiled it in full");
        assert!(ask(&code) == expected && loader.made(&code));
    }
}

fn small_cache(cache_dir: &Path, cache_bytes: u64) -> Engine {
    let config = EngineConfig {
        cache_dir: Some(cache_dir.to_owned()),
        cache_bytes,
        max_instances: 4,
        ..EngineConfig::default()
    };
    Engine::new(config).unwrap()
}

#[test]
fn the_oldest_by_last_use_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let size = load(dir.path(), &large_answer(0, 1 << 20)).artifact_bytes();
    fs::remove_dir_all(folder(dir.path())).unwrap();
    let engine = small_cache(dir.path(), 5 * size);
    for i in 0..4 {
        engine.load(&large_answer(i, 1 << 20)).unwrap();
        // As if a day had passed.
        for path in artifacts(dir.path()) {
            let file = fs::File::open(path).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified - Duration::from_secs(24 * 3600)).unwrap();
        }
    }
    // The first is used again, and that is recorded.
    assert_eq!(engine.load(&large_answer(0, 1 << 20)).unwrap().origin(), Origin::Cached);
    for i in 4..7 {
        engine.load(&large_answer(i, 1 << 20)).unwrap();
    }
    assert!(stats(&engine).bytes <= 5 * size, "{:?}", stats(&engine));
    let origin = |i| engine.load(&large_answer(i, 1 << 20)).unwrap().origin();
    assert_eq!(origin(0), Origin::Cached);
    assert_eq!(origin(6), Origin::Cached);
    assert!(matches!(origin(1), Origin::Compiled(_)));
}

#[test]
fn one_that_is_larger_than_the_cache_is_kept_alone() {
    let dir = tempfile::tempdir().unwrap();
    let engine = small_cache(dir.path(), 1000);
    for i in 0..3 {
        assert_eq!(ask(&engine.load(&answer(i)).unwrap()), i);
        assert_eq!(stats(&engine).entries, 1);
    }
}

#[test]
fn eviction_spares_what_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let engine = small_cache(dir.path(), 1);
    let used: Vec<_> = (0..5).map(|i| engine.load(&large_answer(i, 1 << 20)).unwrap()).collect();
    assert_eq!(stats(&engine).entries, 1);
    for (i, code) in used.iter().enumerate() {
        assert_eq!(ask(code), i as u32);
    }
}

#[test]
fn leftovers_are_removed_and_files_being_written_are_not() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &answer(1));
    let tmp = folder(dir.path()).join("tmp");
    let writing = fs::File::create(tmp.join("writing")).unwrap();
    rustix::fs::flock(&writing, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::write(tmp.join("left"), "x").unwrap();
    std::os::unix::fs::symlink("/nowhere", tmp.join("link")).unwrap();
    fs::create_dir_all(tmp.join("a/b/c")).unwrap();
    fs::write(tmp.join("a/b/c/d"), "x").unwrap();
    load(dir.path(), &answer(1));
    let names: Vec<_> =
        fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["writing"]);
}

#[test]
fn stats_say_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(Mode::Auto, Some(dir.path()));
    assert_eq!(stats(&engine).entries, 0);
    let code = engine.load(&answer(1)).unwrap();
    let stats = stats(&engine);
    assert_eq!(stats.path, folder(dir.path()));
    assert_eq!((stats.entries, stats.bytes), (1, code.artifact_bytes()));
    assert!(stats.writable);
}

/// A file that was verified is not hashed again, until it changes.
#[test]
fn a_change_after_verification_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &answer(1));
    let engine = engine(Mode::Aot, Some(dir.path()));
    // Only files that have been left alone for a while are remembered.
    std::thread::sleep(Duration::from_secs(4));
    for _ in 0..2 {
        assert_eq!(engine.load(&answer(1)).unwrap().origin(), Origin::Cached);
    }
    let path = &artifacts(dir.path())[0];
    let mut bytes = fs::read(path).unwrap();
    let before = fs::metadata(path).unwrap().modified().unwrap();
    bytes[500] ^= 1;
    fs::write(path, &bytes).unwrap();
    // Whoever tampers can set this time back, but not the one that counts.
    fs::File::open(path).unwrap().set_modified(before).unwrap();
    assert!(before < SystemTime::now());
    let code = engine.load(&answer(1)).unwrap();
    assert!(matches!(code.origin(), Origin::Compiled(_)));
    assert_eq!(ask(&code), 1);
}
