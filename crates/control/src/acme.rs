//! Certificates by ACME (RFC 8555): each host that an app is served at has one, ordered when it comes and
//! again when a third of its lifetime is left. A challenge is put into the store, and the node answers
//! it (HTTP-01). The account is the operator's: so that no tenant uses it up, orders are bounded by
//! tenant, and what fails is tried again later and later.

mod order;
mod schedule;
mod transport;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dayfly_model::platform::{AppId, DomainName, TenantId};
use dayfly_store::HostState;
use instant_acme::{Account, AccountCredentials, NewAccount};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::clock::now_ms;
use crate::failure::{Failure, Result};
use crate::shared::Shared;
use order::OrderError;

/// How often is looked at most.
const PACE: Duration = Duration::from_secs(1);

/// How many times longer than looking is waited, so that many hosts cost little, and how long at most.
const REST: u32 = 20;
const MOST_REST: Duration = Duration::from_secs(5);

/// The longest time between two looks.
const LONGEST_MS: i64 = 60_000;

/// How many orders there are at once; of one tenant there is one.
const AT_ONCE: usize = 4;

/// How long an order may take.
const ORDER: Duration = Duration::from_secs(180);

/// Where certificates are ordered.
#[derive(Debug, Clone)]
pub struct AcmeConfig {
    /// The URL of the server's directory, by `https`.
    pub directory: String,
    /// Who is told when something is wrong with the account: `mailto:` and an address.
    pub contact: Vec<String>,
    /// Who has signed the server's own certificate, PEM; the machine's roots, unless stated.
    pub roots: Option<PathBuf>,
    /// Whether apps' own addresses below the platform's domain have certificates as well.
    pub own_hosts: bool,
}

/// A host that may need a certificate.
#[derive(Debug, Clone)]
struct Host {
    app: AppId,
    name: DomainName,
    /// Whether it is the app's own address.
    is_own: bool,
}

/// Orders certificates as long as the process runs.
pub(crate) async fn run(shared: Shared, config: AcmeConfig) {
    let mut changes = shared.changed.watch();
    let mut orders = Orders::new(shared, config);
    let (mut seen, mut due_ms) = (None, 0);
    loop {
        let generation = orders.generation().await;
        let looked = Instant::now();
        let has_ended = orders.has_ended();
        if generation != seen || now_ms() >= due_ms || has_ended {
            seen = generation;
            due_ms = match orders.look().await {
                Ok(due_ms) => due_ms,
                Err(failure) => {
                    let problem = failure.problem;
                    tracing::warn!(%problem, "certificates could not be looked after");
                    now_ms() + LONGEST_MS
                }
            };
        }
        let least = (looked.elapsed() * REST).clamp(PACE, MOST_REST);
        changes.rest(least, Some(due_ms)).await;
    }
}

/// The orders that are under way.
struct Orders {
    shared: Shared,
    config: AcmeConfig,
    account: Option<Account>,
    /// When the account is asked for again, if it could not be had.
    account_ms: i64,
    running: JoinSet<TenantId>,
    tenants: HashSet<TenantId>,
}

impl Orders {
    fn new(shared: Shared, config: AcmeConfig) -> Self {
        Self {
            shared,
            config,
            account: None,
            account_ms: 0,
            running: JoinSet::new(),
            tenants: HashSet::new(),
        }
    }

    async fn generation(&self) -> Option<dayfly_model::platform::Generation> {
        use dayfly_model::platform::ReleaseStore as _;
        let read = self.shared.ask(|store| Ok(store.generation().ok()));
        read.await.ok().flatten()
    }

    /// Whether an order has ended, so that another one may begin.
    fn has_ended(&mut self) -> bool {
        let mut has = false;
        while let Some(ended) = self.running.try_join_next() {
            has = true;
            match ended {
                Ok(tenant) => drop(self.tenants.remove(&tenant)),
                // Which one it was is not known; those that run are bounded in time.
                Err(_) => self.tenants.clear(),
            }
        }
        has
    }

