;; Writes beyond its memory.
(module
  (memory (export "memory") 1)
  (func (export "_start") (i64.store offset=4294967280 (i32.const -1) (i64.const -1))))
