//! What all requests share.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use axum::response::{IntoResponse as _, Response};
use dayfly_model::platform::{AppId, TenantId};
use dayfly_store::{Actor, Store, StoreError};
use tokio::task;

use crate::caller::Caller;
use crate::changes::Changes;
use crate::failure::{Failure, Result};
use crate::guesses::Guesses;
use crate::idempotency::Keep;
use crate::paces::Paces;
use crate::places::Places;
use crate::prepare::{Preparer, Workers};
use crate::serve::ControlConfig;

/// How many requests of tenants are answered at once, and how many of them of one tenant.
const REQUESTS: usize = 384;
const REQUESTS_EACH: usize = 96;

/// How many changes a tenant makes in a second, and how many may come at once: a crowd of deploys does.
const CHANGES: u32 = 100;
const CHANGES_AT_ONCE: u32 = 5000;

/// How many blobs are taken at once.
const UPLOADS: usize = 32;

/// How many of them of one tenant.
const UPLOADS_EACH: usize = 4;

/// How many read ends of logs or usage at once, and how many of them for one tenant.
const READS: usize = 8;
const READS_EACH: usize = 4;

/// How many follow logs, and how many of them for one tenant.
const FOLLOWERS: usize = 64;
const FOLLOWERS_EACH: usize = 8;

/// What requests share.
pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) preparer: Arc<dyn Preparer>,
    pub(crate) config: ControlConfig,
    pub(crate) workers: Workers,
    /// Requests of tenants.
    pub(crate) requests: Places,
    /// What of them changes something.
    pub(crate) changes: Paces,
    pub(crate) uploads: Places,
    /// Those who read much at once: ends of logs, usage.
    pub(crate) reads: Places,
    /// Those who follow logs.
    pub(crate) followers: Places,
    pub(crate) guesses: Mutex<Guesses>,
    /// Keys of requests that are under way.
    pub(crate) under_way: Mutex<HashSet<(String, String)>>,
    /// How many requests are being answered.
    pub(crate) running: AtomicUsize,
    /// Told to what is done without being asked.
    pub(crate) changed: Changes,
}

/// A handle on it.
pub(crate) type Shared = Arc<Inner>;

impl Inner {
    pub(crate) fn new(
        store: Arc<Store>,
        preparer: Arc<dyn Preparer>,
        config: ControlConfig,
    ) -> Shared {
        Arc::new(Self {
            store,
            preparer,
            workers: Workers::new(config.workers),
            config,
            requests: Places::new(REQUESTS_EACH, REQUESTS),
            changes: Paces::new(CHANGES, CHANGES_AT_ONCE),
            uploads: Places::new(UPLOADS_EACH, UPLOADS),
            reads: Places::new(READS_EACH, READS),
            followers: Places::new(FOLLOWERS_EACH, FOLLOWERS),
            guesses: Mutex::default(),
            under_way: Mutex::default(),
            running: AtomicUsize::new(0),
            changed: Changes::new(),
        })
    }

    /// Asks the store, on a thread that may wait for the disk.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> std::result::Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        let done = task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| Failure::internal(&error))?.map_err(Failure::from)
    }

    /// The same for a change that somebody makes, with what they are answered; once, if the request has a
    /// key, though whoever asked may leave meanwhile.
    pub(crate) async fn change<A: Keep + 'static>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&Store, &Actor) -> std::result::Result<A, StoreError> + Send + 'static,
    ) -> Result<Response> {
        let (by, once) = (caller.actor(), caller.once.clone());
        let kept = self.ask(move |store| {
            let change = |store: &Store| work(store, &by)?.keep();
            match once {
                Some(once) => once.change(store, change),
                None => change(store),
            }
        });
        let kept = kept.await?;
        self.changed.tell();
        Ok(kept.into_response())
    }

    /// Where an app is reached.
    pub(crate) fn host(&self, app: &AppId) -> String {
        app.host(&self.config.base_domain)
    }

    /// Whether a host is the platform's own to give.
    pub(crate) fn is_own(&self, host: &str) -> bool {
        let base = &self.config.base_domain;
        host == base || host.strip_suffix(&**base).is_some_and(|front| front.ends_with('.'))
    }

    /// Whether a tenant is there, for those who may see all.
    pub(crate) async fn is_tenant(&self, tenant: &TenantId) -> Result<()> {
        let tenant = tenant.clone();
        self.ask(move |store| store.tenant(&tenant)).await.map(drop)
    }
}
