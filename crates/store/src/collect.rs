//! Garbage: blobs that no release names, folders of releases and apps that are gone, and what was
//! left of uploads. What is young stays, because a release may be about to name it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use dayfly_model::platform::{BlobDigest, ReleaseId};
use rusqlite::{OptionalExtension as _, params};

use crate::blobs::entries;
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// How long a change is told of, and how many of one tenant's.
const CHANGES_MS: i64 = 400 * 24 * 3600 * 1000;
const CHANGES_EACH: u32 = 100_000;

/// How far the time that has passed for certain moves at once: a clock that is set forward for a while takes
/// no line away.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// By how much it moves at least.
const MINUTE_MS: i64 = 60 * 1000;

/// How many activations of an app are told of. The last one of each release stays: a rollback may go there.
const ACTIVATIONS_EACH: u32 = 1000;

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: u64,
    /// What they came to.
    pub bytes: u64,
    /// Folders of releases and of apps, and files of uploads that broke off.
    pub others: u64,
    /// Lines of the log of changes, and of what was active, that are too old or too many.
    pub lines: u64,
}

impl Store {
    /// Collects what nobody names and nobody has touched for so long. Nothing is done while another
    /// process does it, or copies.
    ///
    /// # Errors
    /// If the store fails.
    pub fn collect(&self, idle: Duration) -> Result<Collected> {
        let lock = self.files_lock()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Collected::default()),
            Err(TryLockError::Error(error)) => return Err(StoreError::io(self.folder())(error)),
        }
        let idle_ms = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
        self.forget_blobs(idle_ms)?;
        self.forget_laid_out(idle_ms)?;
        let mut collected = Collected { lines: self.forget_lines()?, ..Collected::default() };
        self.collect_blobs(idle, &mut collected)?;
        self.collect_releases(idle, &mut collected)?;
        self.collect_apps(idle_ms, &mut collected)?;
        for (_, path) in entries(&self.incoming())? {
            if is_idle(&path, idle) {
                remove(&path)?;
                collected.others += 1;
            }
        }
        self.keep_spare();
        Ok(collected)
    }

    /// The file that is locked by whoever takes files away, or relies on none going.
    pub(crate) fn files_lock(&self) -> Result<File> {
        let path = self.folder().join("files.lock");
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        file.map_err(StoreError::io(&path))
    }

    /// Forgets who has sent blobs that no release of theirs names.
    fn forget_blobs(&self, idle_ms: i64) -> Result<()> {
        self.write(|db| {
            db.execute(
                "DELETE FROM blobs WHERE touched_ms <= ?1 AND NOT EXISTS (
                   SELECT 1 FROM release_blobs
                   JOIN releases ON releases.id = release_blobs.release
                   JOIN apps ON apps.number = releases.app
                   WHERE release_blobs.digest = blobs.digest AND apps.tenant = blobs.tenant)",
                [now_ms() - idle_ms],
            )?;
            Ok(())
        })
    }

    /// Forgets what was laid out for tenants of which no release is left: its folder goes with it, unless
    /// it is another tenant's, too.
    fn forget_laid_out(&self, idle_ms: i64) -> Result<()> {
        self.write(|db| {
            db.execute(
                "DELETE FROM laid_out WHERE touched_ms <= ?1 AND NOT EXISTS (
                   SELECT 1 FROM releases JOIN apps ON apps.number = releases.app
                   WHERE releases.digest = laid_out.digest AND apps.tenant = laid_out.tenant)",
                [now_ms() - idle_ms],
            )?;
            Ok(())
        })
    }

    /// Forgets changes that are too old, and those of tenants and activations of apps that have too many.
    fn forget_lines(&self) -> Result<u64> {
        let mut lines = self.write(|db| {
            let passed_ms = passed(db, now_ms())?;
            Ok(db.execute("DELETE FROM audit WHERE at_ms <= ?1", [passed_ms - CHANGES_MS])?)
        })?;
        let tenants: Vec<String> = self.read(|db| {
            let mut many = db.prepare(
                "SELECT tenant FROM audit WHERE tenant NOT NULL GROUP BY tenant HAVING count(*) > ?1",
            )?;
            let rows = many.query_map([CHANGES_EACH], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        for tenant in tenants {
            lines += self.write(|db| {
                let deleted = db.execute(
                    "DELETE FROM audit WHERE tenant = ?1 AND id <= (
                       SELECT id FROM audit WHERE tenant = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                    params![tenant, CHANGES_EACH],
                )?;
                Ok(deleted)
            })?;
        }
        let apps: Vec<i64> = self.read(|db| {
            let mut many =
                db.prepare("SELECT app FROM history GROUP BY app HAVING count(*) > ?1")?;
            let rows = many.query_map([ACTIVATIONS_EACH], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        for app in apps {
            lines += self.write(|db| {
                let deleted = db.execute(
                    "DELETE FROM history WHERE app = ?1 AND id <= (
                       SELECT id FROM history WHERE app = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
                     AND id NOT IN (SELECT max(id) FROM history
                                    WHERE app = ?1 AND outcome < 2 GROUP BY release)",
                    params![app, ACTIVATIONS_EACH],
                )?;
                Ok(deleted)
            })?;
        }
        Ok(lines as u64)
    }

    fn collect_blobs(&self, idle: Duration, collected: &mut Collected) -> Result<()> {
        for (name, path) in entries(&self.folder().join("blobs/sha256"))? {
            let digest = format!("sha256:{name}").parse::<BlobDigest>().ok();
            let is_garbage = |db: &Transaction<'_>| -> Result<bool> {
                let is_known = match &digest {
                    Some(digest) => is_sent(db, digest)?,
                    None => false,
                };
                Ok(!is_known && is_idle(&path, idle))
            };
            if !self.read(is_garbage)? {
                continue;
            }
            // Once more where nobody keeps one at the same time: it may have come meanwhile.
            let removed = self.write(|db| {
                if !is_garbage(db)? {
                    return Ok(None);
                }
                let bytes = path.metadata().map_or(0, |it| it.len());
                remove(&path)?;
                Ok(Some(bytes))
            });
            if let Some(bytes) = removed? {
                collected.bytes += bytes;
                collected.blobs += 1;
            }
        }
        Ok(())
    }

    fn collect_releases(&self, idle: Duration, collected: &mut Collected) -> Result<()> {
        let mut all = entries(&self.folder().join("releases"))?;
        for tenant in self.own_folders()? {
            all.extend(entries(&tenant)?);
        }
        for (name, path) in all {
            let is_known = match format!("sha256:{name}").parse::<ReleaseId>() {
                Ok(digest) => self.is_release(&digest)?,
                Err(_) => false,
            };
            if !is_known && is_idle(&path, idle) {
                remove(&path)?;
                collected.others += 1;
            }
        }
        Ok(())
    }

    /// Removes what apps kept that were removed so long ago that no node serves them any more.
    fn collect_apps(&self, idle_ms: i64, collected: &mut Collected) -> Result<()> {
        let gone = self.read(|db| {
            let mut all = db.prepare("SELECT number FROM removed_apps WHERE removed_ms <= ?1")?;
            let rows = all.query_map([now_ms() - idle_ms], |row| row.get::<_, u64>(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })?;
        for number in gone {
            // Whose it was is not known any more.
            let all = self.folder().join("apps");
            let of_tenants = entries(&all)?.into_iter().filter(|(name, _)| name.starts_with('t'));
            let of_tenants = of_tenants.map(|(_, folder)| folder);
            for folder in of_tenants.chain([all]).map(|it| it.join(number.to_string())) {
                if folder.exists() {
                    remove(&folder)?;
                    collected.others += 1;
                }
            }
            self.write(|db| {
                db.execute("DELETE FROM removed_apps WHERE number = ?1", params![number])?;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn is_release(&self, digest: &ReleaseId) -> Result<bool> {
        match self.manifest(digest) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Notes that time has passed; up to when it has for certain.
fn passed(db: &Transaction<'_>, now_ms: i64) -> Result<i64> {
    let before: i64 = db.query_row("SELECT passed_ms FROM clock", [], |row| row.get(0))?;
    let passed_ms = match before {
        0 => now_ms,
        before => now_ms.min(before.saturating_add(DAY_MS)),
    };
    // Most who collect write nothing.
    if (passed_ms - before).abs() >= MINUTE_MS {
        db.execute("UPDATE clock SET passed_ms = ?1", [passed_ms])?;
    }
    Ok(passed_ms)
}

fn is_sent(db: &Transaction<'_>, digest: &BlobDigest) -> Result<bool> {
    let mut find = db.prepare_cached("SELECT 1 FROM blobs WHERE digest = ?1 LIMIT 1")?;
    let found = find.query_row([digest.as_str()], |_| Ok(()));
    Ok(found.optional()?.is_some())
}

fn is_idle(path: &Path, idle: Duration) -> bool {
    let changed = path.symlink_metadata().and_then(|it| it.modified());
    // Where the clock was set back, it is young.
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age >= idle))
}

fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata().map(|it| it.is_dir()) {
        Ok(true) => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use dayfly_model::platform::AppId;

    use super::*;
    use crate::{Actor, Key, Terms};

    #[test]
    fn a_clock_that_is_set_forward_takes_no_change_away() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::parse(&"07".repeat(32)).unwrap();
        let store = Store::open(&folder.path().join("state"), key).unwrap();
        let passed = |now_ms: i64| store.write(|db| passed(db, now_ms)).unwrap();
        let year_ms = 365 * DAY_MS;
        assert_eq!(passed(9 * year_ms), 9 * year_ms);
        // Set forward, it moves by a day each time; put right again, it is right at once.
        assert_eq!(passed(20 * year_ms), 9 * year_ms + DAY_MS);
        assert_eq!(passed(20 * year_ms), 9 * year_ms + 2 * DAY_MS);
        assert_eq!(passed(9 * year_ms + 7), 9 * year_ms + 7);
        assert_eq!(passed(8 * year_ms), 8 * year_ms);
    }

    #[test]
    fn what_is_told_of_changes_is_bounded_and_a_rollback_finds_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::parse(&"07".repeat(32)).unwrap();
        let store = Store::open(&folder.path().join("state"), key).unwrap();
        let by = Actor::default();
        let acme = AppId { tenant: "acme".parse().unwrap(), app: "shop".parse().unwrap() };
        store.make_tenant(&by, &acme.tenant, Terms::default()).unwrap();
        store.make_app(&by, &acme).unwrap();
        let count = |table: &str| -> u32 {
            let text = format!("SELECT count(*) FROM {table}");
            store.read(|db| Ok(db.query_row(&text, [], |row| row.get(0))?)).unwrap()
        };
        let before = count("audit");
        let to = |most: u32| {
            format!(
                "WITH RECURSIVE numbers (n) AS (
                   SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most})"
            )
        };
        let (few, activations, changes) = (to(2), to(ACTIVATIONS_EACH + 10), to(CHANGES_EACH + 10));
        let fill = format!(
            "INSERT INTO releases (id, app, digest, created_ms, created_by, bytes, version, grants,
                                   prepared, manifest)
               {few} SELECT n, 1, n, 0, '', 0, '', '', '', x'' FROM numbers;
             INSERT INTO history (app, release, at_ms, outcome)
               {activations} SELECT 1, iif(n = 1, 1, 2), 0, 1 FROM numbers;
             INSERT INTO audit (at_ms, tenant, action, object)
               {changes} SELECT {now}, 'acme', 'app.make', 'shop' FROM numbers;
             INSERT INTO audit (at_ms, action, object) VALUES (0, 'app.make', 'old');",
            now = now_ms(),
        );
        store.write(|db| Ok(db.execute_batch(&fill)?)).unwrap();
        let collected = store.collect(Duration::from_secs(3600)).unwrap();
        // The first activation is the last one of its release.
        assert_eq!(count("history"), ACTIVATIONS_EACH + 1);
        assert_eq!(count("audit"), CHANGES_EACH);
        // Those that this test began with are the oldest of its tenant.
        assert_eq!(collected.lines, 9 + 10 + u64::from(before) + 1);
        assert_eq!(store.collect(Duration::from_secs(3600)).unwrap().lines, 0);
    }
}
