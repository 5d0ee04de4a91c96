//! Tokens: what a client sends, of which only a hash is kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dayfly_model::platform::TenantId;
use rusqlite::{OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::audit::{Actor, Change};
use crate::key::random;
use crate::tenants::{parsed, tenant};
use crate::{Result, Store, StoreError, Transaction, now_ms};

/// How much later than it is noted to be a token was used last, at most.
const USED_WITHIN_MS: i64 = 60_000;

/// How many tokens the operator may have.
const OPERATORS: u64 = 1000;

const PREFIX: &str = "dayfly_";

/// What a token allows. Each allows what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenScope {
    /// To see.
    Read,
    /// To change apps.
    Deploy,
    /// Everything.
    Admin,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// What it is called by.
    pub id: String,
    /// Whose it is; nothing if it is the operator's.
    pub tenant: Option<TenantId>,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub scope: TokenScope,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it expires.
    pub expires_ms: Option<i64>,
    /// When it was used last, to the minute.
    pub used_ms: Option<i64>,
}

/// What a client sends: `dayfly_`, the token's id, `_`, and 32 random bytes in base64.
pub struct TokenText(String);

const COLUMNS: &str = "SELECT tokens.id, tenants.name, tokens.name, scope, tokens.created_ms,
    expires_ms, used_ms, hash FROM tokens LEFT JOIN tenants ON tenants.id = tokens.tenant";

impl Store {
    /// Makes a token of a tenant's; without one, of the operator's.
    ///
    /// # Errors
    /// If there is no such tenant, or it has too many, or the store fails.
    pub fn make_token(
        &self,
        by: &Actor,
        owner: Option<&TenantId>,
        name: &str,
        scope: TokenScope,
        expires_ms: Option<i64>,
    ) -> Result<(Token, TokenText)> {
        let (id, text) = TokenText::random()?;
        let made = self.write(|db| {
            let owner = owner.map(|owner| tenant(db, owner)).transpose()?;
            let tenant = owner.as_ref().map(|it| it.id);
            let limit = owner.as_ref().map_or(OPERATORS, |it| it.quotas.tokens.into());
            let count: u64 =
                db.query_row("SELECT count(*) FROM tokens WHERE tenant IS ?1", [tenant], |row| {
                    row.get(0)
                })?;
            if count >= limit {
                return Err(StoreError::Quota { quota: "tokens", limit, needed: count + 1 });
            }
            db.execute(
                "INSERT INTO tokens (id, tenant, name, scope, hash, created_ms, expires_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![id, tenant, name, scope.as_str(), text.hash(), now_ms(), expires_ms],
            )?;
            let detail = Some(format!("{} ({name})", scope.as_str()));
            by.did(db, change(owner.as_ref().map(|it| &it.name), "token.make", &id, detail))?;
            find(db, &id)?.ok_or_else(|| StoreError::NotFound(format!("token `{id}`")))
        })?;
        Ok((made.0, text))
    }

