//! Logs and usage: what is asked for by queries, and logs that go on.

use std::time::Duration;

use dayfly_model::platform::{AppId, AppName, TenantId};
use http::Method;

use super::{Call, Client, ClientError, understood};
use crate::{LogEvent, LogLine, LogLines, LogQuery, UsageQuery, UsageReport};

/// How long a log that goes on may say nothing at all: a platform sends something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// The longest line, in bytes.
const LINE_BYTES: usize = 1 << 20;

impl Client {
    /// What a tenant, or one app of it, used.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn usage(
        &self,
        tenant: &TenantId,
        app: Option<&AppName>,
        query: &UsageQuery,
    ) -> Result<UsageReport, ClientError> {
        let app = app.map(|app| format!("/apps/{app}")).unwrap_or_default();
        let pairs = [
            ("from", query.from.as_deref()),
            ("to", query.to.as_deref()),
            ("by", query.by.map(|by| by.as_str())),
            ("step", query.step.map(|step| step.as_str())),
        ];
        self.get(format!("v1/tenants/{tenant}{app}/usage?{}", text(&pairs)))
    }

    /// The last lines of an app's log, the oldest first.
    ///
    /// # Errors
    /// See [`Self::whoami`].
    pub fn logs(&self, app: &AppId, query: &LogQuery) -> Result<Vec<LogLine>, ClientError> {
        let query = LogQuery { follow: false, ..query.clone() };
        Ok(self.get::<LogLines>(path(app, &query))?.items)
    }

    /// The last lines of an app's log, and then lines as they come, for as long as `told` gives true and
    /// the platform goes on.
    ///
    /// # Errors
    /// See [`Self::whoami`]; and if the connection breaks or nothing comes any more.
    pub fn follow_logs(
        &self,
        app: &AppId,
        query: &LogQuery,
        mut told: impl FnMut(LogEvent) -> bool,
    ) -> Result<(), ClientError> {
        let query = LogQuery { follow: true, ..query.clone() };
        let call = Call::new(Method::GET, path(app, &query));
        let request = self.request(&call, None)?;
        let mut line = Vec::new();
        let mut unread = None;
        let answer = self.transport.stream(request, SILENCE, &mut |piece| {
            for byte in piece {
                if *byte != b'\n' {
                    line.push(*byte);
                } else if !line.is_empty() {
                    match serde_json::from_slice(&line) {
                        Ok(event) => {
                            line.clear();
                            if !told(event) {
                                return false;
                            }
                        }
                        Err(error) => {
                            unread = Some(ClientError::Unread(error));
                            return false;
                        }
                    }
                }
            }
            if line.len() > LINE_BYTES {
                unread = Some(ClientError::Long);
            }
            unread.is_none()
        })?;
        match unread {
            Some(error) => Err(error),
            None => understood(answer).map(drop),
        }
    }
}

fn path(AppId { tenant, app }: &AppId, query: &LogQuery) -> String {
    let limit = query.limit.map(|limit| limit.to_string());
    let pairs = [
        ("component", query.component.as_deref()),
        ("stream", query.stream.map(|stream| stream.as_str())),
        ("level", query.level.map(|level| level.as_str())),
        ("since", query.since.as_deref()),
        ("search", query.search.as_deref()),
        ("limit", limit.as_deref()),
        ("follow", query.follow.then_some("true")),
    ];
    format!("v1/tenants/{tenant}/apps/{app}/logs?{}", text(&pairs))
}

/// What is stated, as a query.
fn text(pairs: &[(&str, Option<&str>)]) -> String {
    let stated = pairs.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(stated).finish()
}
