//! What is active of an app: changed as one transaction, and never half.

use dayfly_model::platform::{AppId, Generation, Grants, ReleaseId};
use rusqlite::{OptionalExtension as _, params};

use crate::apps::{App, app, change};
use crate::audit::Actor;
use crate::previews::live;
use crate::releases::{Offer, Release, look_at, release};
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// What is active of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Of the latest change.
    pub generation: Generation,
    /// Releases with their percents, the one with most first; of two halves, the one that had most
    /// before.
    pub shares: Vec<Shared>,
    /// When those were changed last, in milliseconds since 1970.
    pub activated_ms: Option<i64>,
    /// How far the node is.
    pub serving: Serving,
}

/// A release's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The release.
    pub release: ReleaseId,
    /// Of a hundred requests, so many.
    pub percent: u8,
}

/// How far a node is with the latest generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// It has not said anything of it.
    Pending,
    /// It serves it.
    Yes,
    /// It cannot, for this reason.
    Failed(String),
}

impl Store {
    /// Gives a release a share of an app's traffic, and the rest to the one that has most of it now.
    /// Where that is so already, only the path that is looked at may change.
    ///
    /// # Errors
    /// If the app is not at the generation that is stated, the release is none of its own, it asks for
    /// more than the active one and that is not accepted, its path is none, or the store fails; then
    /// nothing changes.
    pub fn activate(
        &self,
        by: &Actor,
        id: &AppId,
        offer: &Offer<'_>,
        percent: u8,
        expected: Option<Generation>,
    ) -> Result<Active> {
        self.write(|db| {
            let app = live(db, id)?;
            is_expected(&app, expected)?;
            let new = release(db, app.number, offer.release)?;
            let shares = shared(&app.active, offer.release, percent)?;
            let is_new = shares != app.active.shares;
            if is_new {
                allowed(db, &app, &new, offer.accept)?;
            }
            let looked_at = look_at(db, &new, offer.health_path)?;
            if !is_new && !looked_at {
                return Ok(app.active);
            }
            let detail = format!("{} {percent}%", offer.release);
            by.did(db, change(id, "app.activate", Some(described(detail, offer, looked_at))))?;
            if is_new { set(db, &app, &shares) } else { Ok(app.active) }
        })
    }

    /// Gives all of an app's traffic to a release that had most of it before: the one that is named,
    /// or the last one that was served. `failed` says that the one which has most of it now did not do.
    ///
    /// # Errors
    /// If the app is not at the generation that is stated, there is no such release, or the store
    /// fails.
    pub fn roll_back(
        &self,
        by: &Actor,
        id: &AppId,
        to: Option<&ReleaseId>,
        failed: bool,
        expected: Option<Generation>,
    ) -> Result<Active> {
        self.write(|db| {
            let app = live(db, id)?;
            is_expected(&app, expected)?;
            let current = app.active.shares.first().map(|share| share.release.as_str());
            let found = db.query_row(
                "SELECT digest FROM history JOIN releases ON releases.id = release
                 WHERE history.app = ?1 AND CASE WHEN ?2 IS NULL
                   THEN digest IS NOT ?3 AND outcome < 2 ELSE digest = ?2 END
                 ORDER BY history.id DESC LIMIT 1",
                params![app.number, to.map(ReleaseId::as_str), current],
                |row| row.get::<_, String>(0),
            );
            let found: ReleaseId = match (found.optional()?, to) {
                (Some(found), _) => parsed(found)?,
                (None, Some(to)) => {
                    return Err(StoreError::NotFound(format!(
                        "release `{to}` that was active before"
                    )));
                }
                (None, None) => {
                    return Err(StoreError::NotFound("release that was active before".to_owned()));
                }
            };
            if failed && current != Some(found.as_str()) {
                outcome(db, app.number, FAILED)?;
            }
            let shares = shared(&app.active, &found, 100)?;
            if shares == app.active.shares {
                return Ok(app.active);
            }
            by.did(db, change(id, "app.rollback", Some(found.to_string())))?;
            set(db, &app, &shares)
        })
    }

