//! How many clicks a visitor may make: more a second than a hand can, fewer than a program would.

use crate::exchange::Failure;
use crate::fermyon::spin::variables;
use crate::store::{Store, text};

pub fn admit(store: &Store, address: &str) -> Result<(), Failure> {
    let most = variables::get("clicks_per_second").ok().and_then(|most| most.parse().ok());
    let most: u32 = most.ok_or_else(|| Failure::host("`clicks_per_second` is no number"))?;
    let sql = "INSERT INTO visitors VALUES (?, unixepoch(), 1) ON CONFLICT (address) DO UPDATE SET \
               clicks = iif(second = excluded.second, clicks + 1, 1), second = excluded.second \
               RETURNING clicks";
    let row = store.first(sql, &[text(address)])?;
    if row.is_none_or(|row| row.count(0) > most) {
        return Err(Failure::new(429, "one treat after the other, please"));
    }
    Ok(())
}

/// Forgets who was here before the last minute.
pub fn forget(store: &Store) -> Result<(), Failure> {
    store.run("DELETE FROM visitors WHERE second < unixepoch() - 60", &[]).map(drop)
}
