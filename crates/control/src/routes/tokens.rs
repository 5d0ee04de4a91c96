//! Tokens: a tenant's, and the operator's own.

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{Code, MadeToken, NewToken, Page, PageQuery, Problem, Scope, TenantId, Token};
use dayfly_store::{Actor, Store};

use crate::answer::{self, Answer, gone, made, page};
use crate::body::Json;
use crate::caller::{Caller, stored};
use crate::clock::now_ms;
use crate::failure::{Failure, Result};
use crate::path::{Path, Wanted};
use crate::shared::Shared;

/// The longest name of a token, in characters.
const MAX_NAME: usize = 100;

/// A tenant's tokens.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/tokens", tag = "tokens",
    params(("tenant" = TenantId, Path), PageQuery),
    responses((status = 200, description = "tokens by id", body = Page<Token>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    wanted: Wanted,
) -> Result<Answer<Page<Token>>> {
    caller.of(&tenant, Scope::Admin)?;
    all(&shared, Some(tenant), wanted).await
}

/// The operator's tokens.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "tokens by id", body = Page<Token>)))]
pub(super) async fn list_operators(
    State(shared): State<Shared>,
    caller: Caller,
    wanted: Wanted,
) -> Result<Answer<Page<Token>>> {
    caller.operator(Scope::Admin)?;
    all(&shared, None, wanted).await
}

async fn all(
    shared: &Shared,
    owner: Option<TenantId>,
    wanted: Wanted,
) -> Result<Answer<Page<Token>>> {
    let (after, limit) = (wanted.cursor.clone(), wanted.limit + 1);
    let found = shared.ask(move |store| store.tokens(owner.as_ref(), after.as_deref(), limit));
    Ok(page(&wanted, found.await?, |it| it.id.clone(), answer::token))
}

/// Makes a token of a tenant's. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/tokens", tag = "tokens",
    params(("tenant" = TenantId, Path)), request_body = NewToken,
    responses((status = 201, description = "the token", body = MadeToken)))]
pub(super) async fn make(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    Json(new): Json<NewToken>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    make_one(&shared, &caller, Some(tenant), new).await
}

/// Makes a token of the operator's. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, description = "the token", body = MadeToken)))]
pub(super) async fn make_operators(
    State(shared): State<Shared>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<Response> {
    caller.operator(Scope::Admin)?;
    make_one(&shared, &caller, None, new).await
}

async fn make_one(
    shared: &Shared,
    caller: &Caller,
    owner: Option<TenantId>,
    new: NewToken,
) -> Result<Response> {
    let characters = new.name.chars().count();
    if !(1..=MAX_NAME).contains(&characters) || new.name.chars().any(char::is_control) {
        return Err(Failure::invalid(format!("a token's name is 1 to {MAX_NAME} characters")));
    }
    if new.scope > caller.scope() {
        let text = "a token makes none that allows more than it does itself";
        return Err(Failure::new(Code::Forbidden, text));
    }
    let expires = new.expires_in_seconds.map(|seconds| {
        let ms = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        now_ms().saturating_add(ms)
    });
    let done = shared.change(caller, move |store, by| {
        let (token, text) =
            store.make_token(by, owner.as_ref(), &new.name, stored(new.scope), expires)?;
        Ok(made(MadeToken { token: answer::token(token), text: text.as_str().to_owned() }))
    });
    done.await
}

/// Revokes a token of a tenant's.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/tokens/{token}", tag = "tokens",
    params(("tenant" = TenantId, Path), ("token" = String, Path)),
    responses((status = 204, description = "it is valid no more"),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, token)): Path<(TenantId, String)>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    let remove =
        move |store: &Store, by: &Actor| store.remove_token(by, Some(&tenant), &token).map(gone);
    shared.change(&caller, remove).await
}

/// Revokes a token of the operator's; the last one that does not expire stays.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)),
    responses((status = 204, description = "it is valid no more"),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn remove_operators(
    State(shared): State<Shared>,
    caller: Caller,
    Path(token): Path<String>,
) -> Result<Response> {
    caller.operator(Scope::Admin)?;
    shared.change(&caller, move |store, by| store.remove_token(by, None, &token).map(gone)).await
}
