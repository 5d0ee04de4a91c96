//! Logs of apps.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{SecondsFormat, Utc};
use dayfly_api::{AppId, AppName, LogEvent, LogLines, LogQuery, Problem, Scope, TenantId};
use dayfly_store::{LogFilter, log_tail};

use crate::answer::ok;
use crate::caller::Caller;
use crate::clock;
use crate::failure::{Failure, Result};
use crate::follow::{Hangup, Stream, follow};
use crate::path::{Path, Query};
use crate::shared::Shared;

/// How many lines there are, unless the request says, and at most.
const USUAL: u32 = 100;
const MOST: u32 = 1000;

/// The longest text that is searched for, in bytes.
const SEARCH_BYTES: usize = 256;

/// The last lines of an app's log: what its guests said, and what the host said of their requests. With
/// `follow` the answer goes on with lines as they come, until the client leaves, takes too little for too
/// long, its token is valid no more, or the app is gone.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/apps/{app}/logs", tag = "logs",
    params(("tenant" = TenantId, Path), ("app" = AppName, Path), LogQuery),
    responses((status = 200, description = "lines, the oldest first", content(
            (LogLines = "application/json"), (LogEvent = "application/x-ndjson"))),
        (status = 404, description = "there is no such app", body = Problem),
        (status = 429, description = "too many follow already", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    Extension(hangup): Extension<Hangup>,
    caller: Caller,
    Path((tenant, app)): Path<(TenantId, AppName)>,
    Query(query): Query<LogQuery>,
) -> Result<Response> {
    caller.of(&tenant, Scope::Read)?;
    let (filter, limit, follows) = understood(query)?;
    let id = AppId { tenant, app };
    let place = match follows {
        true => Some(shared.followers.take(&id.tenant, "follow logs")?),
        false => None,
    };
    let reading = shared.reads.take(&id.tenant, "logs and reports are read")?;
    let (asked, held) = (id.clone(), filter.clone());
    let read = shared.ask(move |store| {
        let state = store.app_folder(&asked)?;
        let (lines, follower) = log_tail(&state, &held, limit)?;
        Ok((state, lines, follower))
    });
    let (state, items, follower) = read.await?;
    drop(reading);
    Ok(match place {
        None => ok(LogLines { items }).into_response(),
        Some(place) => follow(
            &shared,
            items,
            Stream { app: id, state, token: caller.token.id, follower, filter, place, hangup },
        ),
    })
}

fn understood(query: LogQuery) -> Result<(LogFilter, usize, bool)> {
    let limit = query.limit.unwrap_or(USUAL);
    if limit > MOST {
        return Err(Failure::invalid(format!("`limit` is 0 to {MOST}")));
    }
    if query.search.as_ref().is_some_and(|search| search.len() > SEARCH_BYTES) {
        return Err(Failure::invalid(format!("`search` has up to {SEARCH_BYTES} bytes")));
    }
    let since = query.since.map(|since| clock::parse("since", &since)).transpose()?;
    // As lines have it, so that texts are compared.
    let since = since.map(|it| it.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Micros, true));
    let filter = LogFilter {
        component: query.component,
        stream: query.stream,
        level: query.level,
        since,
        search: query.search,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok((filter.lowered(), limit, query.follow))
}
