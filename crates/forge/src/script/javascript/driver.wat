;; QuickJS: starts it, gives our boot script the functions that QuickJS lacks, and calls what the
;; boot script makes of the app. A value of JavaScript's is an i64; the upper half is its tag.

(import "interpreter" "memory" (memory 4))
(import "interpreter" "table" (table 14 funcref))
(import "place" "memory" (global $at i32))
(import "place" "table" (global $slot i32))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get"
  (func $environ_sizes_get (param i32 i32) (result i32)))
(import "interpreter" "_initialize" (func $begin_c))
(import "interpreter" "malloc" (func $malloc (param i32) (result i32)))
(import "interpreter" "free" (func $free (param i32)))
(import "interpreter" "qjs_init" (func $qjs_init (result i32)))
(import "interpreter" "qjs_get_context" (func $context (result i32)))
(import "interpreter" "JS_GetRuntime" (func $runtime (param i32) (result i32)))
(import "interpreter" "JS_SetMaxStackSize" (func $set_stack_size (param i32 i32)))
(import "interpreter" "JS_SetHostPromiseRejectionTracker"
  (func $track_rejections (param i32 i32 i32)))
(import "interpreter" "JS_Eval" (func $eval (param i32 i32 i32 i32 i32) (result i64)))
(import "interpreter" "JS_Call" (func $call (param i32 i64 i64 i32 i32) (result i64)))
(import "interpreter" "JS_IsFunction" (func $is_function (param i32 i64) (result i32)))
(import "interpreter" "JS_NewObject" (func $new_object (param i32) (result i64)))
(import "interpreter" "JS_SetPropertyStr" (func $set (param i32 i64 i32 i64) (result i32)))
(import "interpreter" "JS_NewCFunction2"
  (func $new_function (param i32 i32 i32 i32 i32 i32) (result i64)))
(import "interpreter" "JS_NewStringLen" (func $new_string (param i32 i32 i32) (result i64)))
(import "interpreter" "JS_ToCStringLen2" (func $to_text (param i32 i32 i64 i32) (result i32)))
(import "interpreter" "JS_FreeCString" (func $free_text (param i32 i32)))
(import "interpreter" "JS_NewUint8ArrayCopy" (func $new_bytes (param i32 i32 i32) (result i64)))
(import "interpreter" "JS_GetArrayBuffer" (func $buffer (param i32 i32 i64) (result i32)))
(import "interpreter" "JS_ToInt32" (func $to_int (param i32 i32 i64) (result i32)))
(import "interpreter" "JS_FreeValue" (func $free_value (param i32 i64)))
(import "interpreter" "JS_GetException" (func $exception (param i32) (result i64)))
(import "interpreter" "JS_PromiseState" (func $promise_state (param i32 i64) (result i32)))
(import "interpreter" "JS_PromiseResult" (func $promise_result (param i32 i64) (result i64)))
(import "interpreter" "JS_ExecutePendingJob" (func $execute_job (param i32 i32) (result i32)))
(import "interpreter" "js_os_poll_internal" (func $poll (param i32 i32 i32) (result i32)))

;; Where imports lead, what loads files, and what it takes of their attributes.
(import "interpreter" "JS_SetModuleLoaderFunc2"
  (func $set_loader (param i32 i32 i32 i32 i32)))
(import "interpreter" "js_module_loader"
  (func $load_module (param i32 i32 i32 i64) (result i32)))
(import "interpreter" "js_module_check_attributes"
  (func $check_attributes (param i32 i32 i64) (result i32)))
(import "interpreter" "js_strndup" (func $copy_text (param i32 i32 i32) (result i32)))

;; Our variables: 32 an address that is written, 36 a length, 40 the function that handles requests,
;; 48 the state of `Math.random`, 56 the object that is given to the boot script, 64 the function
;; that says where imports lead, 72 the one that is told of rejections, 80 what these are given, 104
;; the function that waits.
(data (offset (i32.add (global.get $at) (i32.const 256))) "<dayfly>\00")
(data (offset (i32.add (global.get $at) (i32.const 272)))
  "native => import('/dayfly/boot.js').then(boot => boot.initialize(native))"
  ".catch(error => `${error?.stack ? `${error}\n${error.stack}` : error}`)\00")
