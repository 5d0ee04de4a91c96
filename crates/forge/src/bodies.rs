//! Functions with other numbers: most of their instructions name nothing by a number, and are copied as they are,
//! byte for byte, which takes half the time.

use wasm_encoder::CodeSection;
use wasm_encoder::reencode::{Error, Reencode};
use wasmparser::FunctionBody;

/// Adds a function to a section as `reencode` has it, which may change instructions that name something by
/// its number, or memory's size; no others are shown to it.
///
/// # Errors
/// If the body is damaged, or an instruction cannot be had.
pub(crate) fn copy<R: Reencode>(
    reencode: &mut R,
    section: &mut CodeSection,
    body: &FunctionBody<'_>,
) -> Result<(), Error<R::Error>> {
    let keeps_memory = reencode.memory_index(0).is_ok_and(|index| index == 0);
    let mut function = reencode.new_function_with_parsed_locals(body)?;
    let mut reader = body.get_operators_reader()?;
    let (bytes, begin) = (body.as_bytes(), body.range().start);
    let mut copied = reader.original_position() - begin;
    while !reader.eof() {
        let at = reader.original_position() - begin;
        let operator = reader.read()?;
        if !is_the_same(&bytes[at..], keeps_memory) {
            function.raw(bytes[copied..at].iter().copied());
            function.instruction(&reencode.instruction(operator)?);
            copied = reader.original_position() - begin;
        }
    }
    function.raw(bytes[copied..].iter().copied());
    section.function(&function);
    Ok(())
}

/// Whether an instruction is the same whatever the numbers of functions, types, globals, tables and the like.
/// By the index of instructions of the WebAssembly core specification (3.0, section A.7).
fn is_the_same(bytes: &[u8], keeps_memory: bool) -> bool {
    match *bytes {
        // Control without a type, parametric instructions, locals, constants, and what computes with numbers.
        [0x00 | 0x01 | 0x05 | 0x0b..=0x0f | 0x1a | 0x1b | 0x20..=0x22 | 0x41..=0xc4, ..] => true,
        // Blocks of no type, or a number's.
        [0x02..=0x04, 0x40 | 0x7c..=0x7f, ..] => true,
        // What loads and stores, in the first memory: another one's number would be announced by this bit.
        [0x28..=0x3e, flags, ..] => keeps_memory && flags & 0x40 == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use wasm_encoder::Encode as _;
    use wasm_encoder::reencode::{RoundtripReencoder, utils};
    use wasmparser::{CodeSectionReader, Parser, Payload};

    use super::*;

    const MODULE: &str = r#"(module
        (type $none (func)) (type $pair (func (param i32) (result i32 i32)))
        (memory 1) (memory $other 1) (table 4 funcref) (global $g (mut i64) (i64.const 7))
        (data $d "abc") (elem declare func $callee)
        (func $callee (param i32) (result i32)
            (local i64 f32 f64 v128 (ref null $pair))
            (block (nop))
            (drop (loop (result i32) (i32.const -5) (br_if 0 (local.get 0))))
            (drop (if (result f64) (local.get 0) (then (f64.const 1.5)) (else (f64.const -0.0))))
            (drop (block (result (ref null $pair)) (ref.null $pair)))
            (i32.const 2) (block (type $pair) (i32.const 3)) (i32.add)
            (br_table 0 0 (local.get 0)))
        (func
            (drop (call $callee (i32.const 300)))
            (drop (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 2)))
            (global.set $g (i64.extend_i32_s (i32.load offset=65536 align=1 (i32.const 8))))
            (i64.store8 $other (i32.const 9) (global.get $g))
            (drop (memory.grow (memory.size)))
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3))
            (drop (i32.trunc_sat_f32_s (f32.const 2)))
            (drop (i8x16.extract_lane_s 3 (v128.load (i32.const 16))))
            (drop (ref.is_null (table.get 0 (i32.const 0))))
            (drop (ref.func $callee)) (drop (ref.null func))
            (drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 0)))
            (drop (i64.extend8_s (i64.rotl (i64.const -1) (i64.const 0x7fffffffffffffff))))))"#;

    /// What was the first is the second: functions, types, globals, tables, data, and memories if they are to.
    struct Next {
        memory: u32,
    }

    impl Reencode for Next {
        type Error = Infallible;

        fn function_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
            Ok(index + 1)
        }

        fn type_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
            Ok(index + 1)
        }

        fn global_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
            Ok(index + 1)
        }

        fn table_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
            Ok(index + 1)
        }

        fn memory_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
            Ok(index + self.memory)
        }

        fn data_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
            Ok(index + 1)
        }
    }

    /// The functions of a module, with some instructions copied, and with each taken apart and put together.
    fn copied_and_whole(module: &[u8], mut reencode: impl Reencode) -> [Vec<u8>; 2] {
        let code = Parser::new(0).parse_all(module).find_map(|payload| match payload.unwrap() {
            Payload::CodeSectionStart { range, .. } => Some(&module[range]),
            _ => None,
        });
        let bodies = CodeSectionReader::new(wasmparser::BinaryReader::new(code.unwrap(), 0));
        let (mut copied, mut whole) = (CodeSection::new(), CodeSection::new());
        for body in bodies.unwrap() {
            let body = body.unwrap();
            assert!(copy(&mut reencode, &mut copied, &body).is_ok());
            assert!(utils::parse_function_body(&mut reencode, &mut whole, body).is_ok());
        }
        [copied, whole].map(|section| {
            let mut bytes = Vec::new();
            section.encode(&mut bytes);
            bytes
        })
    }

    #[test]
    fn copied_functions_are_as_if_each_instruction_had_been_read() {
        let module = wat::parse_str(MODULE).unwrap();
        let mut seen = Vec::new();
        for outcome in [
            copied_and_whole(&module, RoundtripReencoder),
            copied_and_whole(&module, Next { memory: 0 }),
            copied_and_whole(&module, Next { memory: 1 }),
        ] {
            let [copied, whole] = outcome;
            assert_eq!(copied, whole);
            seen.push(copied);
        }
        seen.dedup();
        assert_eq!(seen.len(), 3, "numbers that are others show");
    }
}
