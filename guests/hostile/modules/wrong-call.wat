;; Calls a function as what it is not.
(module
  (memory (export "memory") 1)
  (type $other (func (param i64 i64) (result i64)))
  (table funcref (elem $f))
  (func $f)
  (func (export "_start")
    (drop (call_indirect (type $other) (i64.const 1) (i64.const 2) (i32.const 0)))))
