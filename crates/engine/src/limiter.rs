//! How much memory one instance may take: all its linear memories together, and its tables.

use wasmtime::ResourceLimiter;

/// What an instance's store holds must hand out the limiter of that instance.
pub trait StoreData: Send + 'static {
    /// The limiter of this store; always the same one.
    fn limiter(&mut self) -> &mut MemoryLimiter;

    /// What else bounds the store; asked when it is made.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }
}

/// The bounds of a store beside memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// WebAssembly instructions in all; only where the code counts them.
    pub instructions: Option<u64>,
    /// Handles of resources, streams, futures and tasks at one time.
    pub resources: usize,
    /// What one call of the host may copy from the guest, in bytes.
    pub hostcall_bytes: usize,
}

/// What one call of the host copies from a guest takes time in which the guest cannot be
/// interrupted: some milliseconds for this many bytes.
const HOSTCALL_BYTES: usize = 8 << 20;

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { instructions: None, resources: 10_000, hostcall_bytes: HOSTCALL_BYTES }
    }
}

impl StoreData for MemoryLimiter {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        self
    }
}

/// Core instances of one store. Large components of componentize-py have about a hundred.
const MAX_INSTANCES: usize = 1_000;
/// Tables of one store.
const MAX_TABLES: usize = 1_000;
/// Linear memories of one store; composed components have one each.
const MAX_MEMORIES: usize = 100;
/// Elements of all tables of one store together, 8 bytes each, unless told otherwise.
const TABLE_ELEMENTS: usize = 1_000_000;

/// Bounds the linear memory (and the garbage-collected heap) of one instance: the sum of all its
/// memories stays within one limit.
///
/// A growth beyond it is refused: `memory.grow` answers -1, and an instance whose initial
/// memories do not fit does not start. [`MemoryLimiter::exceeded`] remembers that, because what
/// the host sees later is only the trap of a guest that could not go on.
#[derive(Clone, Debug)]
pub struct MemoryLimiter {
    limit_bytes: usize,
    used_bytes: usize,
    limit_elements: usize,
    table_elements: usize,
    exceeded: Option<Exceeded>,
}

/// What an instance wanted more of than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Linear memory.
    Memory,
    /// Elements of tables.
    Tables,
}

impl MemoryLimiter {
    /// A limiter that lets all memories of an instance together have `limit_bytes`.
    pub fn new(limit_bytes: u64) -> MemoryLimiter {
        MemoryLimiter {
            limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            used_bytes: 0,
            limit_elements: TABLE_ELEMENTS,
            table_elements: 0,
            exceeded: None,
        }
    }

    /// The same, with another bound on the elements of all tables together.
    #[must_use]
    pub fn with_tables(self, elements: u64) -> MemoryLimiter {
        let limit_elements = usize::try_from(elements).unwrap_or(usize::MAX);
        MemoryLimiter { limit_elements, ..self }
    }

    /// Counts memory that an instance begins with, and that Wasmtime does not ask for.
    pub(crate) fn begin_with(&mut self, bytes: u64) {
        self.used_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.exceeded = (self.used_bytes > self.limit_bytes).then_some(Exceeded::Memory);
    }

    /// What a growth, or an initial size, was last refused for: being over that limit.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// What all memories take, in bytes. Memories never shrink, so it is their peak as well.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes as u64
    }

    /// The limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes as u64
    }

    /// Whether what is used may grow; noted if it may not, but for what would fail anyway.
    fn grow(
        &mut self,
        what: Exceeded,
        (current, desired, maximum): (usize, usize, Option<usize>),
    ) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let (used, limit) = match what {
            Exceeded::Memory => (&mut self.used_bytes, self.limit_bytes),
            Exceeded::Tables => (&mut self.table_elements, self.limit_elements),
        };
        // A growth that is allowed here but fails later, for want of the machine's memory, stays
        // counted: Wasmtime's report of a failure does not say which growth it is about.
        match used.checked_add(desired.saturating_sub(current)) {
            Some(total) if total <= limit => {
                *used = total;
                true
            }
            _ => {
                self.exceeded = Some(what);
                false
            }
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(Exceeded::Memory, (current, desired, maximum)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(Exceeded::Tables, (current, desired, maximum)))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let mut limiter = MemoryLimiter::new(1 << 20);
        assert!(limiter.memory_growing(0, 512 << 10, None).unwrap());
        assert!(limiter.memory_growing(0, 512 << 10, None).unwrap());
        assert_eq!(limiter.exceeded(), None);
        assert!(!limiter.memory_growing(512 << 10, 576 << 10, None).unwrap());
        assert_eq!(limiter.exceeded(), Some(Exceeded::Memory));
        assert_eq!(limiter.used_bytes(), 1 << 20);
    }

    #[test]
    fn growth_beyond_a_memory_s_own_maximum_is_not_the_limit() {
        let mut limiter = MemoryLimiter::new(1 << 20);
        assert!(!limiter.memory_growing(0, 2 << 20, Some(1 << 20)).unwrap());
        assert_eq!(limiter.exceeded(), None);
        assert_eq!(limiter.used_bytes(), 0);
    }

    #[test]
    fn tables_are_bounded() {
        let mut limiter = MemoryLimiter::new(0).with_tables(10);
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(0, 1, None).unwrap());
        assert_eq!(limiter.exceeded(), Some(Exceeded::Tables));
        assert_eq!(limiter.table_elements, 10);
    }
}
