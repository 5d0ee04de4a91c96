//! What is active of an app.

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{Activate, Activation, AppId, AppName, Problem, Rollback, Scope, TenantId};
use dayfly_store::Offer;

use crate::answer::{self, Tagged};
use crate::body::Json;
use crate::caller::Caller;
use crate::failure::Result;
use crate::path::Path;
use crate::seen::Seen;
use crate::shared::Shared;

/// What is active of an app.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/activation", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path)),
    responses((status = 200, description = "what is active; its ETag is the generation", body = Activation),
        (status = 404, description = "there is no such app", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
) -> Result<Tagged<Activation>> {
    caller.of(&tenant, Scope::Read)?;
    let found = shared.ask(move |store| store.app(&AppId { tenant, app })).await?;
    Ok(answer::tagged(found.active))
}

/// Activates a release, or gives it a share of the traffic. With `If-Match`, only at that generation.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/apps/{app}/activation", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("if-match" = Option<String>, Header)),
    request_body = Activate,
    responses((status = 200, description = "what is active", body = Activation),
        (status = 404, description = "there is no such release", body = Problem),
        (status = 409, description = "it asks for more than what is active", body = Problem),
        (status = 412, description = "the app has changed", body = Problem)))]
pub(super) async fn activate(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    seen: Seen,
    Json(activate): Json<Activate>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let expected = seen.generation()?;
    let id = AppId { tenant, app };
    let done = shared.change(&caller, move |store, by| {
        let Activate { release, percent, accept, health_path } = activate;
        let offer = Offer { release: &release, accept, health_path: health_path.as_deref() };
        store.activate(by, &id, &offer, percent, expected).map(answer::tagged)
    });
    done.await
}

/// Activates the release that was active before, or one that was. With `If-Match`, only at that
/// generation.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/apps/{app}/rollback", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("if-match" = Option<String>, Header)),
    request_body = Rollback,
    responses((status = 200, description = "what is active", body = Activation),
        (status = 404, description = "nothing was active before", body = Problem),
        (status = 412, description = "the app has changed", body = Problem)))]
pub(super) async fn roll_back(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    seen: Seen,
    Json(rollback): Json<Rollback>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let expected = seen.generation()?;
    let id = AppId { tenant, app };
    let done = shared.change(&caller, move |store, by| {
        let rolled = store.roll_back(by, &id, rollback.to.as_ref(), rollback.failed, expected);
        rolled.map(answer::tagged)
    });
    done.await
}
