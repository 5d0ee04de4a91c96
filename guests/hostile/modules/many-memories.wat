;; Sixteen memories of 4 MiB, each within bounds, all together not.
(module
  (memory (export "memory") 64) (memory 64) (memory 64) (memory 64)
  (memory 64) (memory 64) (memory 64) (memory 64)
  (memory 64) (memory 64) (memory 64) (memory 64)
  (memory 64) (memory 64) (memory 64) (memory 64)
  (func (export "_start")))