    /// The token that a text is, if it is valid. Says with it whose it is.
    ///
    /// # Errors
    /// If the store fails.
    pub fn authenticate(&self, text: &TokenText) -> Result<Option<Token>> {
        let Some(id) = text.id() else { return Ok(None) };
        let Some((token, hash)) = self.read(|db| find(db, id))? else { return Ok(None) };
        let now = now_ms();
        let is_right = bool::from(hash.ct_eq(&text.hash()));
        if !is_right || token.expires_ms.is_some_and(|expires| expires <= now) {
            return Ok(None);
        }
        if token.used_ms.is_none_or(|used| now - used > USED_WITHIN_MS || used > now) {
            let note = |db: &Transaction<'_>| {
                db.execute("UPDATE tokens SET used_ms = ?2 WHERE id = ?1", params![id, now])?;
                Ok(())
            };
            // Whoever may ask is answered although the disk is full.
            if let Err(error) = self.write(note) {
                tracing::warn!(%error, "the use of a token could not be noted");
            }
        }
        Ok(Some(token))
    }

    /// Whether a token that was [authenticated](Self::authenticate) is valid still.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_token_valid(&self, id: &str) -> Result<bool> {
        let found = self.read(|db| find(db, id))?;
        Ok(found.is_some_and(|(token, _)| token.expires_ms.is_none_or(|it| it > now_ms())))
    }

    /// The tokens of a tenant, or of the operator, by id, those behind one.
    ///
    /// # Errors
    /// If there is no such tenant, or the store fails.
    pub fn tokens(
        &self,
        owner: Option<&TenantId>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Token>> {
        self.read(|db| {
            let owner = owner.map(|owner| tenant(db, owner)).transpose()?.map(|it| it.id);
            let mut all = db.prepare_cached(&format!(
                "{COLUMNS} WHERE tenant IS ?1 AND tokens.id > ?2 ORDER BY tokens.id LIMIT ?3"
            ))?;
            let rows = all.query_and_then(params![owner, after.unwrap_or(""), limit], of_row)?;
            rows.map(|row| row.map(|(token, _)| token)).collect()
        })
    }

    /// Revokes a token of a tenant's, or of the operator's.
    ///
    /// # Errors
    /// If there is none, or it is the last by which the operator can do everything, or the store fails.
    pub fn remove_token(&self, by: &Actor, owner: Option<&TenantId>, id: &str) -> Result<()> {
        self.write(|db| {
            let found = find(db, id)?.map(|(token, _)| token);
            let found = found.filter(|token| token.tenant.as_ref() == owner);
            found.ok_or_else(|| StoreError::NotFound(format!("token `{id}`")))?;
            db.execute("DELETE FROM tokens WHERE id = ?1", [id])?;
            if owner.is_none() && admins(db)? == 0 {
                let last = "it is the operator's last token that does not expire".to_owned();
                return Err(StoreError::InUse(last));
            }
            by.did(db, change(owner, "token.remove", id, None))
        })
    }

    /// Whether the operator has a token for everything that does not expire, and has used one; only the
    /// first, if that is `enough`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_operator(&self, enough: bool) -> Result<bool> {
        self.read(|db| {
            let used = "SELECT count(*) FROM tokens WHERE tenant IS NULL AND used_ms NOT NULL";
            let used: u64 = db.query_row(used, [], |row| row.get(0))?;
            Ok(admins(db)? > 0 && (enough || used > 0))
        })
    }
}

/// How many of the operator's tokens allow everything, for ever.
fn admins(db: &Transaction<'_>) -> Result<u64> {
    Ok(db.query_row(
        "SELECT count(*) FROM tokens
         WHERE tenant IS NULL AND scope = 'admin' AND expires_ms IS NULL",
        [],
        |row| row.get(0),
    )?)
}

fn find(db: &Transaction<'_>, id: &str) -> Result<Option<(Token, Vec<u8>)>> {
    let mut find = db.prepare_cached(&format!("{COLUMNS} WHERE tokens.id = ?1"))?;
    find.query_row([id], |row| Ok(of_row(row))).optional()?.transpose()
}

fn of_row(row: &Row<'_>) -> Result<(Token, Vec<u8>)> {
    let (tenant, scope): (Option<String>, String) = (row.get(1)?, row.get(3)?);
    let token = Token {
        id: row.get(0)?,
        tenant: tenant.map(parsed).transpose()?,
        name: row.get(2)?,
        scope: TokenScope::parse(&scope).ok_or_else(|| StoreError::record(scope))?,
        created_ms: row.get(4)?,
        expires_ms: row.get(5)?,
        used_ms: row.get(6)?,
    };
    Ok((token, row.get(7)?))
}

fn change<'a>(
    owner: Option<&'a TenantId>,
    action: &'static str,
    id: &'a str,
    detail: Option<String>,
) -> Change<'a> {
    Change { tenant: owner.map(TenantId::as_str), action, object: id, detail }
}

impl TokenScope {
    const ALL: [Self; 3] = [Self::Read, Self::Deploy, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

impl TokenText {
    /// A text that a client sent.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for whoever is to use it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn random() -> Result<(String, Self)> {
        let id: String = random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut secret = random::<32>()?;
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret));
        secret.zeroize();
        let text = format!("{PREFIX}{id}_{}", *text);
        Ok((id, Self(text)))
    }

    /// The id in it.
    fn id(&self) -> Option<&str> {
        let (id, secret) = self.0.strip_prefix(PREFIX)?.split_once('_')?;
        (id.len() == 16 && secret.len() == 43).then_some(id)
    }

    /// Its hash. 256 random bits cannot be guessed from it, however fast it is made.
    fn hash(&self) -> Vec<u8> {
        Sha256::digest(&self.0).to_vec()
    }
}

impl Drop for TokenText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
