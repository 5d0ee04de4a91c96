//! Custom domains.

use axum::extract::State;
use dayfly_api::{
    AppId, AppName, Code, Domain, DomainName, Page, PageQuery, Problem, Scope, TenantId,
};
use http::StatusCode;

use crate::answer::{self, Answer, ok, page};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::path::{Path, Wanted};
use crate::shared::Shared;

/// An app's custom domains.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/domains", tag = "domains",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), PageQuery),
    responses((status = 200, description = "domains by name", body = Page<Domain>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    wanted: Wanted,
) -> Result<Answer<Page<Domain>>> {
    caller.of(&tenant, Scope::Read)?;
    let (after, limit) = (wanted.cursor.clone(), wanted.limit + 1);
    let id = AppId { tenant, app };
    let found = shared.ask(move |store| store.domains(&id, after.as_deref(), limit)).await?;
    Ok(page(&wanted, found, |it| it.name.to_string(), answer::domain))
}

/// Has an app answer on a domain.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/apps/{app}/domains/{domain}", tag = "domains",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("domain" = DomainName, Path)),
    responses((status = 200, description = "the domain", body = Domain),
        (status = 409, description = "an app has it", body = Problem)))]
pub(super) async fn add(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, domain)): Path<(TenantId, AppName, DomainName)>,
) -> Result<Answer<Domain>> {
    caller.of(&tenant, Scope::Admin)?;
    if shared.is_own(domain.as_str()) {
        let text = format!("`{domain}` is below the platform's own domain");
        return Err(Failure::new(Code::Conflict, text));
    }
    let id = AppId { tenant, app };
    let done = shared.change(&caller, move |store, by| store.add_domain(by, &id, &domain));
    Ok(ok(answer::domain(done.await?)))
}

/// Has an app answer on a domain no more.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/apps/{app}/domains/{domain}", tag = "domains",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("domain" = DomainName, Path)),
    responses((status = 204, description = "it does not"),
        (status = 404, description = "it did not", body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, domain)): Path<(TenantId, AppName, DomainName)>,
) -> Result<StatusCode> {
    caller.of(&tenant, Scope::Admin)?;
    let id = AppId { tenant, app };
    shared.change(&caller, move |store, by| store.remove_domain(by, &id, &domain)).await?;
    Ok(StatusCode::NO_CONTENT)
}
