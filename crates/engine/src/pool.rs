//! The sizes of the pool from which instances take memories, tables and stacks.
//!
//! They are reservations of address space: nothing is in memory before an instance touches it.

use std::sync::LazyLock;

use wasmtime::component::Component;
use wasmtime::{Enabled, PoolingAllocationConfig};

use crate::EngineConfig;

/// Address space of one linear memory: 4 GiB and its guard.
const SLOT_BYTES: u64 = (4 << 30) + (32 << 20);
/// What the memories of one flavour may reserve. A process has 128 TiB on x86-64 and AArch64, but
/// Linux loads position-independent programs at two thirds of it: two reservations of this size fit,
/// one on each side.
const MAX_RESERVED_BYTES: u64 = 40 << 40;
/// Elements of one table; the largest guest that we know has some 40,000.
const TABLE_ELEMENTS: usize = 200_000;
/// The metadata of all core instances of one component; only a bound, taken from the heap.
const INSTANCE_BYTES: usize = 64 << 20;

/// Of each memory and table, what stays resident between two instances, reset by copying.
const KEPT_MEMORY_BYTES: usize = 128 << 10;
const KEPT_TABLE_BYTES: usize = 16 << 10;

/// Linear memories for so many instances. Most components have one, composed ones one for each part,
/// and a garbage-collected heap takes one too.
pub(crate) fn memories(instances: u32) -> u32 {
    let wanted = instances.saturating_mul(2).saturating_add(8);
    let room = u32::try_from(MAX_RESERVED_BYTES / SLOT_BYTES).unwrap_or(u32::MAX);
    wanted.min(room)
}

/// How many of a component's instances may take memories and tables of such a pool at one time: what
/// half of it has room for, so that a component with many of them leaves the others theirs. `None`
/// for those with few: all instances of the pool.
pub(crate) fn share(component: &Component, instances: u32) -> Option<u32> {
    let needed = component.resources_required()?;
    let room = |all: u32, needed: u32| all / 2 / needed.max(1);
    let share = room(memories(instances), needed.num_memories)
        .min(room(tables(instances), needed.num_tables));
    (share < instances).then_some(share.max(1))
}

/// How much one of a component's instances takes of a pool, in what the pool has for each of its
/// instances.
pub(crate) fn slots(component: &Component) -> u32 {
    let Some(needed) = component.resources_required() else { return 1 };
    needed.num_memories.div_ceil(2).max(needed.num_tables.div_ceil(4)).max(1)
}

/// About how much address space the pool of one flavour takes, in bytes.
pub(crate) fn reserved_bytes(config: &EngineConfig, instances: u32) -> u64 {
    let tables = u64::from(tables(instances)) * TABLE_ELEMENTS as u64 * 8;
    let stacks = u64::from(instances).saturating_mul(config.stack_bytes());
    u64::from(memories(instances)) * SLOT_BYTES + tables + stacks
}

fn tables(instances: u32) -> u32 {
    instances.saturating_mul(4).saturating_add(32)
}

/// The pool of one flavour, for this many instances.
pub(crate) fn pool(config: &EngineConfig, instances: u32) -> PoolingAllocationConfig {
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
    if may_scan_pages(config) {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
            .table_keep_resident(KEPT_TABLE_BYTES);
    }
    pool
}

/// Whether an instance's memory may be reset by writing over the pages that it changed, which the
/// kernel lists, instead of unmapping all of them: three system calls and as many page faults less
/// for each request. Only where nothing can be swapped: with swap, an upstream report says, the list
/// can miss a page, and the next instance would see it.
pub(crate) fn may_scan_pages(config: &EngineConfig) -> bool {
    config.scan_pages && PoolingAllocationConfig::is_pagemap_scan_available() && *SWAP_IS_OFF
}

/// Whether this machine has no swap, as the process found it first. `/proc/swaps` is a line of headings
/// and one for each area.
static SWAP_IS_OFF: LazyLock<bool> = LazyLock::new(|| {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() == 1)
});

/// Looks whether there is swap: a process that has given up its rights could not, when it builds a
/// flavour later.
pub(crate) fn look_for_swap() {
    LazyLock::force(&SWAP_IS_OFF);
}
