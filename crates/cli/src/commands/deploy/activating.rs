//! The last step: the release becomes active, and is served, or what was before is again.

use anyhow::{Result, anyhow};
use dayfly_api::{
    Activate, Activation, AppId, AppName, Ask, ClientError, Code, NewPreview, Preview, PreviewName,
    Release,
};
use dayfly_host::printable;

use super::Deploy;
use crate::output::Size;
use crate::platform::{Session, failed, rollout};
use crate::report;

impl Deploy {
    /// Makes a release active, and waits until it is served; if that does not come, what was before is
    /// active again.
    pub(super) fn activate(
        &self,
        session: &Session,
        app: &AppId,
        release: &Release,
        before: &Activation,
    ) -> Result<Activation> {
        if self.accept && !self.quiet {
            let difference = session.client.difference(app, &release.id);
            let difference = difference.map_err(|error| failed(error, "compare releases"))?;
            for ask in &difference.asks {
                report::note("Accepted", described(ask));
            }
        }
        let activate = Activate {
            release: release.id.clone(),
            percent: self.percent,
            accept: self.accept,
            health_path: self.health_path.clone(),
        };
        let active = session.client.activate(app, &activate, Some(before.generation));
        let active = active.map_err(|error| refused(error, app))?;
        rollout::take_effect(session, app, active, before, self.timeout)
    }
}

impl Deploy {
    /// Shows a release by a preview, and waits until that is served.
    pub(super) fn show(
        &self,
        session: &Session,
        app: &AppId,
        release: &Release,
        name: &PreviewName,
    ) -> Result<Preview> {
        let new = NewPreview {
            release: release.id.clone(),
            accept: self.accept,
            expires_in_seconds: Some(self.expires.as_secs()),
            health_path: self.health_path.clone(),
        };
        let made = session.client.make_preview(app, name, &new);
        let mut preview = made.map_err(|error| refused(error, app))?;
        let own = AppId { tenant: app.tenant.clone(), app: own_name(app, name)? };
        preview.active = rollout::served(session, &own, preview.active, self.timeout)?;
        Ok(preview)
    }
}

/// What a preview is called as an app, which it is to the platform.
fn own_name(app: &AppId, name: &PreviewName) -> Result<AppName> {
    Ok(format!("{name}--{}", app.app).parse()?)
}

/// Why a release did not become active; what it asks for is listed.
fn refused(error: ClientError, app: &AppId) -> anyhow::Error {
    match error.problem() {
        Some(problem) if problem.code == Code::Grants => {
            let asks: Vec<_> =
                problem.asks.iter().map(|ask| format!("\n  + {}", described(ask))).collect();
            let name = &app.app;
            let text = format!(
                "the release asks for more than the active one of `{name}`, which goes on:{}",
                asks.concat()
            );
            report::hint(anyhow!(text), Some("if it may have that, deploy it with `--accept`"))
        }
        Some(problem) if problem.code == Code::Changed => report::hint(
            anyhow!("somebody else has changed `{}` since this began", app.app),
            Some("look at `dayfly releases` and deploy again"),
        ),
        _ => failed(error, format!("activate the release of `{}`", app.app)),
    }
}

/// Something that a release asks for, for people.
fn described(ask: &Ask) -> String {
    let Ask { component, kind, name, before, after } = ask;
    let of = component.as_ref().map(|id| format!("component `{id}`: ")).unwrap_or_default();
    let value = |value: &Option<u64>| match (value, name.as_str()) {
        (None, _) => "none".to_owned(),
        (Some(ms), "cpu" | "time") => format!("{ms} ms"),
        (Some(bytes), "memory" | "stack" | "body" | "output" | "log" | "log_rate" | "database") => {
            Size(*bytes).to_string()
        }
        (Some(count), _) => count.to_string(),
    };
    let text = match kind.as_str() {
        "limit" => format!("{of}limit `{name}` {} instead of {}", value(after), value(before)),
        "trigger" => format!("{of}to be woken by `{name}`"),
        "host" => format!("{of}to reach `{name}`"),
        "write" => format!("{of}to write files in `{name}`"),
        "websockets" => format!("{of}to send to WebSockets"),
        kind => format!("{of}{} `{name}`", kind.replace('_', " ")),
    };
    printable(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_asks_for_is_said_in_words() {
        let ask = |kind: &str, name: &str, before, after| {
            let (kind, name) = (kind.to_owned(), name.to_owned());
            described(&Ask { component: Some("a".to_owned()), kind, name, before, after })
        };
        let host = ask("host", "https://b.example:443", None, None);
        assert_eq!(host, "component `a`: to reach `https://b.example:443`");
        let limit = ask("limit", "memory", Some(128 << 20), Some(300 << 20));
        assert_eq!(limit, "component `a`: limit `memory` 300 MiB instead of 128 MiB");
        let limit = ask("limit", "instructions", Some(100), None);
        assert_eq!(limit, "component `a`: limit `instructions` none instead of 100");
        assert_eq!(ask("key_value", "default", None, None), "component `a`: key value `default`");
        assert!(!ask("host", "a\u{1b}[2J\nb", None, None).contains(['\u{1b}', '\n']));
    }
}