(data (offset (i32.add (global.get $at) (i32.const 512))) "decode\00")
(data (offset (i32.add (global.get $at) (i32.const 528))) "encode\00")
(data (offset (i32.add (global.get $at) (i32.const 544))) "fillRandom\00")
(data (offset (i32.add (global.get $at) (i32.const 560))) "environment\00")
(data (offset (i32.add (global.get $at) (i32.const 576))) "random\00")
(data (offset (i32.add (global.get $at) (i32.const 592))) "compress\00")
(data (offset (i32.add (global.get $at) (i32.const 608))) "hook\00")
(data (offset (i32.add (global.get $at) (i32.const 616))) "call\00")
(data (offset (i32.add (global.get $at) (i32.const 624))) "peek\00")
(data (offset (i32.add (global.get $at) (i32.const 632))) "address\00")
(data (offset (i32.add (global.get $at) (i32.const 640))) "QuickJS did not start")
(data (offset (i32.add (global.get $at) (i32.const 704)))
  "the script waits for something that never comes: nothing is left to run")

(elem (table 0) (offset (global.get $slot)) func
  $decode $encode $fill_random $environment $random $compress $hook
  $resolve $load_module $check_attributes $rejected $call_host $peek $address)

(func $string (param $offset i32) (result i32)
  (i32.add (global.get $at) (local.get $offset)))

(func $undefined (result i64) (i64.const 0x3_0000_0000))
(func $is_exception (param $value i64) (result i32)
  (i64.eq (i64.shr_u (local.get $value) (i64.const 32)) (i64.const 6)))

(func $begin (result i32)
  (local $context i32) (local $native i64)
  (call $begin_c)
  (if (call $qjs_init)
    (then (return (call $failed (call $string (i32.const 640)) (i32.const 21)))))
  (local.set $context (call $context))
  ;; It counts what it has of the stack in memory; WebAssembly's own is up to sixteen times that,
  ;; and a script has eight MiB of it.
  (call $set_stack_size (call $runtime (local.get $context)) (i32.const 0x80000))
  ;; The interpreter's own tracker ends the process.
  (call $track_rejections (call $runtime (local.get $context)) (i32.const 0) (i32.const 0))
  (local.set $native (call $new_object (local.get $context)))
  (call $define (local.get $native) (i32.const 0) (i32.const 512) (i32.const 3))
  (call $define (local.get $native) (i32.const 1) (i32.const 528) (i32.const 1))
  (call $define (local.get $native) (i32.const 2) (i32.const 544) (i32.const 3))
  (call $define (local.get $native) (i32.const 3) (i32.const 560) (i32.const 0))
  (call $define (local.get $native) (i32.const 4) (i32.const 576) (i32.const 0))
  (call $define (local.get $native) (i32.const 5) (i32.const 592) (i32.const 4))
  (call $define (local.get $native) (i32.const 6) (i32.const 608) (i32.const 3))
  (call $define (local.get $native) (i32.const 11) (i32.const 616) (i32.const 1))
  (call $define (local.get $native) (i32.const 12) (i32.const 624) (i32.const 2))
  (call $define (local.get $native) (i32.const 13) (i32.const 632) (i32.const 1))
  (call $seed (i64.const 1))
  (i64.store offset=56 (global.get $at) (local.get $native))
  (call $succeeded))

(func $load (result i32)
  (local $context i32) (local $function i64) (local $value i64)
  (local.set $context (call $context))
  (local.set $function
    (call $eval (local.get $context) (call $string (i32.const 272))
      (call $length (call $string (i32.const 272))) (call $string (i32.const 256)) (i32.const 0)))
  (local.set $value
    (call $settle
      (call $call (local.get $context) (local.get $function) (call $undefined) (i32.const 1)
        (call $string (i32.const 56)))))
  (if (call $is_exception (local.get $value))
    (then (local.set $value (call $exception (local.get $context)))))
  (if (call $is_function (local.get $context) (local.get $value))
    (then
      (i64.store offset=40 (global.get $at) (local.get $value))
      (return (call $succeeded))))
  (call $failed
    (call $to_text (local.get $context) (call $string (i32.const 36)) (local.get $value) (i32.const 0))
    (i32.load offset=36 (global.get $at))))

