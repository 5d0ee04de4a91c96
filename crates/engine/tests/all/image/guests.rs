//! Components with memory.

use super::MIB;

/// What the first `count` says: of a component as it is, and of one that was initialised.
pub const FRESH: u32 = 201_118;
pub const FROZEN: u32 = 232_230;

/// A component that counts in every kind of global and in memory: `initialize` makes it grow, and
/// `count` counts on and says how far it got. `data` is what its memory holds at its end.
pub fn counter(data: &str) -> Vec<u8> {
    wat::parse_str(counter_text(data)).unwrap()
}

fn counter_text(data: &str) -> String {
    let start = 65_536 * 40 - data.len();
    format!(
        r#"(component
            (core module $state
                (memory (export "memory") 40)
                (data (i32.const 8) "\05")
                (data (i32.const {start}) "{data}")
                (global $i (mut i32) (i32.const 1))
                (global $l (mut i64) (i64.const 10))
                (global $f (mut f32) (f32.const 100))
                (global $d (mut f64) (f64.const 1000))
                (global $fixed i32 (i32.const 7))
                (func (export "initialize")
                    (global.set $i (i32.const 2))
                    (global.set $l (i64.const 20))
                    (global.set $f (f32.const 200))
                    (global.set $d (f64.const 2000))
                    (i32.store (i32.const 8) (i32.const 6))
                    (if (i32.eq (memory.grow (i32.const 3)) (i32.const -1)) (then unreachable))
                    (i32.store (i32.const {last}) (i32.const 30000)))
                (func (export "count") (result i32)
                    (global.set $i (i32.add (global.get $i) (i32.const 1)))
                    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
                    (i32.add (i32.add (global.get $i) (i32.wrap_i64 (global.get $l)))
                    (i32.add (i32.add (i32.trunc_f32_s (global.get $f))
                                      (i32.trunc_f64_s (global.get $d)))
                    (i32.add (i32.load (i32.const 8))
                    (i32.add (i32.mul (global.get $fixed) (i32.const 0))
                             (if (result i32) (i32.gt_u (memory.size) (i32.const 42))
                                 (then (i32.load (i32.const {last})))
                                 (else (i32.const 0)))))))))
            (core module $other
                (import "state" "memory" (memory 40))
                (import "state" "count" (func $count (result i32)))
                (global $calls (mut i32) (i32.const 100000))
                (func (export "count") (result i32)
                    (global.set $calls (i32.add (global.get $calls) (i32.const 100000)))
                    (i32.add (global.get $calls) (call $count))))
            (core instance $s (instantiate $state))
            (core instance $o (instantiate $other (with "state" (instance $s))))
            (func (export "initialize") (canon lift (core func $s "initialize")))
            (func (export "count") (result u32) (canon lift (core func $o "count"))))"#,
        last = 65_536 * 43 - 4,
    )
}

/// A counter and something before it that has a memory of its own, as one component: it adds a million and
/// how often it was called itself.
pub fn composed(data: &str) -> Vec<u8> {
    let counter = counter_text(data).replacen("(component", "(component $counter", 1);
    let text = format!(
        r#"(component
            {counter}
            (component $before
                (import "count" (func $count (result u32)))
                (core func $next (canon lower (func $count)))
                (core module $own
                    (import "" "next" (func $next (result i32)))
                    (memory 1)
                    (data (i32.const 0) "\40\42\0f\00")
                    (func (export "count") (result i32)
                        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                        (i32.add (i32.load (i32.const 0)) (call $next))))
                (core instance $o (instantiate $own (with "" (instance (export "next" (func $next))))))
                (func (export "count") (result u32) (canon lift (core func $o "count"))))
            (instance $c (instantiate $counter))
            (instance $b (instantiate $before (with "count" (func $c "count"))))
            (export "count" (func $b "count")))"#
    );
    wat::parse_str(text).unwrap()
}

/// A component that throws what it catches, and counts in its memory. What is thrown lies in a heap that
/// is a memory, too.
pub fn thrower() -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m
                (memory 40)
                (data (i32.const 8) "\05")
                (data (i32.const 65536) "{}")
                (tag $thrown (param i32))
                (func $throws (throw $thrown (i32.load (i32.const 8))))
                (func (export "count") (result i32)
                    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
                    (block $caught (result i32)
                        (try_table (catch $thrown $caught) (call $throws))
                        (i32.const -1))))
            (core instance $i (instantiate $m))
            (func (export "count") (result u32) (canon lift (core func $i "count"))))"#,
        "x".repeat(MIB as usize + 1),
    );
    wat::parse_str(text).unwrap()
}

/// A component that writes over all of its memory, and more.
pub fn scribbler() -> Vec<u8> {
    let data = "d".repeat(2 << 20);
    let text = format!(
        r#"(component
            (core module $m
                (memory 100)
                (data (i32.const 70000) "{data}")
                (data (i32.const 6000000) "far")
                (func (export "sum") (result i64)
                    (local $at i32) (local $sum i64)
                    (loop
                        (local.set $sum (i64.add (local.get $sum) (i64.load8_u (local.get $at))))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br_if 0 (i32.lt_u (local.get $at) (i32.const 6553600))))
                    (local.get $sum))
                (func (export "scribble") (param $from i32) (param $to i32)
                    (drop (memory.grow (i32.const 2)))
                    (memory.fill (local.get $from) (i32.const 77)
                                 (i32.sub (local.get $to) (local.get $from)))))
            (core instance $i (instantiate $m))
            (func (export "sum") (result u64) (canon lift (core func $i "sum")))
            (func (export "scribble") (param "from" u32) (param "to" u32)
                (canon lift (core func $i "scribble"))))"#
    );
    wat::parse_str(text).unwrap()
}
