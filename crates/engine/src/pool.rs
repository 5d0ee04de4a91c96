//! The sizes of the pool from which instances take memories, tables and stacks.
//!
//! They are reservations of address space: nothing is in memory before an instance touches it.

use wasmtime::PoolingAllocationConfig;

use crate::EngineConfig;

/// Address space of one linear memory: 4 GiB and its guard.
const SLOT_BYTES: u64 = (4 << 30) + (32 << 20);
/// What the memories of one flavour may reserve: x86-64 and AArch64 give a process 128 TiB, two
/// flavours share it, and the rest of the process needs some too.
const MAX_RESERVED_BYTES: u64 = 48 << 40;
/// Elements of one table; the largest guest that we know has some 40,000.
const TABLE_ELEMENTS: usize = 200_000;
/// The metadata of all core instances of one component; only a bound, taken from the heap.
const INSTANCE_BYTES: usize = 64 << 20;

/// Linear memories for `max_instances`. Most components have one, composed ones one for each part,
/// and a garbage-collected heap takes one too.
pub(crate) fn memories(max_instances: u32) -> u32 {
    let wanted = max_instances.saturating_mul(2).saturating_add(64);
    let room = u32::try_from(MAX_RESERVED_BYTES / SLOT_BYTES).unwrap_or(u32::MAX);
    wanted.min(room)
}

/// About how much address space the pool of one flavour takes, in bytes.
pub(crate) fn reserved_bytes(config: &EngineConfig) -> u64 {
    let tables = u64::from(tables(config.max_instances)) * TABLE_ELEMENTS as u64 * 8;
    let stacks = u64::from(config.max_instances) * (2 << 20);
    u64::from(memories(config.max_instances)) * SLOT_BYTES + tables + stacks
}

fn tables(max_instances: u32) -> u32 {
    max_instances.saturating_mul(4).saturating_add(64)
}

/// The pool of one flavour.
pub(crate) fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let instances = config.max_instances;
    let memory_bytes = config.max_memory_bytes.min(4 << 30);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(200))
        .total_memories(memories(instances))
        .total_tables(tables(instances))
        .total_stacks(instances)
        .total_gc_heaps(instances)
        .max_core_instances_per_component(1_000)
        .max_memories_per_component(100)
        .max_tables_per_component(1_000)
        .max_memories_per_module(16)
        .max_tables_per_module(64)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(memory_bytes).unwrap_or(usize::MAX))
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES);
    pool
}
