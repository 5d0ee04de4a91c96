;; A command that answers with one sign to whatever it hears, but with nothing to another sign.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; One byte, at 16.
  (data (i32.const 0) "\10\00\00\00\01\00\00\00")
  (data (i32.const 24) "ANSWER")
  (data (i32.const 32) "IGNORED")
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.ne (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 32)))
      (then
        (i32.store (i32.const 0) (i32.const 24))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))))
