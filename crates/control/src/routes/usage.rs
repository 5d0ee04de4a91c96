//! What was used.

use axum::extract::State;
use dayfly_api::{
    AppId, AppName, DurationPercentiles, Problem, Scope, StatusCounts, TenantId, Usage, UsageBy,
    UsageGroup, UsagePoint, UsageQuery, UsageReport, UsageStep,
};
use dayfly_model::platform::{Durations, Usage as Used};
use dayfly_store as store;
use dayfly_store::StoreError;

use crate::answer::{Answer, ok};
use crate::caller::Caller;
use crate::clock::{self, now_ms, text};
use crate::failure::{Failure, Result};
use crate::path::{Path, Query};
use crate::shared::Shared;

/// How much time is looked at, unless the request says, in seconds.
const USUAL: i64 = 86_400;

/// What a tenant's apps used, those that were removed since as well.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/usage", tag = "usage",
    params(("tenant" = TenantId, Path), UsageQuery),
    responses((status = 200, description = "what was used", body = UsageReport),
        (status = 400, description = "it would be too much", body = Problem)))]
pub(super) async fn of_tenant(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    Query(query): Query<UsageQuery>,
) -> Result<Answer<UsageReport>> {
    caller.of(&tenant, Scope::Read)?;
    report(&shared, tenant, None, query).await
}

/// What an app used, be it there still or not.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/usage", tag = "usage",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), UsageQuery),
    responses((status = 200, description = "what was used", body = UsageReport),
        (status = 400, description = "it would be too much", body = Problem),
        (status = 404, description = "there is no such app, and was none that used anything", body = Problem)))]
pub(super) async fn of_app(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    Query(query): Query<UsageQuery>,
) -> Result<Answer<UsageReport>> {
    caller.of(&tenant, Scope::Read)?;
    let id = AppId { tenant: tenant.clone(), app: app.clone() };
    let known = shared.ask(move |store| match store.app(&id) {
        Err(StoreError::NotFound(what)) => match store.has_usage(&id.tenant, &id.app)? {
            true => Ok(()),
            false => Err(StoreError::NotFound(what)),
        },
        found => found.map(drop),
    });
    known.await?;
    report(&shared, tenant, Some(app), query).await
}

async fn report(
    shared: &Shared,
    tenant: TenantId,
    app: Option<AppName>,
    query: UsageQuery,
) -> Result<Answer<UsageReport>> {
    let _place = shared.reads.take(&tenant, "logs and reports are read")?;
    let query = understood(app, query)?;
    let used = shared.ask(move |store| store.usage(&tenant, &query)).await?;
    Ok(ok(UsageReport {
        from: text(used.from * 1000),
        to: text(used.to * 1000),
        duration_error: Durations::RELATIVE_ERROR,
        groups: used.groups.into_iter().map(group).collect(),
    }))
}

fn understood(app: Option<AppName>, query: UsageQuery) -> Result<store::UsageQuery> {
    let time = |name: &str, text: Option<String>| {
        text.map(|text| clock::parse(name, &text).map(|time| time.timestamp())).transpose()
    };
    let now = now_ms() / 1000;
    let to = time("to", query.to)?.unwrap_or(now);
    let from = time("from", query.from)?.unwrap_or(to - USUAL);
    if from > to || from < 0 {
        return Err(Failure::invalid("`from` is a time before `to`"));
    }
    Ok(store::UsageQuery {
        app,
        by: match query.by.unwrap_or(UsageBy::App) {
            UsageBy::Total => store::UsageBy::Total,
            UsageBy::App => store::UsageBy::App,
            UsageBy::Component => store::UsageBy::Component,
            UsageBy::Release => store::UsageBy::Release,
        },
        step: query.step.map(|step| match step {
            UsageStep::Minute => store::UsageStep::Minute,
            UsageStep::Hour => store::UsageStep::Hour,
            UsageStep::Day => store::UsageStep::Day,
        }),
        from,
        to,
        now,
    })
}

fn group(group: store::UsageGroup) -> UsageGroup {
    let others = group.app.as_ref().is_some_and(String::is_empty);
    let point = |(at, used): (i64, Used)| UsagePoint { at: text(at * 1000), usage: usage(&used) };
    UsageGroup {
        app: group.app.and_then(|app| app.parse().ok()),
        component: group.component.filter(|it| !it.is_empty()),
        release: group.release.and_then(|release| release.parse().ok()),
        others,
        total: usage(&group.total),
        points: group.points.into_iter().map(point).collect(),
    }
}

fn usage(used: &Used) -> Usage {
    let [none, success, redirection, client_error, server_error] = used.requests;
    let durations = &used.durations;
    Usage {
        requests: used.requests.iter().fold(0, |sum, more| sum.saturating_add(*more)),
        status: StatusCounts { none, success, redirection, client_error, server_error },
        errors: used.errors,
        events: used.events,
        events_failed: used.events_failed,
        cold_starts: used.cold_starts,
        cpu_us: used.cpu_ns / 1000,
        memory_peak_bytes: used.memory_peak_bytes,
        bytes_in: used.bytes_in,
        bytes_out: used.bytes_out,
        duration: DurationPercentiles {
            p50_us: durations.percentile_us(50.0),
            p90_us: durations.percentile_us(90.0),
            p99_us: durations.percentile_us(99.0),
            max_us: durations.longest_us(),
        },
    }
}
