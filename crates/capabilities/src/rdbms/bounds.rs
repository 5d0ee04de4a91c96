//! Bounds of what a server sends, because a guest may have chosen the server.

use dayfly_model::Limits;

/// How many rows a result has that is given as a whole.
pub(crate) const ROWS: usize = 100_000;

/// How large it is, and how large a single row is at most, in bytes.
pub(crate) const BYTES: usize = 64 << 20;

/// The bounds of one component's results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Bounds {
    /// What an instance has no memory for need not be fetched.
    pub(crate) fn of(limits: &Limits) -> Self {
        let memory = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        Self { rows: ROWS, bytes: BYTES.min(memory) }
    }
}

/// What is left of the bounds while a result comes in.
pub(crate) struct Left {
    bounds: Bounds,
    rows: usize,
    bytes: usize,
}

impl Left {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, rows: bounds.rows, bytes: bounds.bytes }
    }

    /// Takes one row of so many bytes.
    ///
    /// # Errors
    /// Says which bound it is beyond.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        let Some(rows) = self.rows.checked_sub(1) else {
            return Err(format!("the result has more than {} rows", self.bounds.rows));
        };
        let Some(bytes) = self.bytes.checked_sub(bytes) else {
            return Err(format!("the result is larger than {} bytes", self.bounds.bytes));
        };
        (self.rows, self.bytes) = (rows, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_are_named() {
        let mut left = Left::new(Bounds { rows: 2, bytes: 10 });
        assert!(left.take(11).unwrap_err().contains("10 bytes"));
        assert_eq!((left.take(4), left.take(6)), (Ok(()), Ok(())));
        assert!(left.take(0).unwrap_err().contains("2 rows"));
    }

    #[test]
    fn a_small_instance_gets_small_results() {
        let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
        assert_eq!(Bounds::of(&limits).bytes, 1 << 20);
        assert_eq!(Bounds::of(&Limits::default()).bytes, BYTES);
    }
}
