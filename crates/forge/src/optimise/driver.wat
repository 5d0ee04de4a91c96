;; Binaryen's `wasm-opt`, which Emscripten compiled for JavaScript: does in WebAssembly what the
;; JavaScript around it does, which is to start it, to throw and catch what its C++ throws, and to lead
;; its system calls to WASI. It reads standard input and writes standard output: no file is opened. The
;; names of what is imported and served are as short as Emscripten's optimiser made them.

(import "interpreter" "memory" (memory 0))
(import "interpreter" "table" (table 0 funcref))
(import "interpreter" "Fa" (func $construct))
(import "interpreter" "Ga" (func $main (param i32 i32) (result i32)))
(import "interpreter" "Ha" (func $thrown_object (param i32) (result i32)))
(import "interpreter" "Ka" (func $set_threw (param i32 i32)))
(import "interpreter" "La" (func $set_type (param i32)))
(import "interpreter" "Ma" (func $restore_stack (param i32)))
(import "interpreter" "Na" (func $take_stack (param i32) (result i32)))
(import "interpreter" "Oa" (func $stack (result i32)))
(import "interpreter" "Pa" (func $release (param i32)))
(import "interpreter" "Qa" (func $retain (param i32)))
(import "interpreter" "Ra" (func $can_catch (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_sizes_get"
  (func $args_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "clock_time_get"
  (func $clock_time_get (param i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

;; What C++ throws. Which object it is stands in $last.
(tag $cpp)
(global $last (mut i32) (i32.const 0))
(global $uncaught (mut i32) (i32.const 0))

;; The exceptions that are being handled, the innermost at the end.
(global $caught (mut i32) (i32.const 0))
(global $caught_end (mut i32) (i32.const 0))

;; Memory of ours and of the adapter's: the highest part of the stack, which nobody ever gives back.
;; What lies behind it is the heap's, up to the end of the memory.
(global $free (mut i32) (i32.const 0))
(global $free_end (mut i32) (i32.const 0))

(func $_start (export "_start")
  (local $count i32) (local $text i32) (local $arguments i32)
  (global.set $caught (call $take (i32.const 4) (i32.const 0x4000)))
  (global.set $caught_end (global.get $caught))
  (call $construct)
  (local.set $count (call $take (i32.const 4) (i32.const 8)))
  (drop (call $args_sizes_get (local.get $count) (i32.add (local.get $count) (i32.const 4))))
  (local.set $text
    (call $take (i32.const 1) (i32.load (i32.add (local.get $count) (i32.const 4)))))
  (local.set $arguments
    (call $take (i32.const 4)
      (i32.shl (i32.add (i32.load (local.get $count)) (i32.const 1)) (i32.const 2))))
  (drop (call $args_get (local.get $arguments) (local.get $text)))
  (call $proc_exit (call $main (i32.load (local.get $count)) (local.get $arguments))))

(func $take (param $align i32) (param $bytes i32) (result i32)
  (local $at i32)
  (if (i32.eqz (global.get $free_end))
    (then
      (global.set $free (call $take_stack (i32.const 0x50000)))
      (global.set $free_end (i32.add (global.get $free) (i32.const 0x50000)))))
  (local.set $at
    (i32.and
      (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
  (if (i32.gt_u (local.get $bytes) (i32.sub (global.get $free_end) (local.get $at)))
    (then (unreachable)))
  (global.set $free (i32.add (local.get $at) (local.get $bytes)))
  (local.get $at))

;; The adapter asks for a place for its state and its stack; nothing grows.
(func (export "cabi_realloc") (param $old i32) (param i32) (param $align i32) (param $bytes i32)
  (result i32)
  (if (local.get $old) (then (unreachable)))
  (call $take (local.get $align) (local.get $bytes)))

;; Before an object that is thrown stand what libc++abi knows of it: 20 its type, 16 its destructor, 12
;; whether it is caught, 11 whether it was thrown again, 8 where it is, for who catches it.

(func $throw_again (param $object i32)
  (global.set $last (local.get $object))
  (throw $cpp))

(func $unwind (param $object i32)
  (global.set $uncaught (i32.add (global.get $uncaught) (i32.const 1)))
  (call $throw_again (local.get $object)))

;; __cxa_throw
(func (export "serve a y") (param $object i32) (param $type i32) (param $destructor i32)
  (i32.store (i32.sub (local.get $object) (i32.const 8)) (i32.const 0))
  (i32.store (i32.sub (local.get $object) (i32.const 20)) (local.get $type))
  (i32.store (i32.sub (local.get $object) (i32.const 16)) (local.get $destructor))
  (call $retain (local.get $object))
  (call $unwind (local.get $object)))

;; __cxa_begin_catch
(func (export "serve a u") (param $object i32) (result i32)
  (if (i32.eqz (i32.load8_u (i32.sub (local.get $object) (i32.const 12))))
    (then
      (i32.store8 (i32.sub (local.get $object) (i32.const 12)) (i32.const 1))
      (global.set $uncaught (i32.sub (global.get $uncaught) (i32.const 1)))))
  (i32.store8 (i32.sub (local.get $object) (i32.const 11)) (i32.const 0))
  (if (i32.ge_u (i32.sub (global.get $caught_end) (global.get $caught)) (i32.const 0x4000))
    (then (unreachable)))
  (i32.store (global.get $caught_end) (local.get $object))
  (global.set $caught_end (i32.add (global.get $caught_end) (i32.const 4)))
  (call $thrown_object (local.get $object)))

(func $innermost (result i32)
  (if (i32.eq (global.get $caught_end) (global.get $caught)) (then (unreachable)))
  (i32.load (i32.sub (global.get $caught_end) (i32.const 4))))

;; __cxa_end_catch
(func (export "serve a z")
  (call $set_threw (i32.const 0) (i32.const 0))
  (call $release (call $innermost))
  (global.set $caught_end (i32.sub (global.get $caught_end) (i32.const 4)))
  (global.set $last (i32.const 0)))

;; __cxa_rethrow
(func (export "serve a ba")
  (local $object i32)
  (local.set $object (call $innermost))
  (i32.store8 (i32.sub (local.get $object) (i32.const 11)) (i32.const 1))
  (i32.store8 (i32.sub (local.get $object) (i32.const 12)) (i32.const 0))
  (call $retain (local.get $object))
  (call $unwind (local.get $object)))

;; __resumeException
(func (export "serve a i") (param $object i32)
  (call $throw_again
    (select (global.get $last) (local.get $object) (global.get $last))))

;; __cxa_uncaught_exceptions
(func (export "serve a za") (result i32) (global.get $uncaught))

;; llvm_eh_typeid_for
(func (export "serve a A") (param $type i32) (result i32) (local.get $type))

;; __cxa_find_matching_catch_2, _3 and _5: which of the types catches what was thrown.
(func (export "serve a a") (result i32) (call $matching (i32.const -1) (i32.const -1) (i32.const -1)))
(func (export "serve a l") (param $a i32) (result i32)
  (call $matching (local.get $a) (i32.const -1) (i32.const -1)))
(func (export "serve a x") (param $a i32) (param $b i32) (param $c i32) (result i32)
  (call $matching (local.get $a) (local.get $b) (local.get $c)))

;; As above; -1 is no type.
(func $matching (param $a i32) (param $b i32) (param $c i32) (result i32)
  (local $type i32)
  (if (i32.eqz (global.get $last))
    (then (call $set_type (i32.const 0)) (return (i32.const 0))))
  (i32.store (i32.sub (global.get $last) (i32.const 8)) (global.get $last))
  (local.set $type (i32.load (i32.sub (global.get $last) (i32.const 20))))
  (call $set_type
    (block $found (result i32)
      (drop (br_if $found (i32.const 0) (i32.eqz (local.get $type))))
      (drop (br_if $found (local.get $type) (call $is_caught_as_it_is (local.get $a) (local.get $type))))
      (drop (br_if $found (local.get $a) (call $catches (local.get $a) (local.get $type))))
      (drop (br_if $found (local.get $type) (call $is_caught_as_it_is (local.get $b) (local.get $type))))
      (drop (br_if $found (local.get $b) (call $catches (local.get $b) (local.get $type))))
      (drop (br_if $found (local.get $type) (call $is_caught_as_it_is (local.get $c) (local.get $type))))
      (drop (br_if $found (local.get $c) (call $catches (local.get $c) (local.get $type))))
      (local.get $type)))
  (global.get $last))

(func $is_caught_as_it_is (param $by i32) (param $type i32) (result i32)
  (i32.or (i32.eqz (local.get $by)) (i32.eq (local.get $by) (local.get $type))))

(func $catches (param $by i32) (param $type i32) (result i32)
  (if (i32.eq (local.get $by) (i32.const -1)) (then (return (i32.const 0))))
  (call $can_catch (local.get $by) (local.get $type)
    (i32.sub (global.get $last) (i32.const 8))))

;; __call_sighandler
(func (export "serve a Ca") (param $function i32) (param $signal i32)
  (call_indirect (param i32) (local.get $signal) (local.get $function)))

;; __assert_fail, and abort. What is asserted is told.
(func (export "serve a b") (param $condition i32) (param i32 i32 i32)
  (local $piece i32) (local $end i32)
  (local.set $end (local.get $condition))
  (block $ended
    (loop $next
      (br_if $ended (i32.eqz (i32.load8_u (local.get $end))))
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br $next)))
  (local.set $piece (call $take (i32.const 4) (i32.const 12)))
  (i32.store (local.get $piece) (local.get $condition))
  (i32.store offset=4 (local.get $piece) (i32.sub (local.get $end) (local.get $condition)))
  (drop
    (call $fd_write (i32.const 2) (local.get $piece) (i32.const 1)
      (i32.add (local.get $piece) (i32.const 8))))
  (unreachable))
(func (export "serve a ma") (unreachable))

;; emscripten_resize_heap: a fifth more than there is, or else what is asked for.
(func (export "serve a Ba") (param $bytes i32) (result i32)
  (local $pages i32) (local $asked i32)
  (local.set $pages (memory.size))
  (local.set $asked
    (i32.wrap_i64
      (i64.shr_u
        (i64.add (i64.extend_i32_u (local.get $bytes)) (i64.const 0xffff))
        (i64.const 16))))
  (if (i32.le_u (local.get $asked) (local.get $pages)) (then (return (i32.const 1))))
  (local.set $asked (i32.sub (local.get $asked) (local.get $pages)))
  (if (i32.gt_u (i32.div_u (local.get $pages) (i32.const 5)) (local.get $asked))
    (then
      (if (i32.ne (memory.grow (i32.div_u (local.get $pages) (i32.const 5))) (i32.const -1))
        (then (return (i32.const 1))))))
  (i32.ne (memory.grow (local.get $asked)) (i32.const -1)))

;; The system. An opened file is standard output, if it is to be made; errors are WASI's numbers:
;; 28 is invalid, 44 is not there, 59 is no terminal, 70 cannot seek.
(func (export "serve a ya") (param i32 i32) (param $flags i32) (param i32) (result i32)
  (select (i32.const 1) (i32.const -44) (i32.and (local.get $flags) (i32.const 64))))
(func (export "serve a ea") (param i32 i32 i32) (result i32) (i32.const -28))
(func (export "serve a xa") (param i32 i32 i32) (result i32) (i32.const -59))
(func (export "serve a ca") (param i32) (result i32) (i32.const 0))
(func (export "serve a va") (param i32 i64 i32 i32) (result i32) (i32.const 70))
(func (export "serve a wa") (param i32 i32 i32 i32) (result i32)
  (call $fd_read (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
(func (export "serve a da") (param i32 i32 i32 i32) (result i32)
  (call $fd_write (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
(func (export "serve a Aa") (param i32 i64 i32) (result i32)
  (call $clock_time_get (local.get 0) (local.get 1) (local.get 2)))
(func (export "serve a ha") (param $count i32) (param $bytes i32) (result i32)
  (i32.store (local.get $count) (i32.const 0))
  (i32.store (local.get $bytes) (i32.const 0))
  (i32.const 0))
(func (export "serve a fa") (param i32 i32) (result i32) (i32.const 0))
(func (export "serve a ta") (param i32 f64) (result i32) (i32.const 0))
(func (export "serve a ua") (param i32 i32 i32 i32))
(func (export "serve a Da"))
(func (export "serve a R") (param $status i32) (call $proc_exit (local.get $status)))
(func (export "serve a qa") (param $status i32) (call $proc_exit (local.get $status)))
