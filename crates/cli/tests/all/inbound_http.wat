;; A handler of `fermyon:spin/inbound-http`, which answers 200 and nothing after the line.
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func $recurse (param i64) (result i64)
      (i64.add (local.get 0) (call $recurse (i64.add (local.get 0) (i64.const 1)))))
    (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
      BODY
      (i32.store (i32.const 2048) (i32.const 200))
      (i32.const 2048)))
  (core instance $i (instantiate $m))

  EXPORT)
