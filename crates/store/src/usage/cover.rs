//! Which buckets a time is made of: days where whole ones are in it, hours and minutes at its edges, as
//! far as those are kept still.

use super::UsageStep;

/// Some buckets, one behind the other: from when, and until when, in seconds since 1970.
pub(super) type Piece = (UsageStep, i64, i64);

/// The finest step of which all buckets are kept of the next coarser one that a time is in.
fn finest(at: i64, now: i64) -> UsageStep {
    let is_kept = |pair: &&[UsageStep]| match pair {
        [fine, coarse] => coarse.floor(at) >= now - fine.kept_seconds(),
        _ => false,
    };
    let found = UsageStep::ALL.windows(2).find(is_kept);
    found.and_then(|pair| pair.first().copied()).unwrap_or(UsageStep::Day)
}

/// A time as whole buckets, which may begin a little before it and end a little behind it.
pub(super) fn whole(from: i64, to: i64, now: i64) -> (i64, i64) {
    (finest(from, now).floor(from), finest(to.min(now), now).ceil(to))
}

/// The fewest buckets that are a time which [`whole`] gave.
pub(super) fn cover(from: i64, to: i64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut from, mut to) = (from, to);
    let mut last = Vec::new();
    for pair in UsageStep::ALL.windows(2) {
        let [fine, coarse] = pair else { continue };
        let (inner_from, inner_to) = (coarse.ceil(from), coarse.floor(to));
        if inner_from >= inner_to {
            // No whole bucket of the coarser step: the finer one has all of it.
            pieces.push((*fine, from, to));
            (from, to) = (0, 0);
            break;
        }
        pieces.push((*fine, from, inner_from));
        last.push((*fine, inner_to, to));
        (from, to) = (inner_from, inner_to);
    }
    pieces.push((UsageStep::Day, from, to));
    pieces.extend(last.into_iter().rev());
    pieces.retain(|(_, from, to)| from < to);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use UsageStep::{Day, Hour, Minute};

    const H: i64 = 3600;
    const D: i64 = 86_400;

    #[test]
    fn a_time_is_covered_once_and_without_gaps() {
        for (from, to) in [
            (10 * D, 12 * D),
            (10 * D + 60, 12 * D + H + 120),
            (10 * D + 60, 10 * D + 180),
            (10 * D + H - 60, 10 * D + 2 * H + 60),
            (10 * D + 23 * H + 60, 11 * D + 60),
            (10 * D, 10 * D),
        ] {
            let pieces = cover(from, to);
            let mut next = from;
            for (step, from, to) in &pieces {
                assert_eq!((*from, from % step.seconds(), to % step.seconds()), (next, 0, 0));
                next = *to;
            }
            assert_eq!(next, to, "{pieces:?}");
        }
        let edges = cover(10 * D - H - 60, 12 * D + 60);
        let expected = [
            (Minute, 10 * D - H - 60, 10 * D - H),
            (Hour, 10 * D - H, 10 * D),
            (Day, 10 * D, 12 * D),
            (Minute, 12 * D, 12 * D + 60),
        ];
        assert_eq!(edges, expected);
    }

    #[test]
    fn edges_are_as_fine_as_what_is_kept() {
        let now = 1000 * D + 5 * H + 90;
        assert_eq!(whole(now - 3601, now, now), (now - 3630, now + 30));
        let from = now - 3 * D;
        assert_eq!(whole(from, now, now), (from - 90, now + 30));
        assert_eq!(whole(now - 100 * D, now - 99 * D - 1, now), (900 * D, 902 * D));
    }
}