    /// Begins what is due. When something is next, in milliseconds since 1970.
    async fn look(&mut self) -> Result<i64> {
        let now = now_ms();
        let mut next = now + LONGEST_MS;
        for host in self.hosts().await? {
            let name = host.name.clone();
            let state = self.shared.ask(move |store| store.host_state(&name)).await?;
            let Some(due) = schedule::due_ms(&host.name, &state) else { continue };
            if due > now {
                next = next.min(due);
                continue;
            }
            // Those that end wake this.
            if self.running.len() >= AT_ONCE || self.tenants.contains(&host.app.tenant) {
                continue;
            }
            if !schedule::has_room(&self.shared, &host.app.tenant, now).await? {
                continue;
            }
            let Some(account) = self.account(now).await else { return Ok(next) };
            self.begin(account, host, &state, now).await?;
        }
        Ok(next)
    }

    /// The hosts that certificates can be ordered for.
    async fn hosts(&self) -> Result<Vec<Host>> {
        let served = self.shared.ask(dayfly_store::Store::served_hosts).await?;
        let hosts = served.into_iter().filter_map(|served| {
            let is_own = served.domain.is_none();
            let name = match served.domain {
                Some(domain) => domain,
                None if self.config.own_hosts => self.shared.host(&served.app).parse().ok()?,
                None => return None,
            };
            Some(Host { app: served.app, name, is_own })
        });
        Ok(hosts.collect())
    }

    async fn begin(
        &mut self,
        account: Account,
        host: Host,
        state: &HostState,
        now: i64,
    ) -> Result<()> {
        let again = now + schedule::pause_ms(state.failures);
        let (tenant, name) = (host.app.tenant.clone(), host.name.clone());
        let begun = move |store: &dayfly_store::Store| store.begin_order(&tenant, &name, again);
        let number = self.shared.ask(begun).await?;
        let tenant = host.app.tenant.clone();
        self.tenants.insert(tenant.clone());
        let shared = self.shared.clone();
        self.running.spawn(async move {
            settle(&shared, &account, &host, number).await;
            tenant
        });
        Ok(())
    }

    /// The account, which is made the first time.
    async fn account(&mut self, now: i64) -> Option<Account> {
        if self.account.is_none() && now >= self.account_ms {
            match open(&self.shared, &self.config).await {
                Ok(account) => self.account = Some(account),
                Err(error) => {
                    self.account_ms = now + LONGEST_MS;
                    let directory = &self.config.directory;
                    tracing::warn!(directory, "the ACME server gives no account: {error}");
                }
            }
        }
        self.account.clone()
    }
}

/// Orders a certificate, and notes what came of it.
async fn settle(shared: &Shared, account: &Account, host: &Host, number: i64) {
    let ordered = timeout(ORDER, order::order(shared, account, host)).await;
    let ordered = ordered.unwrap_or(Err(OrderError::Late));
    let error = match ordered {
        Ok(()) => {
            tracing::info!(host = %host.name, app = %host.app, "a certificate was ordered");
            None
        }
        Err(error) => {
            let text = error.shown();
            tracing::warn!(host = %host.name, app = %host.app, "no certificate: {text}");
            Some(text)
        }
    };
    let noted = shared.ask(move |store| store.end_order(number, error.as_deref())).await;
    if let Err(Failure { problem, .. }) = noted {
        tracing::warn!(%problem, "what became of an order could not be noted");
    }
    // Another one may begin.
    shared.changed.tell();
}

/// The account that is kept for the directory, or a new one.
async fn open(
    shared: &Shared,
    config: &AcmeConfig,
) -> std::result::Result<Account, Box<dyn std::error::Error + Send + Sync>> {
    let builder = || -> std::result::Result<_, Box<dyn std::error::Error + Send + Sync>> {
        let transport = transport::Transport::new(config.roots.as_deref())?;
        Ok(Account::builder_with_http(Box::new(transport)))
    };
    let failed = |failure: Failure| failure.problem.to_string();
    let directory = config.directory.clone();
    let kept = shared.ask(move |store| store.acme_account(&directory)).await.map_err(failed)?;
    if let Some(kept) = kept {
        let credentials: AccountCredentials = serde_json::from_slice(&kept)?;
        return Ok(builder()?.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = config.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let made = builder()?.create(&new, config.directory.clone(), None).await?;
    let (account, credentials) = made;
    let text = Zeroizing::new(serde_json::to_vec(&credentials)?);
    let directory = config.directory.clone();
    let keep = move |store: &dayfly_store::Store| store.keep_acme_account(&directory, &text);
    shared.ask(keep).await.map_err(failed)?;
    Ok(account)
}
