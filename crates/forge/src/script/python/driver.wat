;; Python: starts it as `python -c` does, up to where the text would run; has it load our boot script,
;; and calls what that gives back. A value of the interpreter's is an address.

(import "interpreter" "memory" (memory 4))
(import "interpreter" "table" (table 2 funcref))
(import "place" "memory" (global $at i32))
(import "place" "table" (global $slot i32))
(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get"
  (func $environ_sizes_get (param i32 i32) (result i32)))
(import "interpreter" "_start" (func $start))
(import "interpreter" "PyImport_AddModule" (func $module (param i32) (result i32)))
(import "interpreter" "PyModule_GetDict" (func $names_of (param i32) (result i32)))
(import "interpreter" "PyRun_StringFlags"
  (func $evaluate (param i32 i32 i32 i32 i32) (result i32)))
(import "interpreter" "PyErr_PrintEx" (func $print_error (param i32)))
(import "interpreter" "PyBytes_FromStringAndSize" (func $bytes (param i32 i32) (result i32)))
(import "interpreter" "PyObject_CallObject" (func $call (param i32 i32) (result i32)))
(import "interpreter" "PyCMethod_New" (func $function (param i32 i32 i32 i32) (result i32)))

;; Our variables: 32 a count, 36 a length, 40 what the boot script gave back: a tuple of the function
;; that handles requests, its arguments, the outcome that is a success, what went wrong, and a tuple for
;; the functions of ours; 64 and 80 the definitions of these.
(data (offset (i32.add (global.get $at) (i32.const 256))) "__main__\00")
(data (offset (i32.add (global.get $at) (i32.const 320)))
  "exec(compile(open('/dayfly/boot.py').read(), '/dayfly/boot.py', 'exec'), globals())\00")
(data (offset (i32.add (global.get $at) (i32.const 448))) "initialize()\00")
(data (offset (i32.add (global.get $at) (i32.const 512))) "the script left Python without an exception")

;; The arguments: isolated from what is around it, no bytecode written, UTF-8 for all, and a text.
(data (offset (i32.add (global.get $at) (i32.const 640))) "python\00-IB\00-Xutf8\00-c\00\00")

(data (offset (i32.add (global.get $at) (i32.const 704))) "call\00peek\00")

(elem (table 0) (offset (global.get $slot)) func $call_block $peek)

(func (export "serve wasi_snapshot_preview1 args_sizes_get")
  (param $count i32) (param $length i32) (result i32)
  (i32.store (local.get $count) (i32.const 5))
  (i32.store (local.get $length) (i32.const 22))
  (i32.const 0))

(func (export "serve wasi_snapshot_preview1 args_get")
  (param $pointers i32) (param $text i32) (result i32)
  (memory.copy (local.get $text) (call $string (i32.const 640)) (i32.const 22))
  (i32.store offset=0 (local.get $pointers) (local.get $text))
  (i32.store offset=4 (local.get $pointers) (i32.add (local.get $text) (i32.const 7)))
  (i32.store offset=8 (local.get $pointers) (i32.add (local.get $text) (i32.const 11)))
  (i32.store offset=12 (local.get $pointers) (i32.add (local.get $text) (i32.const 18)))
  (i32.store offset=16 (local.get $pointers) (i32.add (local.get $text) (i32.const 21)))
  (i32.const 0))

(func $string (param $offset i32) (result i32)
  (i32.add (global.get $at) (local.get $offset)))

;; An item of a tuple stands behind its count of references, its type and its length.
(func $item (param $tuple i32) (param $index i32) (result i32)
  (i32.load offset=12
    (i32.add (local.get $tuple) (i32.mul (local.get $index) (i32.const 4)))))

(func $begin (result i32)
  (call $start)
  ;; How deep C may go yet, in the state of the one thread. CPython allows 500; its 512 KiB of stack
  ;; bear some 115 of the largest frames. Below the stack is nothing: what goes deeper traps.
  (i32.store (i32.const 4060376) (i32.const 100))
  (if (i32.eqz (call $value (i32.const 320))) (then (return (call $left))))
  (call $succeeded))