    /// What a release asks for beyond the active one, and which that is.
    ///
    /// # Errors
    /// If there is no such app or release, or the store fails.
    pub fn difference(
        &self,
        id: &AppId,
        digest: &ReleaseId,
    ) -> Result<(Option<ReleaseId>, Vec<dayfly_model::platform::Ask>)> {
        self.read(|db| {
            let app = app(db, id)?;
            let new = release(db, app.number, digest)?;
            let before = granted(db, &app)?;
            let asks = before.map_or_else(Vec::new, |before| new.grants.beyond(&before));
            Ok((app.active.shares.first().map(|share| share.release.clone()), asks))
        })
    }
}

/// Whether a release may be served as far as its app's grants go: it asks for no more than the one that has
/// most of the traffic, unless that is accepted.
pub(crate) fn allowed(db: &Transaction<'_>, app: &App, new: &Release, accept: bool) -> Result<()> {
    if accept || tenant(db, &app.id.tenant)?.accepts_grants {
        return Ok(());
    }
    let Some(before) = granted(db, app)? else { return Ok(()) };
    let asks = new.grants.beyond(&before);
    if asks.is_empty() { Ok(()) } else { Err(StoreError::Grants(asks)) }
}

/// What the log of changes says of a release that is served, with the path if that is stated anew.
pub(crate) fn described(detail: String, offer: &Offer<'_>, looked_at: bool) -> String {
    match offer.health_path.filter(|_| looked_at) {
        Some(path) => format!("{detail}, once `{path}` answers well"),
        None => detail,
    }
}

/// The shares where a release gets all of the traffic.
pub(crate) fn whole(digest: &ReleaseId) -> Vec<Shared> {
    vec![Shared { release: digest.clone(), percent: 100 }]
}

/// What came of a release that came to have most of the traffic.
const UNKNOWN: u8 = 0;
const SERVED: u8 = 1;
const FAILED: u8 = 2;

/// Notes whether what has most of an app's traffic is served. What was served once was.
pub(crate) fn noted(db: &Transaction<'_>, number: i64, is_served: bool) -> Result<()> {
    if is_served {
        return outcome(db, number, SERVED);
    }
    db.execute(
        "UPDATE history SET outcome = ?2 WHERE outcome = ?3
           AND id = (SELECT max(id) FROM history WHERE app = ?1)",
        params![number, FAILED, UNKNOWN],
    )?;
    Ok(())
}

fn outcome(db: &Transaction<'_>, number: i64, outcome: u8) -> Result<()> {
    db.execute(
        "UPDATE history SET outcome = ?2 WHERE id = (SELECT max(id) FROM history WHERE app = ?1)",
        params![number, outcome],
    )?;
    Ok(())
}

/// The next generation of the whole platform.
pub(crate) fn next_generation(db: &Transaction<'_>) -> Result<u64> {
    db.note_change();
    let next = "UPDATE clock SET generation = generation + 1 RETURNING generation";
    Ok(db.query_row(next, [], |row| row.get(0))?)
}

/// Has an app be at a new generation.
pub(crate) fn changed(db: &Transaction<'_>, number: i64) -> Result<()> {
    let generation = next_generation(db)?;
    db.execute("UPDATE apps SET generation = ?2 WHERE number = ?1", params![number, generation])?;
    Ok(())
}

