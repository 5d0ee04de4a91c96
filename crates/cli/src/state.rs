//! The state of an app, for commands that look at it from outside, whether the app runs or not.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use clap::Args;
use dayfly_capabilities::queue::{Content, MESSAGE_BYTES, QueueError, Store, Table};
use dayfly_host::printable;
use serde_json::{Value, json};

use crate::app::folder_of;
use crate::report;

/// Which app's state.
#[derive(Args)]
pub(crate) struct StateArgs {
    /// The app: its folder or its manifest
    #[arg(short, long, value_name = "PATH", default_value = ".")]
    from: PathBuf,

    /// The app's folder for what it keeps [default: `.dayfly` beside the manifest]
    #[arg(long, env = "DAYFLY_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl StateArgs {
    /// The folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let beside = || {
            let app = if self.from.is_dir() { self.from.clone() } else { folder_of(&self.from) };
            app.join(".dayfly")
        };
        self.state_dir.clone().unwrap_or_else(beside)
    }

    /// The app's queues, not opened yet.
    pub(crate) fn store(&self) -> Store {
        Store::new(&self.folder())
    }

    /// The app's queues and dead letters.
    ///
    /// # Errors
    /// If there are none, unless they are `made`, or their file cannot be opened.
    pub(crate) fn queues(&self, made: bool) -> Result<Table> {
        let file = self.store().path().to_owned();
        if !made && !file.exists() {
            let error =
                anyhow::anyhow!("`{}` does not exist: no event was kept there", file.display());
            return Err(report::hint(error, Some(HINT)));
        }
        Ok(Table::open(&file)?)
    }
}

/// How to name an app's state.
pub(crate) const HINT: &str = "`--from` names the app, `--state-dir` its folder";

/// How much of a message's data is shown in a line, in characters.
const LINE: usize = 60;

/// Data in a line.
pub(crate) fn line(content: &Content) -> String {
    let text = String::from_utf8_lossy(&content.data[..content.data.len().min(4 * LINE)]);
    let first = text.lines().next().unwrap_or_default();
    let shown: String = printable(first).chars().take(LINE).collect();
    let is_all = shown.len() == content.data.len();
    if is_all { shown } else { format!("{shown}… ({} bytes)", content.data.len()) }
}

/// An event as JSON; data that is no text stands there as far as it is.
pub(crate) fn json_of(content: &Content) -> Value {
    let attributes = content.attributes.iter();
    let attributes: serde_json::Map<String, Value> =
        attributes.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    json!({
        "attributes": attributes,
        "content_type": content.content_type,
        "data": String::from_utf8_lossy(&content.data),
        "bytes": content.data.len(),
    })
}

/// A time as ISO 8601 has it, to the second.
pub(crate) fn time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The data that a command line names: a text, `@FILE`, or `-` for standard input. No more is read of
/// it than a message may have.
pub(crate) fn data(text: &str) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let most = MESSAGE_BYTES as u64 + 1;
    match text.strip_prefix('@') {
        Some(file) => {
            let read = File::open(file).and_then(|file| file.take(most).read_to_end(&mut data));
            read.with_context(|| format!("failed to read `{file}`"))?;
        }
        None if text == "-" => {
            std::io::stdin().lock().take(most).read_to_end(&mut data)?;
        }
        None => data.extend_from_slice(text.as_bytes()),
    }
    if data.len() > MESSAGE_BYTES {
        return Err(QueueError::TooLarge.into());
    }
    Ok(data)
}
