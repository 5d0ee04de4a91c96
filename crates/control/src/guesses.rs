//! How often an address has sent a wrong token. Memory is bounded: of too many addresses those are
//! forgotten that were silent longest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong tokens that an address may send in a window.
const MOST: u32 = 20;

const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are remembered.
const ADDRESSES: usize = 10_000;

/// Addresses and what they sent.
#[derive(Debug, Default)]
pub(crate) struct Guesses(HashMap<IpAddr, Guessed>);

#[derive(Debug)]
struct Guessed {
    since: Instant,
    times: u32,
}

impl Guesses {
    /// How long an address has to wait before it may try again, if it has to.
    pub(crate) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let guessed = self.0.get(&whose(address))?;
        let left = WINDOW.checked_sub(now.saturating_duration_since(guessed.since))?;
        (guessed.times >= MOST && !left.is_zero()).then_some(left)
    }

    /// Notes a wrong token.
    pub(crate) fn wrong(&mut self, address: IpAddr, now: Instant) {
        let whose = whose(address);
        if !self.0.contains_key(&whose) && self.0.len() >= ADDRESSES {
            self.make_room(now);
        }
        let guessed = self.0.entry(whose).or_insert(Guessed { since: now, times: 0 });
        if now.saturating_duration_since(guessed.since) >= WINDOW {
            *guessed = Guessed { since: now, times: 0 };
        }
        guessed.times += 1;
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, it| now.saturating_duration_since(it.since) < WINDOW);
        if self.0.len() >= ADDRESSES {
            let oldest = self.0.iter().min_by_key(|(_, it)| (it.times >= MOST, it.since));
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.0.remove(&oldest);
            }
        }
    }
}

/// Who has an address: of IPv6, whoever has the network of 64 bits that it is in.
pub(crate) fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_guesses_waits_and_others_do_not() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap());
        for _ in 0..MOST {
            assert_eq!(guesses.wait(a, now), None);
            guesses.wrong(a, now);
        }
        assert!(guesses.wait(a, now).is_some() && guesses.wait(b, now).is_none());
        assert_eq!(guesses.wait(a, now + WINDOW), None);
        let near: IpAddr = "2001:db8::1".parse().unwrap();
        let same: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        (0..MOST).for_each(|_| guesses.wrong(near, now));
        assert!(guesses.wait(same, now).is_some());
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_do_not_free_one_that_guesses() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let first = IpAddr::from([10, 0, 0, 0]);
        (0..MOST).for_each(|_| guesses.wrong(first, now));
        for number in 1..2 * ADDRESSES as u32 {
            guesses.wrong(IpAddr::from((0x0b00_0000 + number).to_be_bytes()), now);
        }
        assert!(guesses.0.len() <= ADDRESSES);
        assert!(guesses.wait(first, now).is_some());
    }
}
