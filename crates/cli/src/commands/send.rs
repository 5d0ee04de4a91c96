//! `dayfly send`: an event for a trigger of an app that runs, and what became of it.

mod target;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use dayfly_capabilities::queue::{Content, Outcome, Table};
use serde_json::json;

use crate::app::pair;
use crate::serving::Serving;
use crate::state::{self, StateArgs};
use crate::{logging, output, report};
use target::Target;

/// How often is looked for what became of it.
const LOOK: Duration = Duration::from_millis(50);

/// Send an event to a trigger of an app that runs, and print what its handler answers
///
/// It looks as those of the trigger do, and goes the same way: it is tried again if it fails, its answer
/// goes to the trigger's output, and it is a dead letter in the end. To a route it is a POST in the binary mode
/// of CloudEvents, and the answer is the route's.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly send thumbnail @picture.png --content-type image/png\n  dayfly send orders '{\"id\": 7}' --subject orders/new --attribute customer=1\n  dayfly send shop --path /carts/7 '{\"item\": 1}' --content-type application/json"
)]
pub(crate) struct Send {
    /// The trigger's id, or the component that it wakes
    trigger: String,
    /// The event's data: a text, `@FILE`, or `-` for standard input
    #[arg(default_value = "")]
    data: String,
    /// What has happened [default: what the trigger says]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// What it is about: a channel, a topic, a key [default: what the trigger says]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// A further attribute; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// The media type of the data
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    content_type: Option<String>,
    /// Of a route that covers several: the path to send to
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Send the data alone to a route, without the event's headers
    #[arg(long)]
    plain: bool,
    /// How long to wait for the handler
    #[arg(long, value_name = "DURATION", value_parser = dayfly_model::manifest::parse_duration, default_value = "60s")]
    timeout: Duration,
    /// Print what became of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    match name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        true => Ok((name, value)),
        false => Err(format!("`{name}` has other signs than lower-case letters and digits")),
    }
}

/// A media type, which has to be a header's value.
fn media_type(text: &str) -> Result<String, String> {
    match text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("it has other signs than one line of ASCII has".to_owned()),
    }
}

impl Send {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let data = state::data(&self.data)?.into();
        let events = match self.state.store().is_owned() {
            true => Some(self.state.queues(false)?),
            false => None,
        };
        let serving = Serving::find(&self.state.folder());
        if events.is_none() && serving.is_none() {
            let error = anyhow!("no app with this state folder runs");
            return Err(report::hint(error, Some(state::HINT)));
        }
        let triggers = events.as_ref().map(Table::announced).transpose()?.unwrap_or_default();
        let found = target::find(&self.trigger, &triggers, &serving.unwrap_or_default())?;
        let named = [("type", self.kind), ("subject", self.subject)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let attributes = named.chain(self.attributes).collect();
        let content = Content { attributes, content_type: self.content_type, data };
        let outcome = match (found, events) {
            (Target::Route(route), _) => {
                let url = route.url(self.path.as_deref())?;
                post(&url, content, self.plain, self.timeout)?
            }
            (Target::Events(_), _) if self.plain || self.path.is_some() => {
                bail!("`--plain` and `--path` are for routes, and `{}` is none", self.trigger);
            }
            (Target::Events(trigger), Some(table)) => {
                through(&table, &trigger, &content, self.timeout)?
            }
            (Target::Events(_), None) => bail!("the app that runs has no triggers of events"),
        };
        tell(&outcome, self.json)
    }
}

/// Sends an event to a route, and waits for the answer.
fn post(url: &str, content: Content, plain: bool, patience: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = runtime.block_on(dayfly_host::send(url, content, plain, patience));
    // A look-up of a name may hang.
    runtime.shutdown_background();
    Ok(sent.map_or_else(Outcome::GivenUp, Outcome::Answered))
}

/// Sends an event to a trigger of events, and waits until it is settled.
fn through(table: &Table, trigger: &str, content: &Content, patience: Duration) -> Result<Outcome> {
    let id = table.send(trigger, content)?;
    table.ring();
    let outcome = wait(table, id, patience);
    table.forget_sent(id)?;
    outcome?.ok_or_else(|| anyhow!("the event was not handled within {patience:?}; it may be yet"))
}

fn wait(table: &Table, id: i64, patience: Duration) -> Result<Option<Outcome>> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(outcome) = table.outcome(id)? {
            return Ok(Some(outcome));
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

fn tell(outcome: &Outcome, json: bool) -> Result<ExitCode> {
    match outcome {
        Outcome::Answered(Content { content_type, data, .. }) if json => {
            output::json(&json!({
                "outcome": "handled",
                "content_type": content_type,
                "data": String::from_utf8_lossy(data),
                "bytes": data.len(),
            }))?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::GivenUp(error) if json => {
            output::json(&json!({ "outcome": "given up", "error": error }))?;
            Ok(ExitCode::FAILURE)
        }
        Outcome::Answered(content) => {
            output::bytes(&content.data)?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::GivenUp(error) => bail!("the event was given up: {error}"),
    }
}