(func $run (export "wasi:cli/run@0.2.12#run") (result i32)
  (local $context i32) (local $value i64)
  (local.set $context (call $context))
  (drop (call $random_get (call $string (i32.const 48)) (i32.const 8)))
  (call $seed (i64.load offset=48 (global.get $at)))
  (local.set $value
    (call $settle
      (call $call (local.get $context) (i64.load offset=40 (global.get $at)) (call $undefined)
        (i32.const 0) (i32.const 0))))
  (if (i64.eq (local.get $value) (i64.const 0x1_0000_0001)) (then (return (i32.const 0))))
  ;; It is to say what went wrong: false where that is done, or why nothing came.
  (i64.store offset=56 (global.get $at) (local.get $value))
  (drop
    (call $call (local.get $context) (i64.load offset=40 (global.get $at)) (call $undefined)
      (i32.const 1) (call $string (i32.const 56))))
  (i32.const 1))

;; What a promise comes to, or an exception; another value is what it is. Takes the promise.
(func $settle (param $promise i64) (result i64)
  (local $context i32) (local $state i32) (local $value i64) (local $jobs i32)
  (local.set $context (call $context))
  (loop $again
    (local.set $state (call $promise_state (local.get $context) (local.get $promise)))
    (if (i32.eqz (local.get $state))
      (then
        (local.set $jobs
          (call $execute_job (call $runtime (local.get $context)) (call $string (i32.const 32))))
        (br_if $again (local.get $jobs))
        ;; Nothing to do but to wait: for the host and the next timer, if something of the host's is
        ;; waited for. True's tag is 1.
        (if
          (i64.eq
            (call $call (local.get $context) (i64.load offset=104 (global.get $at)) (call $undefined)
              (i32.const 0) (i32.const 0))
            (i64.const 0x1_0000_0001))
          (then
            (drop (call $poll (local.get $context) (i32.const 0) (i32.const 7)))
            (br $again)))
        ;; Or for timers and what is read; -1 says that there is nothing.
        (br_if $again
          (i32.ne (call $poll (local.get $context) (i32.const -1) (i32.const 7)) (i32.const -1)))
        (return
          (call $new_string (local.get $context) (call $string (i32.const 704)) (i32.const 71))))))
  (if (i32.lt_s (local.get $state) (i32.const 0)) (then (return (local.get $promise))))
  (local.set $value (call $promise_result (local.get $context) (local.get $promise)))
  (call $free_value (local.get $context) (local.get $promise))
  (local.get $value))

(func $define (param $object i64) (param $function i32) (param $name i32) (param $arguments i32)
  (drop
    (call $set (call $context) (local.get $object) (call $string (local.get $name))
      (call $new_function (call $context) (i32.add (global.get $slot) (local.get $function))
        (call $string (local.get $name)) (local.get $arguments) (i32.const 0) (i32.const 0)))))

(func $length (param $text i32) (result i32)
  (local $at i32)
  (local.set $at (local.get $text))
  (loop $on
    (if (i32.load8_u (local.get $at))
      (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $on))))
  (i32.sub (local.get $at) (local.get $text)))

;; An argument that is a whole number.
(func $integer (param $context i32) (param $argument i32) (result i32)
  (if (call $to_int (local.get $context) (call $string (i32.const 32))
        (i64.load (local.get $argument)))
    (then (return (i32.const 0))))
  (i32.load offset=32 (global.get $at)))

