//! The store's records as the API has them.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use dayfly_api as api;
use dayfly_store as store;
use dayfly_store::{Active, CertificateSource, Serving};
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG};
use serde::Serialize;

use crate::caller::scope_of;
use crate::clock::text;
use crate::failure::Failure;
use crate::idempotency::{Keep, Kept, Stored, odd};
use crate::path::Wanted;
use crate::shared::Inner;

/// An answer in JSON.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub(crate) StatusCode, pub(crate) T);

/// An answer in JSON behind its ETag.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) String, pub(crate) T);

const JSON: &str = "application/json";

/// An answer of what was asked for.
pub(crate) fn ok<T>(value: T) -> Answer<T> {
    Answer(StatusCode::OK, value)
}

/// An answer of what was made.
pub(crate) fn made<T>(value: T) -> Answer<T> {
    Answer(StatusCode::CREATED, value)
}

impl<T: Serialize> Keep for Answer<T> {
    fn keep(self) -> Stored<Kept> {
        let Self(status, value) = self;
        let body = serde_json::to_string(&value).map_err(|error| odd(&error))?;
        let headers = vec![(CONTENT_TYPE.to_string(), JSON.to_owned())];
        Ok(Kept { status: status.as_u16(), headers, body })
    }
}

impl<T: Serialize> Keep for Tagged<T> {
    fn keep(self) -> Stored<Kept> {
        let Self(tag, value) = self;
        let mut kept = ok(value).keep()?;
        kept.headers.push((ETAG.to_string(), format!("\"{tag}\"")));
        Ok(kept)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        answered(self)
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        answered(self)
    }
}

fn answered(answer: impl Keep) -> Response {
    match answer.keep() {
        Ok(kept) => kept.into_response(),
        Err(error) => Failure::from(error).into_response(),
    }
}

/// An answer of what there is no more.
pub(crate) fn gone((): ()) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// What is active of an app, with its generation as its ETag.
pub(crate) fn tagged(active: Active) -> Tagged<api::Activation> {
    Tagged(active.generation.0.to_string(), activation(active))
}

/// A page of a list of which one more than was wanted was asked for.
pub(crate) fn page<R, T>(
    wanted: &Wanted,
    mut records: Vec<R>,
    cursor: impl Fn(&R) -> String,
    answer: impl Fn(R) -> T,
) -> Answer<api::Page<T>> {
    let limit = wanted.limit as usize;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more).map(cursor);
    ok(api::Page { items: records.into_iter().map(answer).collect(), next })
}

pub(crate) fn tenant(tenant: store::Tenant) -> api::Tenant {
    api::Tenant {
        name: tenant.name,
        created_at: text(tenant.created_ms),
        quotas: tenant.quotas,
        grants: match tenant.accepts_grants {
            true => api::GrantPolicy::Accept,
            false => api::GrantPolicy::Ask,
        },
        domains: tenant.domains,
        isolation: tenant.isolation,
        version: tenant.version,
        apps: tenant.apps,
        storage_bytes: tenant.storage_bytes,
        used: None,
    }
}

/// A tenant, with its version as its ETag.
pub(crate) fn tenant_tagged(it: store::Tenant) -> Tagged<api::Tenant> {
    Tagged(it.version.clone(), tenant(it))
}

pub(crate) fn taken(taken: store::Taken) -> api::TenantUse {
    api::TenantUse {
        apps: taken.apps,
        releases: taken.releases,
        domains: taken.domains,
        tokens: taken.tokens,
        settings: taken.settings,
        package_bytes: taken.package_bytes,
        storage_bytes: taken.storage_bytes,
        cpu_month_seconds: Duration::from_micros(taken.cpu_us).as_secs_f64(),
        log_day_bytes: taken.log_bytes,
        state_bytes: taken.state_bytes,
    }
}

pub(crate) fn token(token: store::Token) -> api::Token {
    api::Token {
        id: token.id,
        name: token.name,
        scope: scope_of(token.scope),
        created_at: text(token.created_ms),
        expires_at: token.expires_ms.map(text),
        last_used_at: token.used_ms.map(text),
    }
}

pub(crate) fn app(shared: &Inner, app: store::App) -> api::App {
    let host = shared.host(&app.id);
    api::App {
        name: app.id.app,
        created_at: text(app.created_ms),
        url: shared.config.url_of(&host),
        host,
        active: activation(app.active),
    }
}

pub(crate) fn activation(active: Active) -> api::Activation {
    let (state, error) = match active.serving {
        _ if active.shares.is_empty() => (api::ServingState::Idle, None),
        Serving::Pending => (api::ServingState::Pending, None),
        Serving::Yes => (api::ServingState::Serving, None),
        Serving::Failed(error) => (api::ServingState::Failed, Some(error)),
    };
    let shares = active.shares.into_iter();
    api::Activation {
        generation: active.generation.0,
        shares: shares.map(|it| api::Share { release: it.release, percent: it.percent }).collect(),
        activated_at: active.activated_ms.map(text),
        state,
        error,
    }
}

pub(crate) fn release(active: &Active, release: store::Release) -> api::Release {
    let share = active.shares.iter().find(|share| share.release == release.id);
    api::Release {
        percent: share.map_or(0, |share| share.percent),
        id: release.id,
        created_at: text(release.created_ms),
        created_by: release.created_by,
        bytes: release.bytes,
        version: release.version,
        grants: release.grants,
        prepared: api::Prepared {
            components: release.prepared.components,
            component_bytes: release.prepared.component_bytes,
            took_ms: release.prepared.took_ms,
            baseline: release.prepared.baseline,
            optimised_ms: release.prepared.optimised_ms,
        },
    }
}

pub(crate) fn setting(setting: store::SettingView) -> api::Setting {
    api::Setting {
        name: setting.name,
        secret: setting.value.is_none(),
        value: setting.value,
        set_at: Some(text(setting.set_ms)),
    }
}

pub(crate) fn domain(domain: store::Domain) -> api::Domain {
    let store::Domain { name, created_ms, certificate, order_error } = domain;
    let certificate = certificate.map(|it| api::Certificate {
        source: match it.source {
            CertificateSource::Upload => api::CertificateSource::Upload,
            CertificateSource::Acme => api::CertificateSource::Acme,
        },
        valid_from: text(it.begins_ms),
        expires_at: text(it.expires_ms),
    });
    api::Domain { name, created_at: text(created_ms), certificate, order_error }
}

pub(crate) fn preview(shared: &Inner, preview: store::Preview) -> api::Preview {
    let host = shared.host(&preview.app);
    api::Preview {
        name: preview.name,
        created_at: text(preview.created_ms),
        expires_at: text(preview.expires_ms),
        url: shared.config.url_of(&host),
        host,
        active: activation(preview.active),
    }
}

/// A preview, with the generation of what it shows as its ETag.
pub(crate) fn preview_tagged(shared: &Inner, it: store::Preview) -> Tagged<api::Preview> {
    Tagged(it.active.generation.0.to_string(), preview(shared, it))
}

pub(crate) fn entry(entry: store::AuditEntry) -> api::AuditEntry {
    api::AuditEntry {
        id: u64::try_from(entry.id).unwrap_or_default(),
        at: text(entry.at_ms),
        token: entry.by.token,
        token_name: entry.by.name,
        from: entry.by.source,
        tenant: entry.tenant.and_then(|tenant| tenant.parse().ok()),
        action: entry.action,
        object: entry.object,
        detail: entry.detail,
    }
}
