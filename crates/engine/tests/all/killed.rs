//! Processes that are killed while they compile and write.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use dayfly_engine::Mode;

use crate::cache::{artifacts, folder, load};
use crate::support::{ask, child, child_argument, engine, large_answer};

const TEST: &str = "killed::a_hundred_times_leaves_a_cache_that_works";
const COMPONENTS: u32 = 8;
const BYTES: usize = 2 << 20;

/// Compiles and writes without end.
fn compile(dir: &Path) {
    let guests: Vec<_> =
        (0..COMPONENTS).map(|value| fs::read(dir.join(value.to_string())).unwrap()).collect();
    let cache_dir = dir.join("cache");
    println!("ready");
    loop {
        let engine = engine(Mode::Aot, Some(&cache_dir));
        for guest in &guests {
            engine.load(guest).unwrap();
        }
        // Again from nothing, even without a key.
        for path in artifacts(&cache_dir) {
            fs::remove_file(path).unwrap();
        }
        fs::remove_file(folder(&cache_dir).join("key")).unwrap();
    }
}

fn wait_for_a_write(tmp: &Path) {
    let start = Instant::now();
    while fs::read_dir(tmp).map_or(0, Iterator::count) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is written");
    }
}

#[test]
fn a_hundred_times_leaves_a_cache_that_works() {
    if let Some(dir) = child_argument() {
        return compile(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let guests: Vec<_> = (0..COMPONENTS).map(|value| large_answer(value, BYTES)).collect();
    for (value, guest) in guests.iter().enumerate() {
        fs::write(dir.path().join(value.to_string()), guest).unwrap();
    }
    let cache_dir = dir.path().join("cache");
    let tmp = folder(&cache_dir).join("tmp");
    let mut torn = 0;
    for round in 0..100_u64 {
        let mut child = child(TEST, dir.path().to_str().unwrap());
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The output of the test's own runner comes first.
        assert!(lines.any(|line| line.unwrap().ends_with("ready")));
        if round % 2 == 0 {
            wait_for_a_write(&tmp);
        } else {
            // Anywhere from before the folder is made.
            std::thread::sleep(Duration::from_micros(round * 7919 % 30_000));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        torn += fs::read_dir(&tmp).map_or(0, Iterator::count);

        let value = round as usize % guests.len();
        assert_eq!(ask(&load(&cache_dir, &guests[value])), value as u32);
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "leftovers stay");
    }
    assert!(torn >= 5, "only {torn} writes were hit");
    // Whatever was left behind is either good or replaced.
    let engine = engine(Mode::Aot, Some(&cache_dir));
    assert!(engine.cache().unwrap().is_ok());
    for (value, guest) in guests.iter().enumerate() {
        assert_eq!(ask(&engine.load(guest).unwrap()), value as u32);
    }
}
