;; A command of WASI 0.3 that does the line.
(component
  (core module $m
    (memory (export "memory") 1)
    (func $recurse (param i64) (result i64)
      (i64.add (local.get 0) (call $recurse (i64.add (local.get 0) (i64.const 1)))))
    (func (export "run") (result i32) BODY (i32.const 0)))
  (core instance $i (instantiate $m))
  (type $t (func async (result (result))))
  (func $run (type $t) (canon lift (core func $i "run")))
  (instance $e (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $e)))
