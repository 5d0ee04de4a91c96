//! Logs: bounded on the disk, read while they are written, and whole after a process was killed.

use std::path::Path;

use dayfly_model::platform::{LogLevel, LogLine, LogStream};
use dayfly_store::{AppLog, LOG_FILE_BYTES, LOG_FILES, LogFilter, log_tail};

fn line(number: u64, text: &str) -> LogLine {
    LogLine {
        at: format!(
            "2026-11-30T10:{:02}:{:02}.{:06}Z",
            number / 60 % 60,
            number % 60,
            number / 3600
        ),
        component: if number.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        release: "0123456789ab".to_owned(),
        request: Some(format!("r{number}")),
        stream: LogStream::Stdout,
        level: None,
        context: None,
        text: text.to_owned(),
    }
}

fn all(state: &Path, filter: LogFilter, limit: usize) -> Vec<String> {
    let (lines, _) = log_tail(state, &filter.lowered(), limit).unwrap();
    lines.into_iter().map(|line| line.text).collect()
}

fn bytes(folder: &Path) -> u64 {
    folder.read_dir().unwrap().map(|it| it.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn the_last_lines_are_found_by_what_they_have() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    assert!(all(state, LogFilter::default(), 10).is_empty());
    let log = AppLog::new(state);
    for number in 0..10 {
        log.append(&line(number, &format!("Line {number}"))).unwrap();
    }
    let failed = LogLine {
        stream: LogStream::Host,
        level: Some(LogLevel::Error),
        ..line(10, "the handler failed\nin two lines")
    };
    log.append(&failed).unwrap();
    assert_eq!(all(state, LogFilter::default(), 2), ["Line 9", "the handler failed\nin two lines"]);
    let component = LogFilter { component: Some("odd".to_owned()), ..LogFilter::default() };
    assert_eq!(all(state, component, 2), ["Line 7", "Line 9"]);
    let search = LogFilter { search: Some("LINE 3".to_owned()), ..LogFilter::default() };
    assert_eq!(all(state, search, 9), ["Line 3"]);
    let request = LogFilter { search: Some("r10".to_owned()), ..LogFilter::default() };
    assert_eq!(all(state, request, 9).len(), 1);
    let since = LogFilter { since: Some(line(8, "").at), ..LogFilter::default() };
    assert_eq!(all(state, since, 9).len(), 3);
    let level = |level| LogFilter { level: Some(level), ..LogFilter::default() };
    assert_eq!(all(state, level(LogLevel::Warn), 9).len(), 1);
    assert!(all(state, level(LogLevel::Critical), 9).is_empty());
    let stream = LogFilter { stream: Some(LogStream::Stderr), ..LogFilter::default() };
    assert!(all(state, stream, 9).is_empty() && all(state, LogFilter::default(), 0).is_empty());
}

#[test]
fn a_flood_takes_no_more_than_it_may_and_who_follows_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let log = AppLog::new(state);
    log.append(&line(0, "first")).unwrap();
    let (_, mut late) = log_tail(state, &LogFilter::default(), 10).unwrap();
    let (_, mut along) = log_tail(state, &LogFilter::default(), 10).unwrap();
    let text = "x".repeat(16 << 10);
    let count = LOG_FILE_BYTES * (LOG_FILES + 4) / (16 << 10);
    let mut seen = 0;
    for number in 1..=count {
        log.append(&line(number, &text)).unwrap();
        if number % 20 == 0 || number == count {
            loop {
                let batch = along.read(&LogFilter::default()).unwrap();
                assert!(!batch.missed);
                seen += batch.lines.len() as u64;
                if !batch.has_more && batch.lines.is_empty() {
                    break;
                }
            }
        }
    }
    assert_eq!(seen, count, "who reads along misses nothing");
    let on_disk = bytes(&state.join("log"));
    assert!(on_disk <= LOG_FILE_BYTES * LOG_FILES, "{on_disk}");
    assert!(on_disk > LOG_FILE_BYTES * (LOG_FILES - 2), "{on_disk}");
    // Of the last ones, no more are read than an answer holds.
    let last = all(state, LogFilter::default(), 1000);
    assert!((500..512).contains(&last.len()), "{}", last.len());
    let batch = late.read(&LogFilter::default()).unwrap();
    assert!(batch.lines.is_empty() && batch.missed && batch.has_more);
    assert!(!late.read(&LogFilter::default()).unwrap().lines.is_empty());
}