/// What is active of an app.
pub(crate) fn active(db: &Transaction<'_>, number: i64) -> Result<Active> {
    let mut find = db.prepare_cached(
        "SELECT generation, activated_ms, noted_generation, noted_error
         FROM apps WHERE number = ?1",
    )?;
    let (generation, activated_ms, noted, error) = find.query_row([number], |row| {
        let noted: (Option<u64>, Option<String>) = (row.get(2)?, row.get(3)?);
        Ok((row.get::<_, u64>(0)?, row.get(1)?, noted.0, noted.1))
    })?;
    let serving = match (noted == Some(generation), error) {
        (false, _) => Serving::Pending,
        (true, None) => Serving::Yes,
        (true, Some(error)) => Serving::Failed(error),
    };
    let mut all = db.prepare_cached(
        "SELECT digest, percent FROM shares JOIN releases ON releases.id = shares.release
         WHERE shares.app = ?1
         ORDER BY percent DESC, shares.release = (
           SELECT history.release FROM history WHERE history.app = ?1
           ORDER BY history.id DESC LIMIT 1) DESC",
    )?;
    let shares = all.query_and_then([number], |row| -> Result<Shared> {
        Ok(Shared { release: parsed(row.get(0)?)?, percent: row.get(1)? })
    })?;
    let shares = shares.collect::<Result<_>>()?;
    Ok(Active { generation: Generation(generation), shares, activated_ms, serving })
}

/// Whether an app is at the generation that somebody has seen who changes it.
pub(crate) fn is_expected(app: &App, expected: Option<Generation>) -> Result<()> {
    let actual = app.active.generation;
    match expected {
        Some(expected) if expected != actual => Err(StoreError::Changed { expected, actual }),
        _ => Ok(()),
    }
}

/// The shares where a release gets some percent and another one that is active the rest: the one with
/// most first, and of two halves the one that is first now, as [`active`] has them.
fn shared(active: &Active, digest: &ReleaseId, percent: u8) -> Result<Vec<Shared>> {
    let new = Shared { release: digest.clone(), percent };
    let is_first = active.shares.first().is_some_and(|share| share.release == *digest);
    let rest = active.shares.iter().find(|share| share.release != *digest);
    let mut shares = match (percent, rest) {
        (100, _) => vec![new],
        (1..100, Some(rest)) => vec![Shared { percent: 100 - percent, ..rest.clone() }, new],
        (1..100, None) => {
            let text = "nothing else is active that could have the rest of the traffic";
            return Err(StoreError::Invalid(text.to_owned()));
        }
        _ => return Err(StoreError::Invalid("a share is 1 to 100 percent".to_owned())),
    };
    if let [rest, new] = &mut *shares
        && (new.percent > rest.percent || new.percent == rest.percent && is_first)
    {
        std::mem::swap(rest, new);
    }
    Ok(shares)
}

/// What the release with most of the traffic asks for.
fn granted(db: &Transaction<'_>, app: &App) -> Result<Option<Grants>> {
    let most = app.active.shares.first();
    most.map(|most| Ok(release(db, app.number, &most.release)?.grants)).transpose()
}

/// Sets an app's shares. A release that comes to have most of the traffic has its line in the history,
/// whose last one is the first of the shares at all times.
pub(crate) fn set(db: &Transaction<'_>, app: &App, shares: &[Shared]) -> Result<Active> {
    let number = app.number;
    db.execute("DELETE FROM shares WHERE app = ?1", [number])?;
    for share in shares {
        let release = release(db, number, &share.release)?.number;
        db.execute(
            "INSERT INTO shares VALUES (?1, ?2, ?3)",
            params![number, release, share.percent],
        )?;
    }
    let most = |shares: &[Shared]| shares.first().map(|share| share.release.clone());
    if let Some(new) = most(shares).filter(|new| Some(new) != most(&app.active.shares).as_ref()) {
        let release = release(db, number, &new)?.number;
        db.execute(
            "INSERT INTO history (app, release, at_ms, outcome) VALUES (?1, ?2, ?3, ?4)",
            params![number, release, now_ms(), UNKNOWN],
        )?;
    }
    db.execute("UPDATE apps SET activated_ms = ?2 WHERE number = ?1", params![number, now_ms()])?;
    changed(db, number)?;
    active(db, number)
}
