;; Calls itself CALLS times, with four numbers to keep on the stack each time.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\21\00\00\00")
  (data (i32.const 16) "content-type: text/plain\n\ndeep...\n")
  (func $f (param $left i32) (param i64 i64 i64 i64) (result i64)
    (if (i32.eqz (local.get $left)) (then (return (local.get 1))))
    (i64.add (i64.xor (local.get 1) (local.get 4))
      (i64.mul (i64.sub (local.get 2) (local.get 3))
        (call $f (i32.sub (local.get $left) (i32.const 1)) (local.get 2) (local.get 3)
          (local.get 4) (i64.add (local.get 1) (i64.const 1))))))
  (func (export "_start")
    (drop (call $f (i32.const CALLS) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
