//! Apps.

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{App, AppId, AppName, Page, PageQuery, Problem, Scope, TenantId};
use dayfly_store::{Actor, Store};

use crate::answer::{self, Answer, gone, ok, page};
use crate::caller::Caller;
use crate::failure::Result;
use crate::path::{Path, Wanted};
use crate::shared::Shared;

/// A tenant's apps.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps", tag = "apps",
    params(("tenant" = TenantId, Path), PageQuery),
    responses((status = 200, description = "apps by name", body = Page<App>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    wanted: Wanted,
) -> Result<Answer<Page<App>>> {
    caller.of(&tenant, Scope::Read)?;
    let (after, limit) = (wanted.cursor.clone(), wanted.limit + 1);
    let found = shared.ask(move |store| store.apps(&tenant, after.as_deref(), limit)).await?;
    Ok(page(&wanted, found, |it| it.id.app.to_string(), |it| answer::app(&shared, it)))
}

/// An app.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path)),
    responses((status = 200, description = "the app", body = App),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
) -> Result<Answer<App>> {
    caller.of(&tenant, Scope::Read)?;
    let found = shared.ask(move |store| store.app(&AppId { tenant, app })).await?;
    Ok(ok(answer::app(&shared, found)))
}

/// Makes an app, unless it is there.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/apps/{app}", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path)),
    responses((status = 200, description = "the app", body = App),
        (status = 403, description = "the tenant has too many", body = Problem)))]
pub(super) async fn make(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let (id, own) = (AppId { tenant, app }, shared.clone());
    let make = move |store: &Store, by: &Actor| {
        store.make_app(by, &id).map(|app| ok(answer::app(&own, app)))
    };
    shared.change(&caller, make).await
}

/// Removes an app with its releases, settings, domains, and what it keeps.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/apps/{app}", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path)),
    responses((status = 204, description = "it is gone"),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    let id = AppId { tenant, app };
    shared.change(&caller, move |store, by| store.remove_app(by, &id).map(gone)).await
}
