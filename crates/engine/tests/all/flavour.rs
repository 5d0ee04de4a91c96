//! Which engine a component needs.

use dayfly_engine::Flavour;

use crate::support::{answer, engine};

fn of(text: &str) -> Flavour {
    Flavour::of(&wat::parse_str(text).unwrap()).unwrap()
}

#[test]
fn wasi_0_2_is_sequential() {
    assert_eq!(Flavour::of(&answer(1)).unwrap(), Flavour::SEQUENTIAL);
    let texts = [
        "(component)",
        r#"(component (import "wasi:io/poll@0.2.3" (instance (export "f" (func)))))"#,
        r#"(component (component (core module (func))) (core module))"#,
    ];
    for text in texts {
        assert_eq!(of(text), Flavour::SEQUENTIAL, "{text}");
    }
}

#[test]
fn wasi_0_3_and_async_are_concurrent() {
    let texts = [
        r#"(component (import "wasi:clocks/types@0.3.0" (instance)))"#,
        r#"(component (import "wasi:http/types@0.3.0-rc-2026-03-15" (instance)))"#,
        r#"(component (instance $i) (export "wasi:http/handler@0.3.0" (instance $i)))"#,
        r#"(component (type (func async)))"#,
        r#"(component (type (stream u8)))"#,
        r#"(component (type (future)))"#,
        r#"(component (import "a" (instance (export "f" (func async)))))"#,
        r#"(component (type (component (import "wasi:http/types@0.3.0" (instance)))))"#,
        r#"(component (core func (canon waitable-set.new)))"#,
        // Within a component that is inside, after a core module that is passed over.
        r#"(component (core module (func)) (component (core module) (type (stream u8))))"#,
    ];
    for text in texts {
        assert_eq!(of(text), Flavour::CONCURRENT, "{text}");
    }
}

#[test]
fn both_flavours_load() {
    let engine = engine(dayfly_engine::Mode::Jit, None);
    let concurrent = wat::parse_str("(component (type (stream u8)))").unwrap();
    assert_eq!(engine.load(&concurrent).unwrap().flavour(), Flavour::CONCURRENT);
    assert_eq!(engine.load(&answer(1)).unwrap().flavour(), Flavour::SEQUENTIAL);
}

#[test]
fn garbage_is_no_panic() {
    let good = answer(1);
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 0xff;
        let _ = Flavour::of(&bad);
        let _ = Flavour::of(&good[..i]);
    }
}