;; Where in memory the bytes are that three arguments name: a buffer, an offset, a length. 0 if the
;; buffer is none or has not so many; the length is left in the variable.
(func $bytes (param $context i32) (param $arguments i32) (result i32)
  (local $begin i32) (local $offset i32) (local $length i32) (local $size i64)
  (local.set $offset (call $integer (local.get $context) (i32.add (local.get $arguments) (i32.const 8))))
  (local.set $length (call $integer (local.get $context) (i32.add (local.get $arguments) (i32.const 16))))
  (local.set $begin
    (call $buffer (local.get $context) (call $string (i32.const 36)) (i64.load (local.get $arguments))))
  (local.set $size (i64.load32_u offset=36 (global.get $at)))
  (i32.store offset=36 (global.get $at) (local.get $length))
  (if
    (i64.gt_u
      (i64.add (i64.extend_i32_u (local.get $offset)) (i64.extend_i32_u (local.get $length)))
      (local.get $size))
    (then (return (i32.const 0))))
  (if (i32.eqz (local.get $begin)) (then (return (i32.const 0))))
  (i32.add (local.get $begin) (local.get $offset)))

;; decode(buffer, offset, length): what the bytes say in UTF-8.
(func $decode (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (local $begin i32)
  (local.set $begin (call $bytes (local.get $context) (local.get $arguments)))
  (if (i32.eqz (local.get $begin))
    (then (return (call $new_string (local.get $context) (global.get $at) (i32.const 0)))))
  (call $new_string (local.get $context) (local.get $begin) (i32.load offset=36 (global.get $at))))

;; encode(text): its bytes in UTF-8, as a Uint8Array.
(func $encode (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (local $text i32) (local $value i64)
  (local.set $text
    (call $to_text (local.get $context) (call $string (i32.const 36)) (i64.load (local.get $arguments))
      (i32.const 0)))
  (if (i32.eqz (local.get $text)) (then (return (i64.const 0x6_0000_0000))))
  (local.set $value
    (call $new_bytes (local.get $context) (local.get $text) (i32.load offset=36 (global.get $at))))
  (call $free_text (local.get $context) (local.get $text))
  (local.get $value))

;; fillRandom(buffer, offset, length): random bytes, as the system gives them; 0 unless it has none.
(func $fill_random (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (local $begin i32)
  (local.set $begin (call $bytes (local.get $context) (local.get $arguments)))
  (if (i32.eqz (local.get $begin)) (then (return (i64.const 0x0_ffff_ffff))))
  (i64.extend_i32_u
    (call $random_get (local.get $begin) (i32.load offset=36 (global.get $at)))))

;; environment(): the environment as it is now, `NAME=VALUE` each ended by a NUL, as a Uint8Array.
(func $environment (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (local $pointers i32) (local $text i32) (local $value i64)
  (drop (call $environ_sizes_get (call $string (i32.const 32)) (call $string (i32.const 36))))
  (local.set $pointers
    (call $malloc (i32.add (i32.const 4) (i32.mul (i32.const 4) (i32.load offset=32 (global.get $at))))))
  (local.set $text (call $malloc (i32.add (i32.const 1) (i32.load offset=36 (global.get $at)))))
  (drop (call $environ_get (local.get $pointers) (local.get $text)))
  (local.set $value
    (call $new_bytes (local.get $context) (local.get $text) (i32.load offset=36 (global.get $at))))
  (call $free (local.get $pointers))
  (call $free (local.get $text))
  (local.get $value))

(func $seed (param $seed i64)
  ;; The generator never leaves 0.
  (i64.store offset=48 (global.get $at) (i64.or (local.get $seed) (i64.const 1))))

;; random(): a number from 0 to below 1, by xorshift64* (Vigna, 2014).
(func $random (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (local $state i64) (local $number f64)
  (local.set $state (i64.load offset=48 (global.get $at)))
  (local.set $state (i64.xor (local.get $state) (i64.shr_u (local.get $state) (i64.const 12))))
  (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 25))))
  (local.set $state (i64.xor (local.get $state) (i64.shr_u (local.get $state) (i64.const 27))))
  (i64.store offset=48 (global.get $at) (local.get $state))
  (local.set $state (i64.mul (local.get $state) (i64.const 0x2545f4914f6cdd1d)))
  ;; The upper 52 bits as the fraction of a number from 1 to below 2.
  (local.set $number
    (f64.sub
      (f64.reinterpret_i64
        (i64.or (i64.shr_u (local.get $state) (i64.const 12)) (i64.const 0x3ff0000000000000)))
      (f64.const 1)))
  ;; A float is boxed by taking away what no other value's tag reaches: 0x7ff80000 + 9 + 1.
  (i64.sub (i64.reinterpret_f64 (local.get $number)) (i64.const 0x7ff8_000a_0000_0000)))

;; hook(resolve, track, wait): functions that the boot script keeps. `resolve` says where the import of
;; a name by a module leads; `track` is told of rejections; `wait` waits for the host, and says whether
;; there was something to wait for.
(func $hook (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (i64.store offset=64 (global.get $at) (i64.load (local.get $arguments)))
  (i64.store offset=72 (global.get $at) (i64.load offset=8 (local.get $arguments)))
  (i64.store offset=104 (global.get $at) (i64.load offset=16 (local.get $arguments)))
  (call $set_loader (call $runtime (local.get $context))
    (i32.add (global.get $slot) (i32.const 7))
    (i32.add (global.get $slot) (i32.const 8))
    (i32.add (global.get $slot) (i32.const 9))
    (i32.const 0))
  (call $track_rejections (call $runtime (local.get $context))
    (i32.add (global.get $slot) (i32.const 10)) (i32.const 0))
  (call $undefined))

(func $resolve (param $context i32) (param $base i32) (param $name i32) (param $opaque i32) (result i32)
  (local $value i64) (local $text i32) (local $copy i32)
  (i64.store offset=80 (global.get $at)
    (call $new_string (local.get $context) (local.get $base) (call $length (local.get $base))))
  (i64.store offset=88 (global.get $at)
    (call $new_string (local.get $context) (local.get $name) (call $length (local.get $name))))
  (local.set $value
    (call $call (local.get $context) (i64.load offset=64 (global.get $at)) (call $undefined)
      (i32.const 2) (call $string (i32.const 80))))
  (call $free_value (local.get $context) (i64.load offset=80 (global.get $at)))
  (call $free_value (local.get $context) (i64.load offset=88 (global.get $at)))
  (if (call $is_exception (local.get $value)) (then (return (i32.const 0))))
  (local.set $text
    (call $to_text (local.get $context) (call $string (i32.const 36)) (local.get $value) (i32.const 0)))
  (call $free_value (local.get $context) (local.get $value))
  (if (i32.eqz (local.get $text)) (then (return (i32.const 0))))
  (local.set $copy
    (call $copy_text (local.get $context) (local.get $text) (i32.load offset=36 (global.get $at))))
  (call $free_text (local.get $context) (local.get $text))
  (local.get $copy))

(func $rejected
  (param $context i32) (param $promise i64) (param $reason i64) (param $handled i32) (param $opaque i32)
  (i64.store offset=80 (global.get $at) (local.get $promise))
  (i64.store offset=88 (global.get $at) (local.get $reason))
  ;; A boolean's tag is 1.
  (i64.store offset=96 (global.get $at)
    (i64.or (i64.const 0x1_0000_0000) (i64.extend_i32_u (local.get $handled))))
  (call $free_value (local.get $context)
    (call $call (local.get $context) (i64.load offset=72 (global.get $at)) (call $undefined)
      (i32.const 3) (call $string (i32.const 80)))))

;; call(buffer): calls an import with the block that the buffer is.
(func $call_host (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (call $call_import
    (call $buffer (local.get $context) (call $string (i32.const 36))
      (i64.load (local.get $arguments))))
  (call $undefined))

;; peek(address, length): a copy of what is there, as a Uint8Array.
(func $peek (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (local $address i32)
  (local.set $address (call $integer (local.get $context) (local.get $arguments)))
  (call $new_bytes (local.get $context) (local.get $address)
    (call $integer (local.get $context) (i32.add (local.get $arguments) (i32.const 8)))))

;; address(buffer): where its bytes are.
(func $address (param $context i32) (param $this i64) (param $count i32) (param $arguments i32) (result i64)
  (i64.extend_i32_u
    (call $buffer (local.get $context) (call $string (i32.const 36))
      (i64.load (local.get $arguments)))))