#[test]
fn what_a_killed_process_left_of_a_line_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    AppLog::new(state).append(&line(1, "one")).unwrap();
    let (_, mut follower) = log_tail(state, &LogFilter::default(), 1).unwrap();
    let file = state.join("log/0000000001.jsonl");
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend_from_slice(b"{\"at\":\"2026");
    std::fs::write(&file, torn).unwrap();
    assert!(follower.read(&LogFilter::default()).unwrap().lines.is_empty());
    AppLog::new(state).append(&line(2, "two")).unwrap();
    let batch = follower.read(&LogFilter::default()).unwrap();
    assert_eq!(batch.lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["two"]);
    assert_eq!(all(state, LogFilter::default(), 9), ["one", "two"]);
}

#[test]
fn lines_that_the_disk_does_not_take_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    // Where the folder would be is a file.
    std::fs::write(state.join("log"), "").unwrap();
    let log = AppLog::new(state);
    log.append(&line(1, "one")).unwrap_err();
    assert_eq!(log.append(&line(2, "two")).unwrap(), 0, "it is said once in a while");
    std::fs::remove_file(state.join("log")).unwrap();
    let since = std::time::Instant::now();
    let lost = loop {
        match log.append(&line(3, "three")).unwrap() {
            0 if since.elapsed().as_secs() < 60 => {
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
            lost => break lost,
        }
    };
    assert!(lost >= 2, "{lost}");
    assert!(!all(state, LogFilter::default(), 9).is_empty());
}

#[test]
fn what_a_tenant_s_process_put_there_leads_to_nobody_else_s_log() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("t1/1"), folder.path().join("t2/2"));
    AppLog::new(&other).append(&line(1, "another's")).unwrap();
    let refused = |state: &Path| log_tail(state, &LogFilter::default(), 10).is_err();
    let log = own.join("log");
    let first = log.join("0000000001.jsonl");
    // A file of another's, a device without an end, a pipe without another end.
    std::fs::create_dir_all(&log).unwrap();
    for target in [other.join("log/0000000001.jsonl").as_path(), Path::new("/dev/zero")] {
        std::os::unix::fs::symlink(target, &first).unwrap();
        assert!(refused(&own), "{}", target.display());
        assert!(AppLog::new(&own).append(&line(2, "own")).is_err());
        std::fs::remove_file(&first).unwrap();
    }
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &first, kind, mode, 0).unwrap();
    assert!(refused(&own));
    std::fs::remove_dir_all(&log).unwrap();
    // A folder of another's, for the log or for all that the app keeps.
    std::os::unix::fs::symlink(other.join("log"), &log).unwrap();
    assert!(refused(&own));
    assert!(AppLog::new(&own).append(&line(2, "own")).is_err());
    std::fs::remove_file(&log).unwrap();
    std::fs::remove_dir(&own).unwrap();
    std::os::unix::fs::symlink(&other, &own).unwrap();
    assert!(refused(&own));
    assert_eq!(all(&other, LogFilter::default(), 10), ["another's"]);
}

#[test]
fn a_file_of_whatever_size_is_read_in_part() {
    let folder = tempfile::tempdir().unwrap();
    AppLog::new(folder.path()).append(&line(1, "first")).unwrap();
    // Mostly a hole: it would be more than there is memory.
    let file = folder.path().join("log/0000000001.jsonl");
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1 << 42).unwrap();
    assert_eq!(all(folder.path(), LogFilter::default(), 10), ["first"]);
}