(func $load (result i32)
  (local $given i32) (local $error i32)
  (local.set $given (call $value (i32.const 448)))
  (if (i32.eqz (local.get $given)) (then (return (call $left))))
  (i32.store offset=40 (global.get $at) (local.get $given))
  (call $give (local.get $given) (i32.const 0) (i32.const 704))
  (call $give (local.get $given) (i32.const 1) (i32.const 709))
  (local.set $error (call $item (local.get $given) (i32.const 3)))
  ;; Bytes stand behind their count of references, type, length and hash.
  (if (i32.load offset=8 (local.get $error))
    (then
      (return
        (call $failed (i32.add (local.get $error) (i32.const 16))
          (i32.load offset=8 (local.get $error))))))
  (call $succeeded))

;; The value of a text, among the names of the main module; 0 if it threw.
(func $value (param $text i32) (result i32)
  (local $names i32)
  (local.set $names (call $names_of (call $module (call $string (i32.const 256)))))
  ;; 258 is what makes it one expression.
  (call $evaluate (call $string (local.get $text)) (i32.const 258) (local.get $names)
    (local.get $names) (i32.const 0)))

(func $left (result i32)
  (call $print_error (i32.const 0))
  (call $failed (call $string (i32.const 512)) (i32.const 43)))

;; Gives the boot script a function of ours, of one argument (8).
(func $give (param $given i32) (param $index i32) (param $name i32)
  (local $definition i32)
  (local.set $definition
    (call $string (i32.add (i32.const 64) (i32.mul (local.get $index) (i32.const 16)))))
  (i32.store offset=0 (local.get $definition) (call $string (local.get $name)))
  (i32.store offset=4 (local.get $definition) (i32.add (global.get $slot) (local.get $index)))
  (i32.store offset=8 (local.get $definition) (i32.const 8))
  (i32.store offset=12 (local.get $definition) (i32.const 0))
  (i32.store offset=12
    (i32.add (call $item (local.get $given) (i32.const 4))
      (i32.mul (local.get $index) (i32.const 4)))
    (call $function (local.get $definition) (i32.const 0) (i32.const 0) (i32.const 0))))

;; call(block): calls an import with the block that an array holds, whose items stand where its fourth
;; word says. Gives a copy of the memory that the result refers to.
(func $call_block (param $self i32) (param $array i32) (result i32)
  (local $block i32)
  (local.set $block (i32.load offset=12 (local.get $array)))
  (call $call_import (local.get $block))
  (call $bytes (i32.load (local.get $block))
    (i32.sub (i32.load offset=4 (local.get $block)) (i32.load (local.get $block)))))

;; peek(place): a copy of the memory whose address and length an array holds.
(func $peek (param $self i32) (param $array i32) (result i32)
  (local $place i32)
  (local.set $place (i32.load offset=12 (local.get $array)))
  (call $bytes (i32.load (local.get $place)) (i32.load offset=4 (local.get $place))))

(func $run (export "wasi:cli/run@0.2.12#run") (result i32)
  (local $given i32) (local $arguments i32) (local $outcome i32)
  (local.set $given (i32.load offset=40 (global.get $at)))
  (local.set $arguments (call $item (local.get $given) (i32.const 1)))
  ;; The one argument is the environment; what stands in its place lives for ever.
  (i32.store offset=12 (local.get $arguments) (call $environment))
  (local.set $outcome
    (call $call (call $item (local.get $given) (i32.const 0)) (local.get $arguments)))
  (if (i32.eqz (local.get $outcome)) (then (call $print_error (i32.const 0))))
  (i32.ne (local.get $outcome) (call $item (local.get $given) (i32.const 2))))

;; The environment as it is now, `NAME=VALUE` each ended by a NUL, as bytes.
(func $environment (result i32)
  (local $pointers i32) (local $text i32)
  (drop (call $environ_sizes_get (call $string (i32.const 32)) (call $string (i32.const 36))))
  (local.set $pointers
    (call $bytes (i32.const 0) (i32.mul (i32.const 4) (i32.load offset=32 (global.get $at)))))
  (local.set $text (call $bytes (i32.const 0) (i32.load offset=36 (global.get $at))))
  (drop
    (call $environ_get (i32.add (local.get $pointers) (i32.const 16))
      (i32.add (local.get $text) (i32.const 16))))
  (local.get $text))
