//! Previews: releases of an app at hosts of their own.

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{
    AppId, AppName, NewPreview, Page, PageQuery, Preview, PreviewName, Problem, Scope, TenantId,
};
use dayfly_store::{Actor, Offer, Store};

use crate::answer::{self, Answer, Tagged, gone, page};
use crate::body::Json;
use crate::caller::Caller;
use crate::clock::now_ms;
use crate::failure::{Failure, Result};
use crate::path::{Path, Wanted};
use crate::seen::Seen;
use crate::shared::Shared;

/// How long a preview is there, unless the request says, and at most, in seconds.
const USUAL: u64 = 7 * 24 * 60 * 60;
const MOST: u64 = 90 * 24 * 60 * 60;

/// An app's previews.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/previews", tag = "previews",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), PageQuery),
    responses((status = 200, description = "previews by name", body = Page<Preview>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    wanted: Wanted,
) -> Result<Answer<Page<Preview>>> {
    caller.of(&tenant, Scope::Read)?;
    let (after, limit) = (wanted.cursor.clone(), wanted.limit + 1);
    let id = AppId { tenant, app };
    let found = shared.ask(move |store| store.previews(&id, after.as_deref(), limit)).await?;
    Ok(page(&wanted, found, |it| it.name.to_string(), |it| answer::preview(&shared, it)))
}

/// A preview.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/previews/{preview}", tag = "previews",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("preview" = PreviewName, Path)),
    responses((status = 200, description = "the preview; its ETag is its generation", body = Preview),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, preview)): Path<(TenantId, AppName, PreviewName)>,
) -> Result<Tagged<Preview>> {
    caller.of(&tenant, Scope::Read)?;
    let id = AppId { tenant, app };
    let found = shared.ask(move |store| store.preview_named(&id, &preview)).await?;
    Ok(answer::preview_tagged(&shared, found))
}

/// Shows a release by a preview, which is made unless it is there. What is live stays as it is. With
/// `If-Match`, only at that generation of the preview.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/apps/{app}/previews/{preview}", tag = "previews",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("preview" = PreviewName, Path),
        ("if-match" = Option<String>, Header)),
    request_body = NewPreview,
    responses((status = 200, description = "the preview", body = Preview),
        (status = 403, description = "the tenant has too many apps", body = Problem),
        (status = 404, description = "there is no such app or release", body = Problem),
        (status = 409, description = "it asks for more than what is active", body = Problem),
        (status = 412, description = "the preview has changed", body = Problem)))]
pub(super) async fn make(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, preview)): Path<(TenantId, AppName, PreviewName)>,
    seen: Seen,
    Json(new): Json<NewPreview>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let expected = seen.generation()?;
    let seconds = new.expires_in_seconds.unwrap_or(USUAL);
    if !(1..=MOST).contains(&seconds) {
        let days = MOST / (24 * 60 * 60);
        return Err(Failure::invalid(format!("a preview is there for a second to {days} days")));
    }
    let expires = now_ms() + i64::try_from(seconds * 1000).unwrap_or(i64::MAX);
    let (id, own) = (AppId { tenant, app }, shared.clone());
    let done = shared.change(&caller, move |store, by| {
        let NewPreview { release, accept, health_path, .. } = new;
        let offer = Offer { release: &release, accept, health_path: health_path.as_deref() };
        let shown = store.preview(by, &id, &preview, &offer, (expires, expected));
        shown.map(|it| answer::preview_tagged(&own, it))
    });
    done.await
}

/// Removes a preview, and what it keeps.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/apps/{app}/previews/{preview}", tag = "previews",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("preview" = PreviewName, Path)),
    responses((status = 204, description = "it is gone"),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, preview)): Path<(TenantId, AppName, PreviewName)>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let id = AppId { tenant, app };
    let remove = move |store: &Store, by: &Actor| store.remove_preview(by, &id, &preview).map(gone);
    shared.change(&caller, remove).await
}
