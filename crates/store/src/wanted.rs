//! Releases whose code is missing where they are served, and is to be made once more by whoever makes
//! releases ready. Nodes ask, and ring; the control plane looks, and says what came of it.

use std::time::Duration;

use dayfly_model::platform::{AppId, AppName, ReleaseId, TenantId};
use rusqlite::{OptionalExtension as _, params};

use crate::apps::app;
use crate::releases::{Prepared, release};
use crate::tenants::{json, parsed};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// When code that was made and is missing again is made again: a cache that is too small for what is served
/// costs no more than this.
const AGAIN: Duration = Duration::from_secs(10);

/// When what could not be made is tried again. The pause doubles with each failure.
const RETRY: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// How far behind others what has no traffic is in the line: more than any clock shows.
const BEHIND_MS: i64 = 1 << 60;

/// The failures that one counts for which a retry will not mend.
const HOPELESS: u32 = 8;

/// The longest text of why code cannot be made, in bytes.
const TEXT_BYTES: usize = 4096;

/// A release whose code is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is settled by.
    pub number: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which release.
    pub release: ReleaseId,
    /// The name of the app that it was made ready for.
    pub name: AppName,
    /// Whether it was served from the beginning by code that only stands in for this.
    pub is_behind: bool,
}

/// What came of making code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making<'a> {
    /// It is there.
    Done {
        /// How long that took, in milliseconds.
        took_ms: u64,
    },
    /// It could not be made, for this reason.
    Failed(&'a str),
    /// The same, and what is made is the reason: it is not tried again soon.
    Hopeless(&'a str),
}

/// What became of code that was asked for.
struct Settled {
    at_ms: i64,
    error: Option<String>,
    failures: u32,
}

impl Settled {
    /// Whether it may be asked for again. A clock that was set back keeps nothing waiting.
    fn is_over(&self, now_ms: i64) -> bool {
        let pause = match self.failures {
            0 => AGAIN,
            failures => {
                let doubled = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
            }
        };
        let until_ms = self.at_ms.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(0));
        !(self.at_ms..until_ms).contains(&now_ms)
    }
}

