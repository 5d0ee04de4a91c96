//! Who asks, and what they may.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use dayfly_api::{Code, Scope};
use dayfly_model::platform::TenantId;
use dayfly_store::{Actor, Token, TokenScope, TokenText};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::failure::{Failure, Result};
use crate::idempotency::Once;
use crate::shared::Shared;

/// The address of a connection's client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who asks: someone with a valid token.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) token: Token,
    source: String,
    /// By which the same request is known again, if it bears a key.
    pub(crate) once: Option<Arc<Once>>,
}

/// What is told without a token.
const PUBLIC: [&str; 3] = ["/openapi.json", "/v1/health", "/v1/ready"];

/// Lets those pass who have a valid token, with who they are; and past a tenant's name in the path
/// only those who may see that tenant, before anything of the request is read. No tenant takes more than its
/// share of the answers that are under way, or changes more than so much a second.
pub(crate) async fn authenticate(
    State(shared): State<Shared>,
    path: RawPathParams,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    let mut place = None;
    if !PUBLIC.contains(&request.uri().path()) {
        let peer = request.extensions().get::<Peer>().copied();
        let Peer(address) = peer.ok_or_else(Failure::not_found)?;
        let caller = known(&shared, request.headers(), address).await?;
        for (_, tenant) in path.iter().filter(|(name, _)| *name == "tenant") {
            caller.sees(&tenant.parse().map_err(|_| Failure::not_found())?)?;
        }
        if let Some(tenant) = &caller.token.tenant {
            place = Some(shared.requests.take(tenant, "requests are answered")?);
            if !request.method().is_safe() {
                shared.changes.one(tenant, Instant::now())?;
            }
        }
        request.extensions_mut().insert(caller);
    }
    let response = next.run(request).await;
    drop(place);
    Ok(response)
}

async fn known(shared: &Shared, headers: &HeaderMap, address: SocketAddr) -> Result<Caller> {
    let text = bearer(headers).ok_or_else(|| {
        Failure::new(Code::Unauthenticated, "the request has no `Authorization: Bearer` token")
    })?;
    let found = shared.ask(move |store| store.authenticate(&text)).await?;
    // A valid token passes whatever else its address sent: others may share that.
    let token = found.ok_or_else(|| wrong(shared, address.ip()))?;
    let source = address.ip().to_canonical().to_string();
    Ok(Caller { token, source, once: None })
}

/// What a wrong token is answered; it is noted where its address may still send some.
fn wrong(shared: &Shared, address: IpAddr) -> Failure {
    let mut guesses = shared.guesses.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if let Some(wait) = guesses.wait(address, now) {
        let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        return Failure::limited("too many wrong tokens came from this address", seconds);
    }
    guesses.wrong(address, now);
    Failure::new(Code::Unauthenticated, "the token is not valid, or has expired")
}

fn bearer(headers: &HeaderMap) -> Option<TokenText> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    // Of two, nobody knows which one counts.
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| TokenText::new(token.trim()))
}

impl Caller {
    /// Whether they may do what the scope allows, of a tenant's. Another's is not there for them.
    pub(crate) fn of(&self, tenant: &TenantId, scope: Scope) -> Result<()> {
        self.sees(tenant)?;
        self.has(scope)
    }

    fn sees(&self, tenant: &TenantId) -> Result<()> {
        match &self.token.tenant {
            Some(own) if own != tenant => Err(Failure::not_found()),
            _ => Ok(()),
        }
    }

    /// Whether they may do what the scope allows, of the whole platform's.
    pub(crate) fn operator(&self, scope: Scope) -> Result<()> {
        match &self.token.tenant {
            Some(_) => Err(Failure::not_found()),
            None => self.has(scope),
        }
    }

    /// Whether they are of the whole platform's.
    pub(crate) fn is_operator(&self) -> bool {
        self.token.tenant.is_none()
    }

    fn has(&self, scope: Scope) -> Result<()> {
        let own = self.scope();
        if own >= scope {
            return Ok(());
        }
        let text = format!("this needs a token with scope `{scope}`, and this one has `{own}`");
        Err(Failure::new(Code::Forbidden, text))
    }

    pub(crate) fn scope(&self) -> Scope {
        scope_of(self.token.scope)
    }

    pub(crate) fn actor(&self) -> Actor {
        Actor {
            token: Some(self.token.id.clone()),
            name: Some(self.token.name.clone()),
            source: Some(self.source.clone()),
        }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::not_found)
    }
}

/// A scope as the API has it.
pub(crate) fn scope_of(scope: TokenScope) -> Scope {
    match scope {
        TokenScope::Read => Scope::Read,
        TokenScope::Deploy => Scope::Deploy,
        TokenScope::Admin => Scope::Admin,
    }
}

/// A scope as the store has it.
pub(crate) fn stored(scope: Scope) -> TokenScope {
    match scope {
        Scope::Read => TokenScope::Read,
        Scope::Deploy => TokenScope::Deploy,
        Scope::Admin => TokenScope::Admin,
    }
}
