//! Custom domains.

use std::time::SystemTime;

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{
    AppId, AppName, Code, Domain, DomainName, NewCertificate, Page, PageQuery, Problem, Scope,
    Secret, TenantId,
};
use dayfly_store::{Actor, CertificateSource, CertificateView, Store};

use crate::answer::{self, Answer, gone, ok, page};
use crate::body::Json;
use crate::caller::Caller;
use crate::certificate::{self, Validity};
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

/// Has an app answer on a domain, which its tenant was given; by the operator's token on any.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/apps/{app}/domains/{domain}", tag = "domains",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("domain" = DomainName, Path)),
    responses((status = 200, description = "the domain", body = Domain),
        (status = 403, description = "the tenant was not given it", body = Problem),
        (status = 409, description = "an app has it", body = Problem)))]
pub(super) async fn add(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, domain)): Path<(TenantId, AppName, DomainName)>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    if shared.is_own(domain.as_str()) {
        let text = format!("`{domain}` is below the platform's own domain");
        return Err(Failure::new(Code::Conflict, text));
    }
    let (id, is_operator) = (AppId { tenant, app }, caller.is_operator());
    let done = shared.change(&caller, move |store, by| {
        let added = store.add_domain(by, &id, &domain, is_operator);
        added.map(|it| ok(answer::domain(it)))
    });
    done.await
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
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    let id = AppId { tenant, app };
    shared.change(&caller, move |store, by| store.remove_domain(by, &id, &domain).map(gone)).await
}

/// Has a domain served with a certificate of its own, instead of the former one.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/apps/{app}/domains/{domain}/certificate",
    tag = "domains",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("domain" = DomainName, Path)),
    request_body = NewCertificate,
    responses((status = 200, description = "the domain", body = Domain),
        (status = 400, description = "it cannot be served for the domain", body = Problem),
        (status = 404, description = "the app does not answer on it", body = Problem)))]
pub(super) async fn upload_certificate(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, domain)): Path<(TenantId, AppName, DomainName)>,
    Json(NewCertificate { chain, key }): Json<NewCertificate>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    let key = Secret(key);
    let checked = certificate::check(&chain, &key.0, &domain, SystemTime::now());
    let Validity { begins_ms, expires_ms } = checked.map_err(Failure::invalid)?;
    let view = CertificateView { source: CertificateSource::Upload, begins_ms, expires_ms };
    let new = dayfly_store::NewCertificate { chain, key, view };
    let id = AppId { tenant, app };
    let done = shared.change(&caller, move |store, by| {
        store.upload_certificate(by, &id, &domain, &new)?;
        store.domain(&id, &domain).map(|it| ok(answer::domain(it)))
    });
    done.await
}

/// Takes the certificate away that was uploaded for a domain.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/apps/{app}/domains/{domain}/certificate",
    tag = "domains",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("domain" = DomainName, Path)),
    responses((status = 204, description = "it is gone"),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn remove_certificate(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, domain)): Path<(TenantId, AppName, DomainName)>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Admin)?;
    let id = AppId { tenant, app };
    let remove =
        move |store: &Store, by: &Actor| store.remove_certificate(by, &id, &domain).map(gone);
    shared.change(&caller, remove).await
}
