//! Why the store does not do something.

use std::io;
use std::path::{Path, PathBuf};

use dayfly_model::platform::{
    Ask, BlobDigest, DomainName, DomainPattern, Generation, StoreFailure, TenantId,
};
use rusqlite::{ErrorCode, ffi};

/// What functions of the store give.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The store does not do something, or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error("there is no {0}")]
    NotFound(String),
    /// It is there already.
    #[error("{0} is taken")]
    Taken(String),
    /// It cannot go because of what it has.
    #[error("{0}")]
    InUse(String),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It is beyond a quota.
    #[error("the tenant may have {limit} of `{quota}`, and would have {needed}")]
    Quota {
        /// The quota's name.
        quota: &'static str,
        /// What the tenant may have.
        limit: u64,
        /// What it would have.
        needed: u64,
    },
    /// The tenant was not given the domain.
    #[error("tenant `{tenant}` was not given the domain `{domain}`: {}", listed(.given))]
    NotGiven {
        /// The tenant.
        tenant: TenantId,
        /// The domain.
        domain: DomainName,
        /// What it was given.
        given: Vec<DomainPattern>,
    },
    /// It changed since it was read.
    #[error("the app is at generation {}, not at {}", actual.0, expected.0)]
    Changed {
        /// The generation that was seen.
        expected: Generation,
        /// The generation that it has.
        actual: Generation,
    },
    /// It changed since it was read.
    #[error("{0} has changed since it was read")]
    Rewritten(String),
    /// A release asks for more than the active one.
    #[error("the release asks for more than the active one")]
    Grants(Vec<Ask>),
    /// Blobs that were not sent.
    #[error("{} blobs were not sent", .0.len())]
    Missing(Vec<BlobDigest>),
    /// What was sent is something else.
    #[error("its digest is `{actual}`, where `{expected}` was expected")]
    Digest {
        /// The digest that was stated.
        expected: BlobDigest,
        /// The digest that it has.
        actual: BlobDigest,
    },
    /// What was sent is longer than it may be.
    #[error("it is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// A key belongs to another request.
    #[error("the idempotency key came with another request before")]
    Idempotency,
    /// The database was written by a newer version.
    #[error("`{}` is of version {version}, and this Dayfly knows up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The latest version that is known.
        known: u32,
    },
    /// Another key encrypted what is there.
    #[error("the key is not the one that this platform's secrets were encrypted with")]
    Key,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// A file or folder cannot be used.
    #[error("failed to use `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error("the platform's database failed")]
    Database(#[source] rusqlite::Error),
    /// A record cannot be understood.
    #[error("a record of the platform's database cannot be understood: {0}")]
    Record(String),
}

/// How many of a tenant's domains an error names.
const GIVEN: usize = 8;

fn listed(domains: &[DomainPattern]) -> String {
    let shown: Vec<_> = domains.iter().take(GIVEN).map(|it| format!("`{it}`")).collect();
    match (domains.len(), domains.len().saturating_sub(GIVEN)) {
        (0, _) => "it was given none".to_owned(),
        (_, 0) => format!("it was given {}", shown.join(", ")),
        (_, more) => format!("it was given {} and {more} others", shown.join(", ")),
    }
}

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn record(error: impl std::fmt::Display) -> Self {
        Self::Record(error.to_string())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // The index of a log of what is written ahead is a file, for which there may be no room either.
        let lacks_room = |error: &ffi::Error| {
            error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
        };
        match error.sqlite_error() {
            Some(code) if lacks_room(code) => Self::Full,
            _ => Self::Database(error),
        }
    }
}

impl From<StoreError> for StoreFailure {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}
