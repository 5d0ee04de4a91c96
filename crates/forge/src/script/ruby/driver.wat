;; Ruby: starts it, has it load our boot script, and calls what that leaves in `Dayfly::Handler`. A
;; handle of the interpreter's is the value itself: 1 is the number 0.

(import "interpreter" "memory" (memory 4))
(import "place" "memory" (global $at i32))
(import "interpreter" "_initialize" (func $begin_c))
(import "interpreter" "__wasilibc_initialize_environ" (func $renew_environment))
(import "interpreter" "cabi_realloc" (func $allocate (param i32 i32 i32 i32) (result i32)))
(import "interpreter" "ruby-init: func(args: list<string>) -> ()" (func $start (param i32 i32)))
(import "interpreter"
  "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>"
  (func $eval (param i32 i32) (result i32)))
(import "interpreter"
  "rb-funcallv-protect: func(recv: handle<rb-abi-value>, mid: u32, args: list<handle<rb-abi-value>>) -> tuple<handle<rb-abi-value>, s32>"
  (func $call (param i32 i32 i32 i32) (result i32)))
(import "interpreter" "rb-intern: func(name: string) -> u32"
  (func $intern (param i32 i32) (result i32)))
(import "interpreter" "rstring-ptr: func(value: handle<rb-abi-value>) -> string"
  (func $text_of (param i32) (result i32)))

;; The interpreter asks its host for the values behind handles; they are the same.
(func (export "serve canonical_abi resource_new_rb-abi-value") (param i32) (result i32)
  (local.get 0))
(func (export "serve canonical_abi resource_get_rb-abi-value") (param i32) (result i32)
  (local.get 0))
(func (export "serve canonical_abi resource_drop_js-abi-value") (param i32))

;; Our variables: 32 the handler, 36 the name that it is called by. Each text ends with a NUL, as the
;; interpreter wants it.
(data (offset (i32.add (global.get $at) (i32.const 256))) "ruby.wasm\00-EUTF-8\00-e_=0\00call\00")
(data (offset (i32.add (global.get $at) (i32.const 320)))
  "begin; load '/dayfly/boot.rb'; ''; rescue Exception => error; Dayfly.told(error); end\00")
(data (offset (i32.add (global.get $at) (i32.const 512))) "Dayfly::Handler\00")
(data (offset (i32.add (global.get $at) (i32.const 576))) "the script left Ruby without an exception")
(data (offset (i32.add (global.get $at) (i32.const 640)))
  "begin; Dayfly.initialize!; ''; rescue Exception => error; Dayfly.told(error); end\00")

(func $string (param $offset i32) (result i32)
  (i32.add (global.get $at) (local.get $offset)))

;; A copy that the interpreter may keep.
(func $copy (param $offset i32) (param $length i32) (result i32)
  (local $copy i32)
  (local.set $copy (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (local.get $length)))
  (memory.copy (local.get $copy) (call $string (local.get $offset)) (local.get $length))
  (local.get $copy))

(func $begin (result i32)
  (local $arguments i32)
  (call $begin_c)
  (local.set $arguments (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 24)))
  (i32.store offset=0 (local.get $arguments) (call $copy (i32.const 256) (i32.const 10)))
  (i32.store offset=4 (local.get $arguments) (i32.const 10))
  (i32.store offset=8 (local.get $arguments) (call $copy (i32.const 266) (i32.const 8)))
  (i32.store offset=12 (local.get $arguments) (i32.const 8))
  (i32.store offset=16 (local.get $arguments) (call $copy (i32.const 274) (i32.const 6)))
  (i32.store offset=20 (local.get $arguments) (i32.const 6))
  (call $start (local.get $arguments) (i32.const 3))
  (call $told (i32.const 320) (i32.const 86)))

(func $load (result i32)
  (local $outcome i32)
  (local.set $outcome (call $told (i32.const 640) (i32.const 82)))
  (if (i32.load8_u (local.get $outcome)) (then (return (local.get $outcome))))
  (i32.store offset=36 (global.get $at)
    (call $intern (call $copy (i32.const 280) (i32.const 5)) (i32.const 5)))
  (i32.store offset=32 (global.get $at)
    (i32.load (call $evaluate (i32.const 512) (i32.const 16))))
  (local.get $outcome))

;; Runs a text that says what went wrong, or nothing.
(func $told (param $offset i32) (param $length i32) (result i32)
  (local $outcome i32)
  (local.set $outcome (call $evaluate (local.get $offset) (local.get $length)))
  (if (i32.load offset=4 (local.get $outcome))
    (then (return (call $failed (call $string (i32.const 576)) (i32.const 41)))))
  (local.set $outcome (call $text_of (i32.load (local.get $outcome))))
  (if (i32.load offset=4 (local.get $outcome))
    (then
      (return
        (call $failed (i32.load (local.get $outcome)) (i32.load offset=4 (local.get $outcome))))))
  (call $succeeded))

(func $run (export "wasi:cli/run@0.2.12#run") (result i32)
  (local $outcome i32)
  (call $renew_environment)
  (local.set $outcome
    (call $call (i32.load offset=32 (global.get $at)) (i32.load offset=36 (global.get $at))
      (global.get $at) (i32.const 0)))
  (if (i32.load offset=4 (local.get $outcome)) (then (return (i32.const 1))))
  (i32.ne (i32.load (local.get $outcome)) (i32.const 1)))

(func $evaluate (param $offset i32) (param $length i32) (result i32)
  (call $eval (call $copy (local.get $offset) (local.get $length)) (local.get $length)))
