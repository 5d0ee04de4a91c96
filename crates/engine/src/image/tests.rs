use super::PAGE_BYTES;
use super::split::{Shape, split};

#[test]
fn what_is_kept_of_a_freeze_is_what_the_frozen_component_splits_into() {
    let component = wat::parse_str(
        r#"(component
            (core module $state
                (memory (export "memory") 2)
                (data (i32.const 8) "begins as this")
                (global (mut i32) (i32.const 1))
                (global (mut f64) (f64.const 2))
                (func (export "initialize")))
            (core module $other
                (import "state" "memory" (memory 2))
                (data (i32.const 100) "and this")
                (global (mut i64) (i64.const 3))
                (func (export "count")))
            (core instance $s (instantiate $state))
            (core instance (instantiate $other (with "state" (instance $s)))))"#,
    )
    .unwrap();
    let shape = Shape::read(&component).unwrap();
    let parts = shape.split(&component).unwrap();
    // As `dayfly-save` leaves it: three pages, and behind them the globals of the first module.
    let page = PAGE_BYTES as usize;
    let mut memory = vec![0; 4 * page];
    memory[8..22].copy_from_slice(b"has become\0it!");
    memory[100..108].copy_from_slice(b"and this");
    memory[page + 5000..page + 5003].copy_from_slice(b"and");
    memory[3 * page - 1] = 1;
    memory[3 * page..3 * page + 4].copy_from_slice(&7_u32.to_le_bytes());
    memory[3 * page + 8..3 * page + 16].copy_from_slice(&0.5_f64.to_le_bytes());
    let reached = shape.reached(&memory, &parts.last_page()).unwrap();
    let frozen = shape.grown(&component, &reached).unwrap();
    let again = split(&frozen).unwrap();
    assert_eq!(again.digest, parts.digest, "the code is the same");
    assert_eq!(again.image(), reached.image(&parts.digest));
    assert_eq!(
        again.last_page()[..24],
        [&7_u64.to_le_bytes()[..], &0.5_f64.to_le_bytes(), &3_u64.to_le_bytes(),].concat()
    );
}
