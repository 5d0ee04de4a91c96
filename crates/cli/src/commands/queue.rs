//! `dayfly queue`: looks into an app's queues, and puts messages into them.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::{Args, Subcommand};
use dayfly_capabilities::queue::{Content, Message, New};
use serde_json::json;

use crate::state::{self, StateArgs};
use crate::{logging, output, report};

/// Look into the queues that Dayfly keeps for an app, and put messages into them
#[derive(Args)]
#[command(
    after_help = "Example:\n  dayfly queue send mail '{\"to\": \"someone\"}' --delay 10s\n  dayfly queue list"
)]
pub(crate) struct Queue {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Put a message into a queue
    Send {
        /// The queue
        queue: String,
        /// The message: a text, `@FILE`, or `-` for standard input
        data: String,
        /// How long it is not taken, such as `10s`
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
        delay: Duration,
        /// Messages of a higher one are taken first
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        priority: i32,
        /// The media type of the message
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
        #[command(flatten)]
        state: StateArgs,
    },
    /// List the queues that have messages
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Show the first messages of a queue; they stay there
    Show {
        /// The queue
        queue: String,
        /// How many
        #[arg(long, default_value_t = 20)]
        most: u32,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Forget all messages of a queue that are not being handled
    Purge {
        /// The queue
        queue: String,
        #[command(flatten)]
        state: StateArgs,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { dayfly_model::manifest::parse_duration(text) }
}

impl Queue {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_quietly();
        match self.verb {
            Verb::Send { queue, data, delay, priority, content_type, state } => {
                dayfly_model::manifest::check_queue(&queue).map_err(|error| {
                    anyhow::anyhow!("`{queue}` is no name of a queue: it {error}")
                })?;
                let time = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).to_rfc3339();
                let attributes = vec![("time".to_owned(), time)];
                let data = state::data(&data)?.into();
                let content = Content { attributes, content_type, data };
                let table = state.queues(true)?;
                let id = table.put(&New { queue: queue.clone(), delay, priority, content })?;
                table.ring();
                report::note("Sent", format!("message {id} to queue `{queue}`"));
            }
            Verb::List { json, state } => list(json, &state)?,
            Verb::Show { queue, most, json, state } => {
                show(&state.queues(false)?.peek(&queue, most)?, json)?;
            }
            Verb::Purge { queue, state } => {
                let count = state.queues(false)?.purge(&queue)?;
                report::note("Forgot", format!("{count} messages of queue `{queue}`"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(json: bool, state: &StateArgs) -> Result<()> {
    let tallies = state.queues(false)?.tallies()?;
    if json {
        let tally = |it: &dayfly_capabilities::queue::Tally| json!({"queue": it.queue, "ready": it.ready, "delayed": it.delayed, "taken": it.taken});
        return output::json(&tallies.iter().map(tally).collect());
    }
    if tallies.is_empty() {
        report::note("Empty", "no queue has a message");
    }
    for it in tallies {
        output::line(format_args!(
            "{:<24} {:>8} ready {:>8} delayed {:>6} being handled",
            it.queue, it.ready, it.delayed, it.taken
        ))?;
    }
    Ok(())
}

fn show(messages: &[Message], json: bool) -> Result<()> {
    if json {
        let message = |message: &Message| {
            let mut shown = state::json_of(&message.content);
            shown["id"] = message.id.into();
            shown["attempts"] = message.attempts.into();
            shown
        };
        return output::json(&messages.iter().map(message).collect());
    }
    for Message { id, attempts, content } in messages {
        output::line(format_args!("{id:>8}  {attempts:>3} attempts  {}", state::line(content)))?;
    }
    Ok(())
}
