//! The examples of the repository, as they stand.

use std::path::PathBuf;

use dayfly_model::{Executor, HandlerShape};

use crate::support::{assert_valid, forge_file};

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn shape(folder: &str, file: &str) -> HandlerShape {
    let made = forge_file(&example(folder), file, &Executor::Detected)
        .unwrap_or_else(|error| panic!("{}", crate::support::said(&error)));
    assert_valid(&made.wasm);
    made.shape
}

#[test]
fn hello_is_an_http_handler() {
    assert_eq!(shape("hello", "hello.wat"), HandlerShape::Http02);
    assert_eq!(shape("spin-hello", "hello.wat"), HandlerShape::Http02);
}

#[test]
fn cgi_is_a_command() {
    assert_eq!(shape("cgi", "env.wat"), HandlerShape::Command02);
}

#[test]
fn the_two_hellos_are_one() {
    let read = |folder| std::fs::read(example(folder).join("hello.wat")).expect("it is there");
    assert!(read("hello") == read("spin-hello"), "copy examples/hello/hello.wat over the other");
}
