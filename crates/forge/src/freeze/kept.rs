//! What was frozen, kept by what it was made of.

use std::time::Duration;

use blake3::Hash;
use dayfly_engine::{Digest, Engine, Flavour};

use super::{FreezeTerms, Frozen};

/// What froze sooner is frozen as fast as it would be found: an initialiser's time.
const WORTH_KEEPING: Duration = Duration::from_millis(100);

/// What stands behind a frozen component: what its initialiser sees, and what it may have.
pub(super) fn name(seed: &Hash, terms: &FreezeTerms) -> Digest {
    let FreezeTerms { memory_bytes, output_bytes, .. } = terms;
    let text = format!("frozen {seed} {memory_bytes} {output_bytes}");
    Digest::of(text.as_bytes())
}

/// Keeps what was frozen, as well as it can.
pub(super) fn keep(engine: &Engine, name: &Digest, frozen: &Frozen) {
    if frozen.started_in >= WORTH_KEEPING
        && let Some(Ok(cache)) = engine.cache()
    {
        cache.keep_made(name, &written(frozen));
    }
}

/// What was kept. One whose code is no longer at hand is of no use: as it is frozen anew it shares that
/// of others.
pub(super) fn find(engine: &Engine, name: &Digest) -> Option<Frozen> {
    let frozen = read(&engine.cache()?.ok()?.made(name)?)?;
    let flavour = Flavour::of(&frozen.wasm).ok()?;
    let loaded = engine.load_cached(Digest::of(&frozen.wasm), flavour).ok()?;
    loaded.map(|_| frozen)
}

/// Nanoseconds, the length of the output, the output, the component.
fn written(frozen: &Frozen) -> Vec<u8> {
    let nanoseconds = u64::try_from(frozen.started_in.as_nanos()).unwrap_or(u64::MAX);
    let length = frozen.output.len() as u64;
    let numbers = [nanoseconds.to_le_bytes(), length.to_le_bytes()].concat();
    [&numbers, frozen.output.as_bytes(), &frozen.wasm].concat()
}

fn read(kept: &[u8]) -> Option<Frozen> {
    let (nanoseconds, rest) = kept.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (output, wasm) = rest.split_at_checked(length)?;
    let output = String::from_utf8(output.to_vec()).ok()?;
    let started_in = Duration::from_nanos(u64::from_le_bytes(*nanoseconds));
    Some(Frozen { wasm: wasm.to_vec(), output, started_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let (wasm, started_in) = (vec![0, 1, 2], Duration::from_millis(123));
        let frozen = Frozen { wasm, output: "said".to_owned(), started_in };
        let kept = written(&frozen);
        assert_eq!(read(&kept), Some(frozen));
        for length in 0..20 {
            assert_eq!(read(&kept[..length]), None, "{length}");
        }
    }
}
