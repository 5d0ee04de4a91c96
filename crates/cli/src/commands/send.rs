//! `dayfly send`: an event for a trigger of an app that runs, and what became of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use dayfly_capabilities::queue::{Announced, Content, Outcome, Table};
use serde_json::json;

use crate::app::pair;
use crate::state::{self, StateArgs};
use crate::{logging, output, report};

/// How often is looked for what became of it.
const LOOK: Duration = Duration::from_millis(50);

/// Send an event to a trigger of an app that runs, and print what its handler answers
///
/// It looks as those of the trigger do, and goes the same way: it is tried again if it fails, its answer
/// goes to the trigger's output, and it is a dead letter in the end.
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly send thumbnail @picture.png --content-type image/png\n  dayfly send orders '{\"id\": 7}' --subject orders/new --attribute customer=1"
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
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
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

impl Send {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        let data = state::data(&self.data)?.into();
        if !self.state.store().is_owned() {
            let error = anyhow!("no app with this state folder runs");
            return Err(report::hint(error, Some(state::HINT)));
        }
        let table = self.state.queues(false)?;
        let trigger = find(&self.trigger, &table.announced()?)?;
        let named = [("type", self.kind), ("subject", self.subject)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let attributes = named.chain(self.attributes).collect();
        let content = Content { attributes, content_type: self.content_type, data };
        let id = table.send(&trigger, &content)?;
        let outcome = wait(&table, id, self.timeout);
        table.forget_sent(id)?;
        let Some(outcome) = outcome? else {
            bail!("the event was not handled within {:?}; it may be yet", self.timeout);
        };
        tell(&outcome, self.json)
    }
}

/// The id of a trigger that is named by it, or by the component that it alone wakes.
fn find(name: &str, triggers: &[Announced]) -> Result<String> {
    if let Some(found) = triggers.iter().find(|trigger| trigger.id == name) {
        return Ok(found.id.clone());
    }
    let woken: Vec<_> = triggers.iter().filter(|trigger| trigger.component == name).collect();
    match woken[..] {
        [only] => return Ok(only.id.clone()),
        [] => {}
        _ => {
            let ids: Vec<_> = woken.iter().map(|trigger| format!("`{}`", trigger.id)).collect();
            bail!("component `{name}` is woken by several triggers: {}", ids.join(", "));
        }
    }
    let line = |it: &Announced| format!("`{}` ({}) wakes `{}`", it.id, it.source, it.component);
    let all: Vec<_> = triggers.iter().map(line).collect();
    let error =
        anyhow!("no trigger of events has the id `{name}`, and none wakes such a component");
    let hint = match all.is_empty() {
        true => "the app that runs has none: routes are asked by HTTP".to_owned(),
        false => format!("the app has {}", all.join(", ")),
    };
    Err(report::hint(error, Some(hint)))
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
