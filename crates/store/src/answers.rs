//! What requests with idempotency keys were answered, so that the same again is answered alike.

use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Result, Store, StoreError, now_ms};

/// How long an answer is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// How many answers one token has kept.
const MOST: u32 = 1000;

/// An answer that was given before.
pub struct Answered {
    /// Its bytes, whatever they mean to who kept them.
    pub answer: Zeroizing<Vec<u8>>,
}

impl Store {
    /// What a token's request of this key was answered before, if it was.
    ///
    /// # Errors
    /// If the key came with another request, or the store fails.
    pub fn answered(&self, token: &str, key: &str, request: &[u8]) -> Result<Option<Answered>> {
        let found = self.read(|db| {
            let found = db.query_row(
                "SELECT request, answer FROM answers WHERE token = ?1 AND key = ?2 AND at_ms > ?3",
                params![token, key, now_ms() - KEPT_MS],
                |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)),
            );
            Ok(found.optional()?)
        })?;
        let Some((asked, sealed)) = found else { return Ok(None) };
        if asked != Sha256::digest(request).to_vec() {
            return Err(StoreError::Idempotency);
        }
        let answer = self.key.open(&place(token, key), &sealed)?;
        Ok(Some(Answered { answer }))
    }

    /// Keeps what a token's request of this key was answered. It may hold secrets, and is encrypted.
    ///
    /// # Errors
    /// If the store fails.
    pub fn keep_answer(&self, token: &str, key: &str, request: &[u8], answer: &[u8]) -> Result<()> {
        let sealed = self.key.seal(&place(token, key), answer)?;
        let asked = Sha256::digest(request).to_vec();
        self.write(|db| {
            let now = now_ms();
            db.execute("DELETE FROM answers WHERE at_ms <= ?1", [now - KEPT_MS])?;
            db.execute(
                "INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3, ?4, ?5)",
                params![token, key, asked, sealed, now],
            )?;
            db.execute(
                "DELETE FROM answers WHERE token = ?1 AND key IN (
                   SELECT key FROM answers WHERE token = ?1 ORDER BY at_ms DESC LIMIT -1 OFFSET ?2)",
                params![token, MOST],
            )?;
            Ok(())
        })
    }
}

fn place(token: &str, key: &str) -> String {
    format!("answer {token} {key}")
}
