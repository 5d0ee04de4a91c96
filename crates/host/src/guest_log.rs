//! What guests write to their standard streams: events of the log, and a file a stream and
//! component as Spin keeps them (`logs/COMPONENT_stdout.txt`). Files are opened with the first
//! line, never a request, and turned over before they grow too large.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dayfly_capabilities::wasi::stdio::{Level, LogSink, OutputKind};

/// The target of guests' lines among the log's events.
pub const TARGET: &str = "dayfly::guest";

/// How large a file may grow, in bytes, before it is set aside as `….old`.
const FILE_BYTES: u64 = 64 << 20;

/// The log of one component.
pub struct GuestLog {
    component: String,
    files: Option<[Mutex<LogFile>; 2]>,
}

impl GuestLog {
    /// Lines go to the log, and to files in `folder` if there is one.
    pub fn new(component: &str, folder: Option<&Path>) -> Self {
        let file = |folder: &Path, stream: &str| {
            let name = format!("{}_{stream}.txt", file_name(component));
            Mutex::new(LogFile { path: folder.join(name), open: None, failed: false })
        };
        let files = folder.map(|folder| [file(folder, "stdout"), file(folder, "stderr")]);
        Self { component: component.to_owned(), files }
    }
}

impl GuestLog {
    fn append(&self, kind: OutputKind, line: &str) {
        let index = match kind {
            OutputKind::Stdout => 0,
            OutputKind::Stderr => 1,
        };
        if let Some(files) = &self.files {
            files[index].lock().unwrap_or_else(PoisonError::into_inner).append(line);
        }
    }
}

impl LogSink for GuestLog {
    fn line(&self, kind: OutputKind, line: &str) {
        let stream = match kind {
            OutputKind::Stdout => "stdout",
            OutputKind::Stderr => "stderr",
        };
        let shown = printable(line);
        tracing::info!(target: TARGET, component = %self.component, stream, "{shown}");
        self.append(kind, line);
    }

    /// Messages are events of their own level, and lines of the file for errors.
    fn message(&self, level: Level, context: &str, message: &str) {
        let (component, shown) = (&*self.component, printable(message));
        let context = printable(context);
        let context = Some(&*context).filter(|context| !context.is_empty());
        match level {
            Level::Trace => {
                tracing::trace!(target: TARGET, component = %component, context, "{shown}");
            }
            Level::Debug => {
                tracing::debug!(target: TARGET, component = %component, context, "{shown}");
            }
            Level::Info => {
                tracing::info!(target: TARGET, component = %component, context, "{shown}");
            }
            Level::Warn => {
                tracing::warn!(target: TARGET, component = %component, context, "{shown}");
            }
            Level::Error | Level::Critical => {
                let critical = (level == Level::Critical).then_some(true);
                tracing::error!(
                    target: TARGET, component = %component, context, critical, "{shown}"
                );
            }
        }
        self.append(OutputKind::Stderr, &level.line(context.unwrap_or_default(), message));
    }

    fn host(&self, line: &str) {
        self.append(OutputKind::Stderr, &printable(line));
    }
}

/// A line as a terminal may see it: what would move the cursor or change its colours, and so could
/// forge lines of the host's, is spelled out. Files keep lines as they came.
pub fn printable(line: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || c == '\t';
    if line.chars().all(harmless) {
        return Cow::Borrowed(line);
    }
    line.chars()
        .map(|c| if harmless(c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
}

/// A component's id holds nothing that a file's name may not, but a bare module's is its file's.
fn file_name(component: &str) -> String {
    component
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect()
}

struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
    failed: bool,
}

impl LogFile {
    fn append(&mut self, line: &str) {
        if self.failed {
            return;
        }
        if let Err(error) = self.try_append(line) {
            // Said once: a full disk must not become a flood of its own.
            self.failed = true;
            tracing::error!(path = %self.path.display(), %error, "failed to write a guest's log file");
        }
    }

    fn try_append(&mut self, line: &str) -> io::Result<()> {
        let (file, size) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.path)?),
        };
        let text = format!("{line}\n");
        file.write_all(text.as_bytes())?;
        *size += text.len() as u64;
        if *size > FILE_BYTES {
            self.open = None;
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            std::fs::rename(&self.path, old)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}
