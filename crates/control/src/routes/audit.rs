//! The log of changes.

use axum::extract::State;
use dayfly_api::{AuditEntry, Page, PageQuery, Scope, TenantId};

use crate::answer::{self, Answer, page};
use crate::caller::Caller;
use crate::failure::Result;
use crate::path::{Path, Wanted};
use crate::shared::Shared;

/// What was changed of a tenant's, the newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", tag = "audit",
    params(("tenant" = TenantId, Path), PageQuery),
    responses((status = 200, description = "changes, the newest first", body = Page<AuditEntry>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    wanted: Wanted,
) -> Result<Answer<Page<AuditEntry>>> {
    caller.of(&tenant, Scope::Admin)?;
    shared.is_tenant(&tenant).await?;
    entries(&shared, Some(tenant), wanted).await
}

/// What was changed, whosever it is, the newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(PageQuery),
    responses((status = 200, description = "changes, the newest first", body = Page<AuditEntry>)))]
pub(super) async fn list_all(
    State(shared): State<Shared>,
    caller: Caller,
    wanted: Wanted,
) -> Result<Answer<Page<AuditEntry>>> {
    caller.operator(Scope::Admin)?;
    entries(&shared, None, wanted).await
}

async fn entries(
    shared: &Shared,
    tenant: Option<TenantId>,
    wanted: Wanted,
) -> Result<Answer<Page<AuditEntry>>> {
    let (before, limit) = (wanted.number()?, wanted.limit + 1);
    let found = shared.ask(move |store| store.audit(tenant.as_ref(), before, limit)).await?;
    Ok(page(&wanted, found, |it| it.id.to_string(), answer::entry))
}
