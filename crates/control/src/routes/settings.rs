//! What apps are told: variables, environment variables, secrets.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use dayfly_api::{
    Activation, AppId, AppName, ChangeSettings, Page, PageQuery, Problem, Scope, Secret, Setting,
    TenantId,
};
use dayfly_model::platform;

use crate::answer::{self, Answer, page};
use crate::body::Json;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::path::{Path, Wanted};
use crate::seen::Seen;
use crate::shared::Shared;

/// An app's settings; secrets without their values.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/settings", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), PageQuery),
    responses((status = 200, description = "settings by name", body = Page<Setting>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    wanted: Wanted,
) -> Result<Answer<Page<Setting>>> {
    caller.of(&tenant, Scope::Read)?;
    let (after, limit) = (wanted.cursor.clone(), wanted.limit + 1);
    let id = AppId { tenant, app };
    let found = shared.ask(move |store| store.settings(&id, after.as_deref(), limit)).await?;
    Ok(page(&wanted, found, |it| it.name.to_string(), answer::setting))
}

/// Changes an app's settings, all of them at once. With `If-Match`, only at that generation of the app.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/apps/{app}/settings", tag = "apps",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), ("if-match" = Option<String>, Header)),
    request_body = ChangeSettings,
    responses((status = 200, description = "what is active", body = Activation),
        (status = 404, description = "there is no such app", body = Problem),
        (status = 412, description = "the app has changed", body = Problem)))]
pub(super) async fn change(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    seen: Seen,
    Json(change): Json<ChangeSettings>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Deploy)?;
    let expected = seen.generation()?;
    let mut set = BTreeMap::new();
    for Setting { name, secret, value, .. } in change.set {
        let Some(value) = value else {
            return Err(Failure::invalid(format!("`{name}` has no `value`")));
        };
        let setting = platform::Setting { value: Secret(value), is_secret: secret };
        if set.insert(name.clone(), setting).is_some() {
            return Err(Failure::invalid(format!("`{name}` is set twice")));
        }
    }
    let unset: BTreeSet<_> = change.unset.into_iter().collect();
    if let Some(name) = unset.iter().find(|name| set.contains_key(name)) {
        return Err(Failure::invalid(format!("`{name}` is set and taken away")));
    }
    let id = AppId { tenant, app };
    let done = shared.change(&caller, move |store, by| {
        store.change_settings(by, &id, &set, &unset, expected).map(answer::tagged)
    });
    done.await
}
