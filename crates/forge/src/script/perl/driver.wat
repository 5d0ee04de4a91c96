;; Perl: runs our boot script as the main program, has it load the app, and calls its handler. What is
;; called by text can throw; the text is compiled in the thawed instance, so it is short.

(import "interpreter" "memory" (memory 4))
(import "place" "memory" (global $at i32))
(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get"
  (func $environ_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "interpreter" "_initialize" (func $begin_c))
(import "interpreter" "malloc" (func $allocate (param i32) (result i32)))
(import "interpreter" "zeroperl_init_with_args" (func $start (param i32 i32) (result i32)))
(import "interpreter" "zeroperl_register_function" (func $register (param i32 i32)))
(import "interpreter" "zeroperl_eval" (func $eval (param i32 i32 i32 i32) (result i32)))
(import "interpreter" "zeroperl_get_var" (func $variable (param i32) (result i32)))
(import "interpreter" "zeroperl_to_string" (func $text_of (param i32 i32) (result i32)))
(import "interpreter" "zeroperl_to_int" (func $number_of (param i32 i32) (result i32)))
(import "interpreter" "zeroperl_new_string" (func $new_text (param i32 i32) (result i32)))

;; Our variables: 32 a count or an address, 36 a length, 40 the arguments, 64 random bytes and 96 their
;; digits. Texts end with a NUL.
(data (offset (i32.add (global.get $at) (i32.const 256))) "perl\00/dayfly/boot.pl\00")
(data (offset (i32.add (global.get $at) (i32.const 320))) "Dayfly::entropy\00")
(data (offset (i32.add (global.get $at) (i32.const 352))) "Dayfly::initialize()\00")
(data (offset (i32.add (global.get $at) (i32.const 384))) "Dayfly::handle()\00")
(data (offset (i32.add (global.get $at) (i32.const 416))) "Dayfly::error\00")
(data (offset (i32.add (global.get $at) (i32.const 448))) "the script left Perl without an exception")
(data (offset (i32.add (global.get $at) (i32.const 512))) "0123456789abcdef")
(data (offset (i32.add (global.get $at) (i32.const 544))) "Dayfly::Bridge::enter\00")

(func $string (param $offset i32) (result i32)
  (i32.add (global.get $at) (local.get $offset)))

;; The functions of ours that Perl may call: 1 is `Dayfly::entropy()`, 2 `Dayfly::Bridge::enter(address)`.
(func (export "serve env call_host_function")
  (param $function i32) (param $count i32) (param $arguments i32) (result i32)
  (if (i32.eq (local.get $function) (i32.const 1)) (then (return (call $entropy))))
  (if (i32.eqz (local.get $count)) (then (unreachable)))
  (drop (call $number_of (i32.load (local.get $arguments)) (call $string (i32.const 32))))
  (call $call_import (i32.load offset=32 (global.get $at)))
  (i32.const 0))

;; 32 new random bytes as hexadecimal digits. A text of Perl's made here is one of characters, so plain
;; bytes would not do.
(func $entropy (result i32)
  (local $index i32) (local $byte i32)
  (drop (call $random_get (call $string (i32.const 64)) (i32.const 32)))
  (loop $next
    (local.set $byte (i32.load8_u offset=64 (call $string (local.get $index))))
    (i32.store8 offset=96 (call $string (i32.shl (local.get $index) (i32.const 1)))
      (call $digit (i32.shr_u (local.get $byte) (i32.const 4))))
    (i32.store8 offset=97 (call $string (i32.shl (local.get $index) (i32.const 1)))
      (call $digit (i32.and (local.get $byte) (i32.const 15))))
    (local.set $index (i32.add (local.get $index) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $index) (i32.const 32))))
  (call $new_text (call $string (i32.const 96)) (i32.const 64)))

(func $digit (param $value i32) (result i32)
  (i32.load8_u offset=512 (call $string (local.get $value))))

(func $begin (result i32)
  (call $begin_c)
  (i32.store offset=40 (global.get $at) (call $string (i32.const 256)))
  (i32.store offset=44 (global.get $at) (call $string (i32.const 261)))
  (if (call $start (i32.const 2) (call $string (i32.const 40)))
    (then (return (call $left))))
  (call $register (i32.const 1) (call $string (i32.const 320)))
  (call $register (i32.const 2) (call $string (i32.const 544)))
  (call $succeeded))

(func $load (result i32)
  (local $error i32)
  (if (call $evaluate (i32.const 352) (i32.const 0) (i32.const 0))
    (then (return (call $left))))
  (local.set $error
    (call $text_of (call $variable (call $string (i32.const 416))) (call $string (i32.const 36))))
  (if (i32.load offset=36 (global.get $at))
    (then (return (call $failed (local.get $error) (i32.load offset=36 (global.get $at))))))
  (call $succeeded))

(func $left (result i32)
  (call $failed (call $string (i32.const 448)) (i32.const 41)))

;; The arguments are the environment as it is now, `NAME=VALUE` each.
(func $run (export "wasi:cli/run@0.2.12#run") (result i32)
  (local $variables i32)
  (drop (call $environ_sizes_get (call $string (i32.const 32)) (call $string (i32.const 36))))
  (local.set $variables
    (call $allocate (i32.mul (i32.const 4) (i32.load offset=32 (global.get $at)))))
  (drop
    (call $environ_get (local.get $variables)
      (call $allocate (i32.load offset=36 (global.get $at)))))
  (i32.ne (i32.const 0)
    (call $evaluate (i32.const 384) (i32.load offset=32 (global.get $at)) (local.get $variables))))

;; Runs a text, in scalar context, with these in `@ARGV`.
(func $evaluate (param $text i32) (param $count i32) (param $arguments i32) (result i32)
  (call $eval (call $string (local.get $text)) (i32.const 1) (local.get $count)
    (local.get $arguments)))
