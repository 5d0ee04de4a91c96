;; Memory for what imports give back: pieces of the memory's end, one behind the other, which the next
;; call uses again. The variables: 224 where the piece begins, 228 where the free part of it does, 232
;; where it ends. There is none before the first call.
(func $more (export "cabi_import_realloc")
  (param $old i32) (param $old_length i32) (param $align i32) (param $length i32) (result i32)
  (local $found i32) (local $pages i32)
  (if (local.get $old) (then (unreachable)))
  ;; found = (free + align - 1) & -align
  (local.set $found
    (i32.and
      (i32.add (i32.load offset=228 (global.get $at)) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
  (if
    (i64.gt_u
      (i64.add (i64.extend_i32_u (local.get $found)) (i64.extend_i32_u (local.get $length)))
      (i64.load32_u offset=232 (global.get $at)))
    (then
      ;; Another piece, at least twice as large, so that those which are left are less than it.
      (local.set $pages
        (i32.add
          (i32.add
            (i32.shr_u (local.get $length) (i32.const 16))
            (i32.const 1))
          (i32.shr_u
            (i32.sub (i32.load offset=232 (global.get $at)) (i32.load offset=224 (global.get $at)))
            (i32.const 15))))
      (local.set $found (memory.grow (local.get $pages)))
      (if (i32.eq (local.get $found) (i32.const -1)) (then (unreachable)))
      (local.set $found (i32.shl (local.get $found) (i32.const 16)))
      (i32.store offset=224 (global.get $at) (local.get $found))
      (i32.store offset=232 (global.get $at)
        (i32.add (local.get $found) (i32.shl (local.get $pages) (i32.const 16))))))
  (i32.store offset=228 (global.get $at) (i32.add (local.get $found) (local.get $length)))
  (local.get $found))

;; Calls the import that a block is for, and leaves in the block's header where what it gave back begins
;; and ends; of what had no room in one piece that is the last part. What the call before gave back is
;; lost, unless the header says that it is to be kept.
(func $call_import (param $block i32)
  (if (i32.eqz (i32.load offset=4 (local.get $block)))
    (then (i32.store offset=228 (global.get $at) (i32.load offset=224 (global.get $at)))))
  (call $bridge (i32.load (local.get $block)) (local.get $block))
  (i32.store offset=0 (local.get $block) (i32.load offset=224 (global.get $at)))
  (i32.store offset=4 (local.get $block) (i32.load offset=228 (global.get $at))))
