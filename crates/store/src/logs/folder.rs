//! The folder of an app's log, and its files. No link is followed from what the app keeps on: a process of
//! the app's tenant that was taken over may have put one there, and who reads may read everything.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::LOG_FOLDER;
use crate::private;

/// Only this user reads it.
const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// How many digits the name of a file has.
const DIGITS: usize = 10;

/// One that is open.
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens the one in what an app keeps; nothing if there is none.
    pub(super) fn open(state: &Path) -> io::Result<Option<Self>> {
        match app(state).and_then(|app| folder(&app, LOG_FOLDER.as_ref())) {
            Ok(folder) => Ok(Some(Self(folder))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, and makes it if there is none.
    pub(super) fn make(state: &Path) -> io::Result<Self> {
        private(state).map_err(io::Error::other)?;
        let app = app(state)?;
        match mkdirat(&app, LOG_FOLDER, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => Ok(Self(folder(&app, LOG_FOLDER.as_ref())?)),
            Err(error) => Err(error.into()),
        }
    }

    /// The numbers of the files that are there, the oldest first.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            numbers.extend(entry?.file_name().to_str().ok().and_then(number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Whether there is a file of this number.
    pub(super) fn has(&self, number: u64) -> bool {
        statat(&self.0, name(number), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens a file to read it.
    pub(super) fn read(&self, number: u64) -> io::Result<File> {
        self.file(number, OFlags::RDONLY)
    }

    /// Opens a file to write behind what is there; makes it if there is none.
    pub(super) fn append(&self, number: u64) -> io::Result<File> {
        self.file(number, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        Ok(unlinkat(&self.0, name(number), AtFlags::empty())?)
    }

    fn file(&self, number: u64, how: OFlags) -> io::Result<File> {
        // Nobody waits for the other end of a pipe.
        let how = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name(number), how, FILE_MODE)?);
        if !file.metadata()?.is_file() {
            let text = format!("`{}` of a log is no file", name(number));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(file)
    }
}

/// What an app keeps. What is above it is the platform's alone.
fn app(state: &Path) -> rustix::io::Result<OwnedFd> {
    let (Some(above), Some(name)) = (state.parent(), state.file_name()) else {
        return Err(Errno::INVAL);
    };
    let above = openat(CWD, above, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    folder(&above, name)
}

fn folder(within: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(within, name, how, Mode::empty())
}

fn name(number: u64) -> String {
    format!("{number:0DIGITS$}.jsonl")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl").filter(|digits| digits.len() == DIGITS)?;
    digits.parse().ok()
}
