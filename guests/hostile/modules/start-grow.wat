;; Takes all memory that it can have before anybody called it, then goes on trying.
(module
  (memory (export "memory") 1)
  (func $init (loop $again (drop (memory.grow (i32.const 16))) (br $again)))
  (start $init)
  (func (export "_start")))
