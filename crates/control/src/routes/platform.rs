//! The platform itself.

use axum::extract::State;
use axum::response::IntoResponse;
use dayfly_api::{Problem, Whoami};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::answer::{self, Answer, ok};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::shared::Shared;

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "platform", security(()),
    responses((status = 200, description = "the description", content_type = "application/json")))]
pub(super) async fn describe() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], super::openapi())
}

/// Whether the control plane works.
#[utoipa::path(get, path = "/v1/health", tag = "platform", security(()),
    responses((status = 204, description = "it works"),
        (status = 503, description = "it does not", body = Problem)))]
pub(super) async fn health(State(shared): State<Shared>) -> Result<StatusCode> {
    shared.ask(dayfly_store::Store::check).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether apps are served: a node serves what is in the store.
#[utoipa::path(get, path = "/v1/ready", tag = "platform", security(()),
    responses((status = 204, description = "they are"),
        (status = 503, description = "they are not", body = Problem)))]
pub(super) async fn ready(State(shared): State<Shared>) -> Result<StatusCode> {
    let served = shared.ask(|store| store.check().map(|()| store.is_served()));
    match served.await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::unavailable("no node serves")),
    }
}

/// Whose token this is, and what it allows.
#[utoipa::path(get, path = "/v1/whoami", tag = "platform",
    responses((status = 200, description = "who asks", body = Whoami)))]
pub(super) async fn whoami(State(shared): State<Shared>, caller: Caller) -> Answer<Whoami> {
    ok(Whoami {
        tenant: caller.token.tenant.clone(),
        token: answer::token(caller.token),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        base_domain: shared.config.base_domain.clone(),
    })
}
