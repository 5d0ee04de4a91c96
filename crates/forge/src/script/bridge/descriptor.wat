;; Standard input and error are streams, in which there is no reading or writing at an offset. So that is
;; the bridge; other descriptors would not get here through the file system that interpreters have in
;; themselves.

;; Reading from standard input at an offset reads what stands in memory at that address.
(func (export "serve wasi_snapshot_preview1 fd_pread")
  (param $descriptor i32) (param $vectors i32) (param $count i32) (param $offset i64) (param $read i32)
  (result i32)
  (local $length i32)
  (if (local.get $descriptor)
    (then
      (return
        (call $fd_pread (local.get $descriptor) (local.get $vectors) (local.get $count)
          (local.get $offset) (local.get $read)))))
  (local.set $length (i32.load offset=4 (local.get $vectors)))
  (memory.copy
    (i32.load (local.get $vectors)) (i32.wrap_i64 (local.get $offset)) (local.get $length))
  (i32.store (local.get $read) (local.get $length))
  (i32.const 0))

;; Writing the address of a block to standard error at an offset calls an import.
(func (export "serve wasi_snapshot_preview1 fd_pwrite")
  (param $descriptor i32) (param $vectors i32) (param $count i32) (param $offset i64)
  (param $written i32) (result i32)
  (if (i32.ne (local.get $descriptor) (i32.const 2))
    (then
      (return
        (call $fd_pwrite (local.get $descriptor) (local.get $vectors) (local.get $count)
          (local.get $offset) (local.get $written)))))
  (call $call_import (i32.load (i32.load (local.get $vectors))))
  (i32.store (local.get $written) (i32.const 4))
  (i32.const 0))
