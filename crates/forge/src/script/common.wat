;; What all drivers share. Our part of the memory begins at $at: a page for what follows and for
;; strings, then three pages for the adapter.
;;
;;   0  what `initialize` gives back: a discriminant, and the error's address and length
;;  16  how much of the adapter's pages is given away
;;  20  whether the interpreter was started
;;  32  a driver's own variables
;; 256  a driver's strings

;; Memory for the adapter, which asks for its state and its stack as it begins, and never frees.
(func $reserve (export "cabi_realloc")
  (param $old i32) (param $old_length i32) (param $align i32) (param $length i32) (result i32)
  (local $found i32)
  (if (local.get $old) (then (unreachable)))
  ;; found = (used + align - 1) & -align, as an address
  (local.set $found
    (i32.and
      (i32.sub
        (i32.add
          (i32.add (i32.add (global.get $at) (i32.const 65536))
            (i32.load offset=16 (global.get $at)))
          (local.get $align))
        (i32.const 1))
      (i32.sub (i32.const 0) (local.get $align))))
  (i32.store offset=16 (global.get $at)
    (i32.sub
      (i32.add (local.get $found) (local.get $length))
      (i32.add (global.get $at) (i32.const 65536))))
  (if (i32.gt_u (i32.load offset=16 (global.get $at)) (i32.const 196608)) (then (unreachable)))
  (local.get $found))

;; A thawed instance has an adapter that begins anew, and takes the same memory again.
(func $release
  (i32.store offset=16 (global.get $at) (i32.const 0)))

;; Starts the interpreter, to be frozen there; who thaws that calls `initialize`.
(func (export "start") (result i32)
  (local $outcome i32)
  (local.set $outcome (call $begun))
  (call $release)
  (local.get $outcome))

;; Starts the interpreter, unless that was done, and loads the app.
(func (export "initialize") (result i32)
  (local $outcome i32)
  (if (i32.eqz (i32.load offset=20 (global.get $at)))
    (then
      (local.set $outcome (call $begun))
      (if (i32.load8_u (local.get $outcome)) (then (return (local.get $outcome))))))
  (local.set $outcome (call $load))
  (call $release)
  (local.get $outcome))

(func $begun (result i32)
  (i32.store offset=20 (global.get $at) (i32.const 1))
  (call $begin))

;; `ok`, as `start` and `initialize` give it back.
(func $succeeded (result i32)
  (i32.store8 (global.get $at) (i32.const 0))
  (global.get $at))

;; `err(text)`, as they give it back.
(func $failed (param $text i32) (param $length i32) (result i32)
  (i32.store8 (global.get $at) (i32.const 1))
  (i32.store offset=4 (global.get $at) (local.get $text))
  (i32.store offset=8 (global.get $at) (local.get $length))
  (global.get $at))
