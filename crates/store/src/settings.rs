//! What apps are told: plain values, and secrets, which are encrypted.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_model::platform::{AppId, Generation, Setting, SettingName};
use dayfly_model::runtime_config::Secret;
use rusqlite::params;

use crate::activations::{Active, active, changed, is_expected};
use crate::apps::{app, change};
use crate::audit::Actor;
use crate::previews::{live, teller};
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 10;

/// A setting as it is shown.
#[derive(Debug, Clone)]
pub struct SettingView {
    /// Its name.
    pub name: SettingName,
    /// Its value; nothing of a secret.
    pub value: Option<String>,
    /// When it was set, in milliseconds since 1970.
    pub set_ms: i64,
}

impl Store {
    /// Sets and takes away, all of it at once.
    ///
    /// # Errors
    /// If the app is not at the generation that is stated, a value is too long, there would be too many, there is no such app, or the store fails.
    pub fn change_settings(
        &self,
        by: &Actor,
        id: &AppId,
        set: &BTreeMap<SettingName, Setting>,
        unset: &BTreeSet<SettingName>,
        expected: Option<Generation>,
    ) -> Result<Active> {
        if let Some((name, _)) = set.iter().find(|(_, it)| it.value.0.len() > MAX_VALUE_BYTES) {
            let most = MAX_VALUE_BYTES >> 10;
            return Err(StoreError::Invalid(format!("`{name}` is longer than {most} KiB")));
        }
        self.write(|db| {
            let app = live(db, id)?;
            is_expected(&app, expected)?;
            let number = app.number;
            for name in unset {
                db.execute(
                    "DELETE FROM settings WHERE app = ?1 AND name = ?2",
                    params![number, name.as_str()],
                )?;
            }
            for (name, setting) in set {
                let text = setting.value.0.as_bytes();
                let value = match setting.is_secret {
                    true => self.key.seal(&place(number, name), text)?,
                    false => text.to_vec(),
                };
                db.execute(
                    "INSERT OR REPLACE INTO settings VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![number, name.as_str(), setting.is_secret, value, now_ms()],
                )?;
            }
            let limit = u64::from(tenant(db, &id.tenant)?.quotas.settings);
            let needed: u64 =
                db.query_row("SELECT count(*) FROM settings WHERE app = ?1", [number], |row| {
                    row.get(0)
                })?;
            if needed > limit && !set.is_empty() {
                return Err(StoreError::Quota { quota: "settings", limit, needed });
            }
            let names = set.keys().map(|name| format!("{name}=…"));
            let names: Vec<_> = names.chain(unset.iter().map(|name| format!("-{name}"))).collect();
            by.did(db, change(id, "app.settings", Some(names.join(" "))))?;
            changed(db, number)?;
            // Previews are told the same.
            db.execute(
                "UPDATE apps SET generation = (SELECT generation FROM clock) WHERE parent = ?1",
                [number],
            )?;
            active(db, number)
        })
    }

    /// An app's settings by name, those behind one.
    ///
    /// # Errors
    /// If there is no such app, or the store fails.
    pub fn settings(
        &self,
        id: &AppId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SettingView>> {
        self.read(|db| {
            let mut all = db.prepare_cached(
                "SELECT name, CASE WHEN is_secret THEN NULL ELSE value END, set_ms FROM settings
                 WHERE app = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
            )?;
            let number = teller(db, app(db, id)?.number)?;
            let rows = all.query_and_then(params![number, after.unwrap_or(""), limit], |row| {
                let value: Option<Vec<u8>> = row.get(1)?;
                let value = value.map(|value| text(value, "setting")).transpose()?;
                Ok(SettingView { name: parsed(row.get(0)?)?, value, set_ms: row.get(2)? })
            })?;
            rows.collect()
        })
    }

    /// All settings of an app with their values, as the node needs them.
    pub(crate) fn told(
        &self,
        db: &Transaction<'_>,
        number: i64,
    ) -> Result<BTreeMap<SettingName, Setting>> {
        let mut all =
            db.prepare_cached("SELECT name, is_secret, value FROM settings WHERE app = ?1")?;
        let rows = all.query_and_then([number], |row| {
            let (name, is_secret): (SettingName, bool) = (parsed(row.get(0)?)?, row.get(1)?);
            let mut value: Vec<u8> = row.get(2)?;
            if is_secret {
                value = self.key.open(&place(number, &name), &value)?.to_vec();
            }
            let value = Secret(text(value, name.as_str())?);
            Ok((name, Setting { value, is_secret }))
        })?;
        rows.collect()
    }
}

fn text(value: Vec<u8>, name: &str) -> Result<String> {
    // The value itself is in no error.
    String::from_utf8(value).map_err(|_| StoreError::record(format!("`{name}` is no text")))
}

/// What a secret is bound to, so that no other record can take its place.
fn place(number: i64, name: &SettingName) -> String {
    format!("setting {number} {name}")
}
