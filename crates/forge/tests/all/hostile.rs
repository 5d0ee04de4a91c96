//! Bytes that nobody meant well with: errors, never panics, and nothing invalid made of valid input.

use std::sync::LazyLock;

use dayfly_forge::prepare_bytes;
use proptest::prelude::*;

use crate::support::{component_of, module_of};

const WIT: &str = "package a:b;
    world w { import wasi:http/types@0.2.0-rc-2023-11-10; export wasi:http/handler@0.3.0-rc-2026-03-15; }
    package wasi:http@0.2.0-rc-2023-11-10 { interface types {
        resource future-trailers { get: func() -> option<string>; } } }
    package wasi:http@0.3.0-rc-2026-03-15 { interface handler { handle: func() -> list<string>; } }";

/// A command, a module with an embedded world, a component.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let command = include_str!("../../../../examples/cgi/env.wat");
    let command = dayfly_forge::resolve::binary(command.into()).expect("the example parses").0;
    vec![command, module_of(WIT, "w"), component_of(WIT, "w")]
});

fn forge(bytes: Vec<u8>) {
    // Whether it is an error does not matter here.
    let _ = prepare_bytes("hostile", bytes);
}

#[test]
fn every_truncation_is_survived() {
    for seed in SEEDS.iter() {
        for end in 0..seed.len() {
            forge(seed[..end].to_vec());
        }
    }
}

#[test]
fn sections_that_promise_more_than_there_is() {
    for id in 0..=16u8 {
        for header in [*b"\0asm\x01\0\0\0", *b"\0asm\x0d\0\x01\0"] {
            for size in [&[0x7f][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff; 6]] {
                let mut bytes = header.to_vec();
                bytes.push(id);
                bytes.extend_from_slice(size);
                forge(bytes.clone());
                bytes.extend_from_slice(&[0xff; 32]);
                forge(bytes);
            }
        }
    }
}

#[test]
fn components_nested_deeply_are_survived() {
    let mut text = String::from("(component ");
    text.push_str(&"(component ".repeat(5_000));
    text.push_str(&")".repeat(5_001));
    forge(text.into_bytes());
}

/// What looks like a fixup of a shim, in an instance that is not there.
#[test]
fn indices_that_lead_nowhere_are_survived() {
    forge(
        br#"(component
            (core module $fixup
                (import "" "0" (func))
                (import "" "$imports" (table 1 funcref))
                (elem (i32.const 0) func 0))
            (alias core export 36 "$imports" (core table))
            (core instance $given (export "$imports" (table 0)) (export "0" (func 36)))
            (core instance (instantiate $fixup (with "" (instance $given)))))"#
            .to_vec(),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn bytes_changed_at_random(
        seed in 0..3usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = SEEDS[seed].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        forge(bytes);
    }

    #[test]
    fn pieces_moved_and_dropped(
        seed in 0..3usize,
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        len in 0..64usize,
    ) {
        let mut bytes = SEEDS[seed].clone();
        let from = from.index(bytes.len());
        let len = len.min(bytes.len() - from);
        let piece: Vec<_> = bytes.drain(from..from + len).collect();
        if !bytes.is_empty() {
            let to = to.index(bytes.len());
            bytes.splice(to..to, piece);
        }
        forge(bytes);
    }

    #[test]
    fn noise_behind_a_header(component in any::<bool>(), noise in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut bytes = if component { b"\0asm\x0d\0\x01\0".to_vec() } else { b"\0asm\x01\0\0\0".to_vec() };
        bytes.extend(noise);
        forge(bytes);
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        forge(text.into_bytes());
    }
}
