//! `dayfly logs`: what an app's guests say, and what the host says of their requests.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use dayfly_api::{
    AppId, AppName, Client, ClientError, LogEvent, LogLevel, LogLine, LogNotice, LogQuery,
    LogStream, Notice,
};

use crate::platform::{PlatformArgs, Session, failed, parse_since};
use crate::{app, logging, output, report};

/// Show the log of an app: what its guests print and log, and why requests failed
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly logs -f\n  dayfly logs shop --since 10m --level warn --search timeout"
)]
pub(crate) struct Logs {
    /// The app [default: the one of this folder's manifest]
    app: Option<AppName>,

    /// Go on with lines as they come
    #[arg(short, long)]
    follow: bool,

    /// Lines of this component
    #[arg(long, value_name = "NAME")]
    component: Option<String>,

    /// Lines of this stream
    #[arg(long, value_enum, value_name = "STREAM")]
    stream: Option<Stream>,

    /// Lines of this level, or one that matters more; what guests print has none
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<Level>,

    /// From when: a span before now such as `10m` or `2d`, or a time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<String>,

    /// Lines that have this, be it capital letters or not: in their text, or as their request's id
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// How many of the last lines, up to 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    lines: u32,

    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stream {
    /// What guests print
    Stdout,
    /// What they print as errors
    Stderr,
    /// What they log by `wasi:logging`
    Logging,
    /// What the host says of their requests
    Host,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// The wait before a log is followed again whose connection broke.
const PAUSE: Duration = Duration::from_secs(1);

/// How many lines are asked for again then.
const AGAIN: u32 = 1000;

const FAINT: Style = Style::new().dimmed();
const NAME: Style = AnsiColor::Cyan.on_default();
const ERROR: Style = AnsiColor::Red.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();

impl Logs {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let app = self.app()?;
        let session = self.platform.open()?;
        let (app, query) = (session.app(&app), self.query());
        match self.follow {
            true => self.follow(&session, &app, query)?,
            false => {
                let lines = session.client.logs(&app, &query);
                let lines = lines.map_err(|error| failed(error, reading(&app)))?;
                lines.iter().try_for_each(|line| self.show(line))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The app that is named, or the one here.
    fn app(&self) -> Result<AppName> {
        if let Some(app) = &self.app {
            return Ok(app.clone());
        }
        let hint = "name the app: `dayfly logs APP`";
        let here = app::read(Path::new("."), None);
        let here = here.map_err(|error| report::hint(error, Some(hint)))?;
        here.name.parse().map_err(|error| report::hint(anyhow!("{error}"), Some(hint)))
    }

    fn query(&self) -> LogQuery {
        LogQuery {
            component: self.component.clone(),
            stream: self.stream.map(|stream| match stream {
                Stream::Stdout => LogStream::Stdout,
                Stream::Stderr => LogStream::Stderr,
                Stream::Logging => LogStream::Logging,
                Stream::Host => LogStream::Host,
            }),
            level: self.level.map(|level| match level {
                Level::Trace => LogLevel::Trace,
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
                Level::Critical => LogLevel::Critical,
            }),
            since: self.since.clone(),
            search: self.search.clone(),
            limit: Some(self.lines),
            follow: self.follow,
        }
    }

    /// Shows lines as they come. A connection that breaks is made again, and no line is shown twice.
    fn follow(&self, session: &Session, app: &AppId, mut query: LogQuery) -> Result<()> {
        let mut last: Option<LogLine> = None;
        for attempt in 0.. {
            match self.follow_once(&session.client, app, &query, &mut last) {
                Stopped::Failed(error) => return Err(error),
                // Nobody was there to begin with.
                Stopped::Broke(error @ ClientError::Connect(_)) if attempt == 0 => {
                    return Err(failed(error, reading(app)));
                }
                Stopped::Broke(error) => report::warn(format_args!("{error}: trying again")),
                Stopped::Ended(why) => report::warn(format_args!("{why}: trying again")),
            }
            std::thread::sleep(PAUSE);
            if let Some(last) = &last {
                (query.since, query.limit) = (Some(last.at.clone()), Some(AGAIN));
            }
        }
        Ok(())
    }

    fn follow_once(
        &self,
        client: &Client,
        app: &AppId,
        query: &LogQuery,
        last: &mut Option<LogLine>,
    ) -> Stopped {
        // Lines up to this one were shown before.
        let mut seen = last.clone();
        let mut ended = None;
        let followed = client.follow_logs(app, query, |event| {
            let done = match event {
                LogEvent::Line(line) => {
                    let is_old = seen.as_ref().is_some_and(|seen| line.at <= seen.at);
                    if is_old {
                        return true;
                    }
                    seen = None;
                    let shown = self.show(&line);
                    *last = Some(line);
                    shown.map_err(Stopped::Failed)
                }
                LogEvent::Notice(notice) => told(notice),
            };
            ended = done.err();
            ended.is_none()
        });
        match (ended, followed) {
            (Some(ended), _) => ended,
            (None, Ok(())) => Stopped::Ended("the platform ended the log".to_owned()),
            (None, Err(error)) => match error {
                ClientError::Connect(_) | ClientError::Broken(_) | ClientError::Stalled(_) => {
                    Stopped::Broke(error)
                }
                error => Stopped::Failed(failed(error, reading(app))),
            },
        }
    }

    fn show(&self, line: &LogLine) -> Result<()> {
        match self.platform.json {
            true => output::line(serde_json::to_string(line)?),
            false => output::line(shown(line)),
        }
    }
}

/// Why nothing comes any more.
enum Stopped {
    /// The platform had a reason; it may go on when it is asked for again.
    Ended(String),
    /// The connection broke, or there was none.
    Broke(ClientError),
    Failed(anyhow::Error),
}

fn told(LogNotice { notice, detail }: LogNotice) -> Result<(), Stopped> {
    let detail = report::harmless(&detail);
    match notice {
        Notice::Missed => {
            report::warn(detail);
            Ok(())
        }
        Notice::Slow | Notice::Over => Err(Stopped::Ended(detail)),
        Notice::Unauthenticated | Notice::Gone => Err(Stopped::Failed(anyhow!("{detail}"))),
    }
}

fn reading(app: &AppId) -> String {
    format!("read the log of `{}`", app.app)
}

/// A line for people.
fn shown(line: &LogLine) -> String {
    let time = chrono::DateTime::parse_from_rfc3339(&line.at);
    let time = time.map_or_else(
        |_| report::harmless(&line.at),
        |time| time.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
    );
    let style = match line.level {
        Some(LogLevel::Error | LogLevel::Critical) => ERROR,
        Some(LogLevel::Warn) => WARNING,
        _ => Style::new(),
    };
    let who = match (line.stream, line.level) {
        (LogStream::Logging, Some(level)) => level.as_str(),
        (stream, _) => stream.as_str(),
    };
    let printable = |text: &str| dayfly_host::printable(text).into_owned();
    let component = printable(&line.component);
    let request = printable(line.request.as_deref().unwrap_or("-"));
    let context = line.context.as_deref().map(|it| format!("[{}] ", printable(it)));
    let (context, text) = (context.unwrap_or_default(), printable(&line.text));
    format!(
        "{FAINT}{time} {request}{FAINT:#} {NAME}{component}{NAME:#} {style}{who}{style:#} \
         {context}{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_it_has_and_moves_no_cursor() {
        let line = LogLine {
            at: "2026-11-30T12:00:01.234567Z".to_owned(),
            component: "api".to_owned(),
            release: "0123456789ab".to_owned(),
            request: Some("00000000ab".to_owned()),
            stream: LogStream::Logging,
            level: Some(LogLevel::Warn),
            context: Some("cart".to_owned()),
            text: "slow\u{1b}[2J".to_owned(),
        };
        let text = anstream::adapter::strip_str(&shown(&line)).to_string();
        assert_eq!(text, "2026-11-30 12:00:01.234Z 00000000ab api warn [cart] slow\\u{1b}[2J");
    }
}