impl Store {
    /// Asks for the code of an app's release: what [`ArtifactStore::want`] does.
    ///
    /// [`ArtifactStore::want`]: dayfly_model::platform::ArtifactStore::want
    pub(crate) fn want_release(&self, id: &AppId, digest: &ReleaseId) -> Result<Option<String>> {
        // Most who ask wait for what was asked for before: they only read.
        let number = |db: &Transaction<'_>| -> Result<i64> {
            Ok(release(db, app(db, id)?.number, digest)?.number)
        };
        let asked = self.read(|db| asked(db, number(db)?))?;
        match asked {
            Some(None) => return Ok(None),
            Some(Some(settled)) if !settled.is_over(now_ms()) => return Ok(settled.error),
            _ => {}
        }
        self.write(|db| ask_for(db, number(db)?))?;
        self.ring();
        Ok(None)
    }

    /// Of each tenant's releases whose code is to be made, that which was asked for first, those that have
    /// traffic before others.
    ///
    /// # Errors
    /// If the store fails.
    pub fn wanted(&self) -> Result<Vec<Wanted>> {
        self.read(|db| {
            // Of rows in one group SQLite shows the one that has the least.
            let mut all = db.prepare_cached(
                "SELECT releases.id, tenants.name, releases.digest,
                   min(asked_ms + iif(releases.id IN (SELECT release FROM shares), 0, ?1)), prepared,
                   (SELECT it.name FROM releases AS same JOIN apps AS it ON it.number = same.app
                    WHERE same.digest = releases.digest ORDER BY same.id LIMIT 1)
                 FROM wanted JOIN releases ON releases.id = wanted.release
                 JOIN apps ON apps.number = releases.app JOIN tenants ON tenants.id = apps.tenant
                 WHERE settled_ms IS NULL GROUP BY tenants.id ORDER BY asked_ms",
            )?;
            let rows = all.query_and_then([BEHIND_MS], |row| -> Result<Wanted> {
                Ok(Wanted {
                    number: row.get(0)?,
                    tenant: parsed(row.get(1)?)?,
                    release: parsed(row.get(2)?)?,
                    is_behind: to_follow(&row.get::<_, String>(4)?)?.is_some(),
                    name: parsed(row.get(5)?)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Says that code was made, or why it could not be; whether a release is optimised by that which was
    /// served by other code before. Of a release that is gone nothing is said.
    ///
    /// # Errors
    /// If the store fails.
    pub fn settle_wanted(&self, wanted: &Wanted, came: Making<'_>) -> Result<bool> {
        let (error, failures) = match came {
            Making::Done { .. } => (None, 0),
            Making::Failed(text) => (Some(text), 1),
            Making::Hopeless(text) => (Some(text), HOPELESS),
        };
        let error = error.map(|text| &text[..text.floor_char_boundary(TEXT_BYTES)]);
        self.write(|db| {
            db.execute(
                "UPDATE wanted SET settled_ms = ?2, error = ?3,
                   failures = iif(?3 IS NULL, 0, failures + ?4)
                 WHERE release = ?1",
                params![wanted.number, now_ms(), error, failures],
            )?;
            match came {
                Making::Done { took_ms } => optimised(db, wanted.number, took_ms),
                _ => Ok(false),
            }
        })
    }

    /// Forgets what became of code that was asked for: another program, or one with other bounds, may make
    /// what could not be made.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_settled(&self) -> Result<()> {
        self.write(|db| {
            db.execute("DELETE FROM wanted WHERE settled_ms NOT NULL", [])?;
            Ok(())
        })
    }
}

/// Has a release's code made.
pub(crate) fn ask_for(db: &Transaction<'_>, number: i64) -> Result<()> {
    db.execute(
        "INSERT INTO wanted VALUES (?1, ?2, NULL, NULL, 0)
         ON CONFLICT DO UPDATE SET asked_ms = excluded.asked_ms, settled_ms = NULL, error = NULL",
        params![number, now_ms()],
    )?;
    Ok(())
}

/// Notes when the first code of a release was followed by better code; whether it was now.
fn optimised(db: &Transaction<'_>, number: i64, took_ms: u64) -> Result<bool> {
    let find = "SELECT prepared FROM releases WHERE id = ?1";
    let found = db.query_row(find, [number], |row| row.get(0)).optional()?;
    let Some(text): Option<String> = found else { return Ok(false) };
    let Some(prepared) = to_follow(&text)? else { return Ok(false) };
    let prepared = Prepared { optimised_ms: Some(took_ms), ..prepared };
    let change = "UPDATE releases SET prepared = ?2 WHERE id = ?1";
    db.execute(change, params![number, json(&prepared)?])?;
    Ok(true)
}

/// What making a release ready came to, if better code is yet to follow its first.
fn to_follow(text: &str) -> Result<Option<Prepared>> {
    let prepared: Prepared = serde_json::from_str(text).map_err(StoreError::record)?;
    Ok(Some(prepared).filter(|it| it.baseline && it.optimised_ms.is_none()))
}

/// Whether a release was asked for, and what became of that.
fn asked(db: &Transaction<'_>, number: i64) -> Result<Option<Option<Settled>>> {
    let mut find =
        db.prepare_cached("SELECT settled_ms, error, failures FROM wanted WHERE release = ?1")?;
    let found = find.query_row([number], |row| {
        let (at_ms, error, failures): (Option<i64>, _, _) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(at_ms.map(|at_ms| Settled { at_ms, error, failures }))
    });
    Ok(found.optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_made_is_asked_for_less_and_less_often() {
        let is_over = |failures, after_s: i64| {
            let settled = Settled { at_ms: 7_000, error: None, failures };
            settled.is_over(7_000 + after_s * 1000)
        };
        for (failures, pause_s) in [(0, 10), (1, 30), (2, 60), (4, 240), (8, 3600), (200, 3600)] {
            assert!(!is_over(failures, pause_s - 1), "{failures}");
            assert!(is_over(failures, pause_s), "{failures}");
        }
        // A clock that was set back.
        assert!(is_over(200, -1));
    }
}
