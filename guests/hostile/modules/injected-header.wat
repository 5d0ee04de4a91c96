;; A CGI program that writes a second answer into its header.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\3c\00\00\00")
  (data (i32.const 16) "x: a\00b\nStatus: 200\r\rHTTP/1.1 200 OK\nTransfer-Encoding: x\n\n....")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
