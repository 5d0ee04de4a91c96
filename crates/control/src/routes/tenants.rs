//! Tenants.

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{
    ChangeTenant, GrantPolicy, NewTenant, Page, PageQuery, Problem, Scope, Tenant, TenantId,
};
use dayfly_store::Terms;

use crate::answer::{self, Answer, Tagged, gone, made, page};
use crate::body::Json;
use crate::caller::Caller;
use crate::failure::Result;
use crate::path::{Path, Wanted};
use crate::seen::Seen;
use crate::shared::Shared;

/// The tenants that the token may see.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, description = "tenants by name", body = Page<Tenant>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    wanted: Wanted,
) -> Result<Answer<Page<Tenant>>> {
    let (after, limit) = (wanted.cursor.clone(), wanted.limit + 1);
    let own = caller.token.tenant.clone();
    let found = shared.ask(move |store| match own {
        Some(own) => Ok(vec![store.tenant(&own)?]),
        None => store.tenants(after.as_deref(), limit),
    });
    Ok(page(&wanted, found.await?, |it| it.name.to_string(), answer::tenant))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", request_body = NewTenant,
    responses((status = 201, description = "the tenant", body = Tenant),
        (status = 409, description = "the name is taken, or there is no process for it",
            body = Problem)))]
pub(super) async fn make(
    State(shared): State<Shared>,
    caller: Caller,
    Json(new): Json<NewTenant>,
) -> Result<Response> {
    caller.operator(Scope::Admin)?;
    let own_processes = shared.config.own_processes;
    let done = shared.change(&caller, move |store, by| {
        let terms = Terms {
            quotas: new.quotas.as_ref(),
            accepts_grants: Some(new.grants == GrantPolicy::Accept),
            domains: Some(&new.domains).filter(|it| !it.is_empty()).map(Vec::as_slice),
            isolation: Some(new.isolation),
            own_processes,
            expected: None,
        };
        store.make_tenant(by, &new.name, terms).map(|it| made(answer::tenant(it)))
    });
    done.await
}

/// A tenant, and what it has taken of its quotas.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    responses((status = 200, description = "the tenant; its ETag is its version", body = Tenant),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
) -> Result<Tagged<Tenant>> {
    caller.of(&tenant, Scope::Read)?;
    let found = shared.ask(move |store| Ok((store.tenant(&tenant)?, store.taken(&tenant)?)));
    let (found, taken) = found.await?;
    let Tagged(version, tenant) = answer::tenant_tagged(found);
    Ok(Tagged(version, Tenant { used: Some(answer::taken(taken)), ..tenant }))
}

/// Changes a tenant's quotas, policy, domains or isolation. With `If-Match`, only at that version.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = TenantId, Path), ("if-match" = Option<String>, Header)),
    request_body = ChangeTenant,
    responses((status = 200, description = "the tenant", body = Tenant),
        (status = 404, description = "there is none", body = Problem),
        (status = 409, description = "there is no process for it", body = Problem),
        (status = 412, description = "the tenant has changed", body = Problem)))]
pub(super) async fn change(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    seen: Seen,
    Json(change): Json<ChangeTenant>,
) -> Result<Response> {
    caller.operator(Scope::Admin)?;
    let own_processes = shared.config.own_processes;
    let done = shared.change(&caller, move |store, by| {
        let terms = Terms {
            quotas: change.quotas.as_ref(),
            accepts_grants: change.grants.map(|grants| grants == GrantPolicy::Accept),
            domains: change.domains.as_deref(),
            isolation: change.isolation,
            own_processes,
            expected: seen.version(),
        };
        store.change_tenant(by, &tenant, terms).map(answer::tenant_tagged)
    });
    done.await
}

/// Removes a tenant that has no apps.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    responses((status = 204, description = "it is gone"),
        (status = 404, description = "there is none", body = Problem),
        (status = 409, description = "it has apps", body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
) -> Result<Response> {
    caller.operator(Scope::Admin)?;
    shared.change(&caller, move |store, by| store.remove_tenant(by, &tenant).map(gone)).await
}
