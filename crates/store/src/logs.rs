//! Logs of apps: lines of JSON ([`LogLine`]) in files with numbers, one after the other, of which so many
//! are kept. The node writes them, others read them meanwhile.

mod filter;
mod folder;
mod read;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dayfly_model::platform::LogLine;

use crate::{Result, StoreError};

use folder::Folder;

pub use filter::LogFilter;
pub use read::{LogBatch, LogFollower, log_tail};

/// How large one file grows, in bytes, before the next one is begun.
pub const LOG_FILE_BYTES: u64 = 4 << 20;

/// How many files an app has at most: 64 MiB.
pub const LOG_FILES: u64 = 16;

/// The folder of an app's log, in what it keeps.
pub const LOG_FOLDER: &str = "log";

/// After how long a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The log of one app, to be written. There is one of each app at a time.
pub struct AppLog {
    /// What the app keeps.
    kept: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// When the disk is tried again.
    retry: Option<Instant>,
    /// Lines that the disk did not take.
    lost: u64,
}

struct Open {
    file: File,
    number: u64,
    bytes: u64,
}

impl AppLog {
    /// The log of what an app keeps; nothing is opened before the first line.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { kept: state.to_owned(), state: Mutex::default() }
    }

    /// Writes a line, and says how many before it were lost because the disk did not take them.
    ///
    /// # Errors
    /// If the disk does not take it, which is said once in a while only.
    pub fn append(&self, line: &LogLine) -> Result<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.retry.is_some_and(|retry| retry > Instant::now()) {
            state.lost += 1;
            return Ok(0);
        }
        let mut text = serde_json::to_vec(line).map_err(StoreError::record)?;
        text.push(b'\n');
        let written = state.write(&self.kept, &text);
        state.retry = None;
        if let Err(error) = written {
            (state.open, state.retry) = (None, Some(Instant::now() + RETRY));
            state.lost += 1;
            return Err(StoreError::io(&self.kept.join(LOG_FOLDER))(error));
        }
        Ok(std::mem::take(&mut state.lost))
    }
}

impl State {
    fn write(&mut self, kept: &Path, text: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::latest(kept)?,
        };
        if open.bytes > 0 && open.bytes + text.len() as u64 > LOG_FILE_BYTES {
            let folder = Folder::make(kept)?;
            open = Open::new(&folder, open.number + 1)?;
            remove_old(&folder, open.number)?;
        }
        open.file.write_all(text)?;
        open.bytes += text.len() as u64;
        self.open = Some(open);
        Ok(())
    }
}

impl Open {
    /// The latest file of what an app keeps, or the first one; what a process that was killed left of a
    /// line is ended.
    fn latest(kept: &Path) -> io::Result<Self> {
        let folder = Folder::make(kept)?;
        let number = folder.numbers()?.last().copied().unwrap_or(1);
        let mut open = Self::new(&folder, number)?;
        if open.bytes > 0 {
            let mut last = [0];
            open.file.seek(SeekFrom::End(-1))?;
            open.file.read_exact(&mut last)?;
            if last != *b"\n" {
                open.file.write_all(b"\n")?;
                open.bytes += 1;
            }
        }
        Ok(open)
    }

    fn new(folder: &Folder, number: u64) -> io::Result<Self> {
        let file = folder.append(number)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, number, bytes })
    }
}

fn remove_old(folder: &Folder, latest: u64) -> io::Result<()> {
    for number in folder.numbers()? {
        if number + LOG_FILES <= latest {
            folder.remove(number)?;
        }
    }
    Ok(())
}
