//! Releases.

use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use dayfly_api::{
    AppId, AppName, Code, Difference, Page, PageQuery, Problem, Release, ReleaseId, Scope, TenantId,
};
use dayfly_model::platform::{Quotas, ReleaseManifest};
use dayfly_store::{NewRelease, Prepared, Store};

use crate::answer::{self, Answer, made, ok, page};
use crate::body::ManifestText;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::path::{Path, Wanted};
use crate::prepare::{PrepareError, Ready};
use crate::shared::Shared;

/// An app's releases, the latest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/releases", tag = "releases",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), PageQuery),
    responses((status = 200, description = "releases, the latest first", body = Page<Release>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    wanted: Wanted,
) -> Result<Answer<Page<Release>>> {
    caller.of(&tenant, Scope::Read)?;
    let (before, limit) = (wanted.number()?, wanted.limit + 1);
    let id = AppId { tenant, app };
    let found = shared.ask(move |store| Ok((store.app(&id)?, store.releases(&id, before, limit)?)));
    let (app, found) = found.await?;
    let one = |it| answer::release(&app.active, it);
    Ok(page(&wanted, found, |it| it.number.to_string(), one))
}

/// Makes a release of a package's manifest, whose blobs were sent. It is checked and compiled before
/// this answers, so that it can be served; large components are optimised after that. One that is there is not
/// made again.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/apps/{app}/releases", tag = "releases",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path)),
    request_body(content = String, content_type = "application/vnd.oci.image.manifest.v1+json"),
    responses((status = 201, description = "the release", body = Release),
        (status = 409, description = "it names what was not sent", body = Problem),
        (status = 422, description = "it cannot be served", body = Problem)))]
pub(super) async fn make(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    ManifestText(text): ManifestText,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let odd = |error: &dyn std::error::Error| Failure::invalid(error.to_string());
    let manifest = ReleaseManifest::parse(&text).map_err(|error| odd(&error))?;
    let id = AppId { tenant, app };
    let release = digest_of(&text)?;
    if let Some(found) = find(&shared, &id, &release).await? {
        return Ok(made(found).into_response());
    }
    let (checked, asked) = (id.clone(), manifest.clone());
    let digest = release.clone();
    let check = move |store: &Store| store.check_release(&checked, &digest, &asked);
    let room = shared.ask(check).await?;
    // Whoever waits is in line with those of the same tenant only.
    let turn = shared.workers.turn(&id.tenant).await?;
    let began = Instant::now();
    let (preparer, name) = (shared.preparer.clone(), id.app.clone());
    let (bytes, digest) = (text.clone(), release.clone());
    let work = move || {
        // Whoever asked may leave: the turn ends with the work, which goes on.
        let _turn = turn;
        preparer.prepare(&name, &digest, &bytes, Some(room.left_bytes()))
    };
    let ready = tokio::task::spawn_blocking(work).await;
    let ready = match ready.map_err(|error| Failure::internal(&error))? {
        Err(PrepareError::NoRoom(bytes)) => return Err(room.refused(bytes).into()),
        ready => ready?,
    };
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Ready { version, grants, components, component_bytes, laid_out_bytes, stands_in } = ready;
    let (tenant, digest) = (id.tenant.clone(), release.clone());
    // It lies there from now on, also if it is refused: then until it is collected.
    let quotas = shared.ask(move |store| {
        store.laid_out(&tenant, &digest, laid_out_bytes)?;
        Ok(store.tenant(&tenant)?.quotas)
    });
    let quotas = quotas.await?;
    within(&grants, &quotas)?;
    let done = shared.change(&caller, move |store, by| {
        let baseline = stands_in;
        let prepared =
            Prepared { components, component_bytes, took_ms, baseline, optimised_ms: None };
        let new = NewRelease {
            id: &release,
            text: &text,
            manifest: &manifest,
            version: &version,
            grants: &grants,
            prepared: &prepared,
        };
        let found = store.make_release(by, &id, &new)?;
        Ok(made(answer::release(&store.app(&id)?.active, found)))
    });
    done.await
}

/// A release.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/releases/{release}", tag = "releases",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("release" = ReleaseId, Path)),
    responses((status = 200, description = "the release", body = Release),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, release)): Path<(TenantId, AppName, ReleaseId)>,
) -> Result<Answer<Release>> {
    caller.of(&tenant, Scope::Read)?;
    let found = find(&shared, &AppId { tenant, app }, &release).await?;
    found.map(ok).ok_or_else(Failure::not_found)
}

/// What a release asks for beyond what is active.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/releases/{release}/difference",
    tag = "releases",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("release" = ReleaseId, Path)),
    responses((status = 200, description = "what it asks for", body = Difference),
        (status = 404, description = "there is none", body = Problem)))]
pub(super) async fn difference(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app, release)): Path<(TenantId, AppName, ReleaseId)>,
) -> Result<Answer<Difference>> {
    caller.of(&tenant, Scope::Read)?;
    let id = AppId { tenant, app };
    let (against, asks) = shared.ask(move |store| store.difference(&id, &release)).await?;
    Ok(ok(Difference { against, asks }))
}

async fn find(shared: &Shared, id: &AppId, release: &ReleaseId) -> Result<Option<Release>> {
    let (id, release) = (id.clone(), release.clone());
    let found = shared.ask(move |store| {
        let app = store.app(&id)?;
        match store.release(&id, &release) {
            Ok(found) => Ok(Some(answer::release(&app.active, found))),
            Err(dayfly_store::StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    });
    found.await
}

fn digest_of(text: &[u8]) -> Result<ReleaseId> {
    let digest = dayfly_store::digest_of(text);
    digest.parse().map_err(|error| Failure::internal(&error))
}

/// Refuses a release that asks for more than its tenant may have.
fn within(grants: &dayfly_api::Grants, quotas: &Quotas) -> Result<()> {
    let bounds = [
        ("memory", "memory_bytes", quotas.memory_bytes, "bytes"),
        ("cpu", "cpu_ms", quotas.cpu_ms, "milliseconds"),
    ];
    for (limit, quota, most, unit) in bounds {
        let needed = grants.most(limit).unwrap_or_default();
        if needed > most {
            let text = format!(
                "a component has the limit `{limit}` of {needed} {unit}, and quota `{quota}` is {most}"
            );
            let exceeded = dayfly_api::Exceeded { quota: quota.to_owned(), limit: most, needed };
            let hint =
                format!("state a smaller `{limit}` in `limits`, or ask the operator for more");
            let problem = Problem::new(Code::Quota, text).hint(hint);
            return Err(Problem { exceeded: Some(exceeded), ..problem }.into());
        }
    }
    Ok(())
}
