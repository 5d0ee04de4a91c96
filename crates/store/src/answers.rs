//! What requests with idempotency keys were answered, so that the same again is done once, and answered alike.

use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Result, Store, StoreError, Transaction, now_ms};

/// How long an answer is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// How many answers one token has kept.
const MOST: u32 = 1000;

/// A request with an idempotency key.
pub struct Keyed {
    /// The id of the token that it came with.
    pub token: String,
    /// The key.
    pub key: String,
    /// What is asked: another request has other bytes.
    pub request: Vec<u8>,
}

/// An answer's bytes, whatever they mean to who gave them. They may hold secrets, and are kept encrypted.
pub type AnswerBytes = Zeroizing<Vec<u8>>;

impl Store {
    /// Makes a change that a request asks for, and keeps its answer: both, or neither. Whatever the change
    /// does to the store is part of one transaction. Where the same request was answered before, that answer
    /// is given, and nothing is changed.
    ///
    /// # Errors
    /// If the key came with another request, the change fails, or the store does; then nothing changes.
    pub fn once(
        &self,
        request: &Keyed,
        change: impl FnOnce(&Self) -> Result<AnswerBytes>,
    ) -> Result<AnswerBytes> {
        self.write(|db| {
            if let Some(answer) = self.answered(db, request)? {
                return Ok(answer);
            }
            let answer = change(self)?;
            self.keep_answer(db, request, &answer)?;
            Ok(answer)
        })
    }

    fn answered(&self, db: &Transaction<'_>, request: &Keyed) -> Result<Option<AnswerBytes>> {
        let found = db.query_row(
            "SELECT request, answer FROM answers WHERE token = ?1 AND key = ?2 AND at_ms > ?3",
            params![request.token, request.key, now_ms() - KEPT_MS],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)),
        );
        let Some((asked, sealed)) = found.optional()? else { return Ok(None) };
        if asked != request.digest() {
            return Err(StoreError::Idempotency);
        }
        Ok(Some(self.key.open(&request.place(), &sealed)?))
    }

    fn keep_answer(&self, db: &Transaction<'_>, request: &Keyed, answer: &[u8]) -> Result<()> {
        let sealed = self.key.seal(&request.place(), answer)?;
        let now = now_ms();
        db.execute("DELETE FROM answers WHERE at_ms <= ?1", [now - KEPT_MS])?;
        db.execute(
            "INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3, ?4, ?5)",
            params![request.token, request.key, request.digest(), sealed, now],
        )?;
        db.execute(
            "DELETE FROM answers WHERE token = ?1 AND key IN (
               SELECT key FROM answers WHERE token = ?1 ORDER BY at_ms DESC LIMIT -1 OFFSET ?2)",
            params![request.token, MOST],
        )?;
        Ok(())
    }
}

impl Keyed {
    fn digest(&self) -> Vec<u8> {
        Sha256::digest(&self.request).to_vec()
    }

    fn place(&self) -> String {
        format!("answer {} {}", self.token, self.key)
    }
}
