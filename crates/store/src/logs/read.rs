//! Reading logs while they are written: the last lines, and whatever comes behind them.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use dayfly_model::platform::LogLine;

use super::folder::Folder;
use super::{LOG_FILE_BYTES, LOG_FILES, LOG_FOLDER, LogFilter};
use crate::{Result, StoreError};

/// How much of a file is read at once by those who follow, in bytes. The longest line is shorter.
const PIECE_BYTES: u64 = 256 << 10;

/// How much the last lines come to at most that are read, in bytes.
const TAIL_BYTES: usize = 8 << 20;

/// Reads what comes behind a place.
#[derive(Debug, Clone)]
pub struct LogFollower {
    /// What the app keeps.
    kept: PathBuf,
    /// The file, and where in it the next line begins.
    place: Option<(u64, u64)>,
}

/// Some lines.
#[derive(Debug, Default)]
pub struct LogBatch {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Whether lines before them are gone that nobody has read.
    pub missed: bool,
    /// Whether there may be more right now.
    pub has_more: bool,
}

/// The last lines of the log of what an app keeps, the oldest first, at most so many and 8 MiB, and a
/// follower for what comes behind them.
///
/// # Errors
/// If the disk fails.
pub fn log_tail(
    state: &Path,
    filter: &LogFilter,
    limit: usize,
) -> Result<(Vec<LogLine>, LogFollower)> {
    tail(state, filter, limit).map_err(StoreError::io(&state.join(LOG_FOLDER)))
}

fn tail(kept: &Path, filter: &LogFilter, limit: usize) -> io::Result<(Vec<LogLine>, LogFollower)> {
    let mut follower = LogFollower { kept: kept.to_owned(), place: None };
    let (mut lines, mut room) = (Vec::new(), TAIL_BYTES);
    let Some(folder) = Folder::open(kept)? else { return Ok((lines, follower)) };
    // As many files as the writer keeps: there are more only where something else wrote them.
    for number in folder.numbers()?.into_iter().rev().take(LOG_FILES as usize + 1) {
        let file = match folder.read(number) {
            // The writer has gone on meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(LOG_FILE_BYTES).read_to_end(&mut bytes)?;
        let whole = whole(&bytes);
        follower.place.get_or_insert((number, whole.len() as u64));
        let mut is_over = false;
        for text in whole.rsplit(|byte| *byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<LogLine>(text) else { continue };
            is_over = filter.is_over(&line) || text.len() > room;
            if is_over || lines.len() >= limit {
                break;
            }
            if filter.takes(&line) {
                room -= text.len();
                lines.push(line);
            }
        }
        if is_over || lines.len() >= limit {
            break;
        }
    }
    lines.reverse();
    Ok((lines, follower))
}

/// The lines that are there to their ends.
fn whole(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    &bytes[..end]
}

impl LogFollower {
    /// The lines that have come since, as far as the filter takes them; nothing if there is none.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn read(&mut self, filter: &LogFilter) -> Result<LogBatch> {
        let folder = self.kept.join(LOG_FOLDER);
        self.try_read(filter).map_err(StoreError::io(&folder))
    }

    fn try_read(&mut self, filter: &LogFilter) -> io::Result<LogBatch> {
        let mut batch = LogBatch::default();
        let Some(folder) = Folder::open(&self.kept)? else { return Ok(batch) };
        let (number, offset) = match self.place {
            Some(place) => place,
            None => match folder.numbers()?.first() {
                Some(first) => (*first, 0),
                None => return Ok(batch),
            },
        };
        // Asked before: a file that another one follows gets no more lines.
        let is_done = folder.has(number + 1);
        let bytes = match piece(&folder, number, offset) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let first = folder.numbers()?.first().copied();
                batch.missed = first.is_some_and(|first| first > number);
                batch.has_more = batch.missed;
                self.place = first.map(|first| (first, 0));
                return Ok(batch);
            }
            bytes => bytes?,
        };
        let whole = whole(&bytes);
        let lines = whole.split(|byte| *byte == b'\n');
        let lines = lines.filter_map(|line| serde_json::from_slice::<LogLine>(line).ok());
        batch.lines = lines.filter(|line| filter.takes(line)).collect();
        self.place = Some(match (whole.len(), is_done) {
            (0, true) => (number + 1, 0),
            // No line of ours is that long.
            (0, _) if bytes.len() as u64 == PIECE_BYTES => (number, offset + PIECE_BYTES),
            (read, _) => (number, offset + read as u64),
        });
        batch.has_more = is_done || bytes.len() as u64 == PIECE_BYTES;
        Ok(batch)
    }
}

fn piece(folder: &Folder, number: u64, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = folder.read(number)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(PIECE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
