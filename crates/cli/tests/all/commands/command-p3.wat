;; A command of WASI 0.3, which ends with a status of its own.
(component
  (import "wasi:cli/exit@0.3.0" (instance $exit
    (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $exit (canon lower (func $exit "exit-with-code")))
  (core instance $host (export "exit" (func $exit)))
  (core module $m
    (import "" "exit" (func $exit (param i32)))
    (func (export "run") (result i32) (call $exit (i32.const 9)) (i32.const 0)))
  (core instance $i (instantiate $m (with "" (instance $host))))
  (type $t (func async (result (result))))
  (func $run (type $t) (canon lift (core func $i "run")))
  (instance $e (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $e)))
