;; A command as an HTTP handler: Dayfly runs it as CGI/1.1 (what Spin calls wagi). The request
;; comes as environment variables and standard input; headers, an empty line and the body go to
;; standard output. This one answers with the variables that it got.
;;
;; It is a core module for WASI preview 1, what C, Go, Rust and Zig compile to for `wasip1`.
;; Dayfly makes a component of it with the standard adapter.
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param $count-at i32) (param $bytes-at i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get"
    (func $environ_get (param $pointers-at i32) (param $bytes-at i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $iovs-len i32) (param $written-at i32)
      (result i32)))

  ;; Page 0 holds what stands below, page 1 the pointers, page 2 and 3 the variables' bytes.
  (memory (export "memory") 4)
  (global $count-at i32 (i32.const 0))
  (global $bytes-at i32 (i32.const 4))
  (global $iov i32 (i32.const 8))
  (global $written-at i32 (i32.const 16))
  (global $pointers i32 (i32.const 65536))
  (global $strings i32 (i32.const 131072))
  (data (i32.const 64) "Content-Type: text/plain\n\n")    ;; 26 bytes
  (data (i32.const 96) "\n")

  ;; Ends the program when a WASI call gave an error number; Dayfly then answers 500.
  (func $must (param $errno i32)
    (if (local.get $errno) (then unreachable)))

  ;; Writes `len` bytes at `at` to standard output, in as many calls as it takes.
  (func $print (param $at i32) (param $len i32)
    (local $written i32)
    (loop $more
      (i32.store (global.get $iov) (local.get $at))
      (i32.store offset=4 (global.get $iov) (local.get $len))
      (call $must
        (call $fd_write (i32.const 1) (global.get $iov) (i32.const 1) (global.get $written-at)))
      (local.set $written (i32.load (global.get $written-at)))
      (local.set $at (i32.add (local.get $at) (local.get $written)))
      (local.set $len (i32.sub (local.get $len) (local.get $written)))
      (br_if $more (local.get $len))))

  ;; The length of the text at `at`, which ends with a zero byte.
  (func $length (param $at i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $at))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $end) (local.get $at)))

  (func (export "_start")
    (local $i i32) (local $text i32)
    (call $must (call $environ_sizes_get (global.get $count-at) (global.get $bytes-at)))
    ;; More than the two pages hold is more than this example shows.
    (if (i32.gt_u (i32.load (global.get $bytes-at)) (i32.const 131072)) (then unreachable))
    (if (i32.gt_u (i32.load (global.get $count-at)) (i32.const 16384)) (then unreachable))
    (call $must (call $environ_get (global.get $pointers) (global.get $strings)))

    (call $print (i32.const 64) (i32.const 26))
    (block $done
      (loop $each
        (br_if $done (i32.ge_u (local.get $i) (i32.load (global.get $count-at))))
        (local.set $text
          (i32.load (i32.add (global.get $pointers) (i32.mul (local.get $i) (i32.const 4)))))
        (call $print (local.get $text) (call $length (local.get $text)))
        (call $print (i32.const 96) (i32.const 1))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $each)))))
