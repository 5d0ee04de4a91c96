//! Reads files of requirements, and takes of them what `pip` can be handed without running anything of a
//! package: names, versions, hashes and indexes. What names a file, an address or anything else that
//! would be built on this machine is refused.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Files of requirements that name one another.
const MAX_FILES: usize = 32;

/// The largest of them.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Endings by which `pip` takes a name for a file.
const ARCHIVES: [&str; 8] = [".whl", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".lzma"];

/// Why a line is not handed on.
const ODD: &str = "is no requirement by name and version";
const PLACE: &str = "names a package by an address or a path, whose code would run on this machine";
const OPTION: &str = "has an option that is not handed to `pip`";
const INDEX: &str = "names an index that is not at `https://`";
const ELSEWHERE: &str = "names a file by an address";
const HASH: &str = "has a hash that is none";
const CHARACTER: &str = "has `$`, a quote or a backslash in an option, or what is not ASCII";

/// Requirements cannot be read, or are not handed to `pip`.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is a device, a folder or the like.
    #[error("`{}` is no regular file", path.display())]
    NoFile {
        /// Which one.
        path: PathBuf,
    },
    /// A file is larger than anybody writes.
    #[error("`{}` is larger than {} MiB", path.display(), MAX_FILE_BYTES >> 20)]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
    /// There are more files than anybody writes.
    #[error("more than {MAX_FILES} files name one another")]
    TooMany,
    /// A line might run something, or is not understood. It is not shown: addresses have passwords.
    #[error("line {line} of `{}` {what}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a file of requirements, and those that it names, ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Requirements {
    /// Requirements and options, one a line.
    pub(super) wanted: String,
    /// Constraints, one a line.
    pub(super) constraints: String,
}

/// What the requirements in a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wanted,
    Constraint,
}

impl Requirements {
    /// Reads a file and those that it names by `-r` and `-c`.
    ///
    /// # Errors
    /// When one cannot be read, or has a line that is not handed to `pip`.
    pub(super) fn read(path: &Path) -> Result<Self, RequirementsError> {
        let mut all = Self::default();
        let mut left = vec![(path.to_owned(), Kind::Wanted)];
        let mut seen = Vec::new();
        while let Some((path, kind)) = left.pop() {
            if seen.contains(&(path.clone(), kind)) {
                continue;
            }
            if seen.len() == MAX_FILES {
                return Err(RequirementsError::TooMany);
            }
            for (line, text) in joined(&text(&path)?) {
                let named = all.take(&text, kind).map_err(|what| {
                    let path = path.clone();
                    RequirementsError::Refused { path, line, what }
                })?;
                let named = named.into_iter();
                left.extend(named.map(|(name, kind)| (path.with_file_name(name), kind)));
            }
            seen.push((path, kind));
        }
        Ok(all)
    }

    /// Takes a line; says which files it names.
    fn take(&mut self, text: &str, kind: Kind) -> Result<Vec<(String, Kind)>, &'static str> {
        if !text.chars().all(|it| it == '\t' || it == ' ' || it.is_ascii_graphic() && it != '$') {
            return Err(CHARACTER);
        }
        let mut words = text.split_whitespace().peekable();
        let mut requirement = Vec::new();
        while let Some(word) = words.next_if(|word| !word.starts_with('-')) {
            requirement.push(word);
        }
        let requirement = requirement.join(" ");
        if requirement.is_empty() {
            return self.options(words);
        }
        is_requirement(&requirement)?;
        let into = match kind {
            Kind::Wanted => &mut self.wanted,
            Kind::Constraint => &mut self.constraints,
        };
        into.push_str(&requirement);
        while let Some(word) = words.next() {
            let (option, value) = option(word);
            let value = value.or_else(|| words.next()).unwrap_or_default();
            match option {
                "--hash" if is_hash(value) => into.push_str(&format!(" --hash={value}")),
                "--hash" => return Err(HASH),
                _ => return Err(OPTION),
            }
        }
        into.push('\n');
        Ok(Vec::new())
    }

    /// Takes the options of a line of these alone.
    fn options<'w>(
        &mut self,
        mut words: impl Iterator<Item = &'w str>,
    ) -> Result<Vec<(String, Kind)>, &'static str> {
        let mut named = Vec::new();
        while let Some(word) = words.next() {
            let (option, value) = option(word);
            if let ("--no-index" | "--pre" | "--prefer-binary" | "--require-hashes", None) =
                (option, value)
            {
                self.wanted.push_str(&format!("{option}\n"));
                continue;
            }
            let value = value.or_else(|| words.next()).ok_or(OPTION)?;
            if value.contains(['"', '\'', '\\']) {
                return Err(CHARACTER);
            }
            match option {
                "-r" | "--requirement" | "-c" | "--constraint" if value.contains("://") => {
                    return Err(ELSEWHERE);
                }
                "-r" | "--requirement" => named.push((value.to_owned(), Kind::Wanted)),
                "-c" | "--constraint" => named.push((value.to_owned(), Kind::Constraint)),
                "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" => {
                    if !value.starts_with("https://") {
                        return Err(INDEX);
                    }
                    self.wanted.push_str(&format!("{option} {value}\n"));
                }
                // As it is anyhow.
                "--only-binary" if value == ":all:" => {}
                "-e" | "--editable" => return Err(PLACE),
                _ => return Err(OPTION),
            }
        }
        Ok(named)
    }
}

/// A file's text.
fn text(path: &Path) -> Result<String, RequirementsError> {
    let failed = |source| RequirementsError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(RequirementsError::NoFile { path: path.to_owned() });
    }
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let length = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(RequirementsError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

/// Lines without comments, those that end with a backslash joined to the next; each with its number.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut all) = begun.take().unwrap_or((index + 1, String::new()));
        let line = without_comment(line);
        match line.strip_suffix('\\') {
            Some(line) => {
                all.push_str(line);
                begun = Some((number, all));
            }
            None => {
                all.push_str(line);
                lines.push((number, all));
            }
        }
    }
    lines.extend(begun);
    lines
}

fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let at = line.match_indices('#').map(|(at, _)| at).find(begins);
    &line[..at.unwrap_or(line.len())]
}

/// An option, and its value if that is in the same word.
fn option(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (option, Some(value)),
        _ if word.starts_with("--") || word.len() <= 2 => (word, None),
        _ => (&word[..2], Some(&word[2..])),
    }
}

fn is_hash(text: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.split_once(':').is_some_and(|(name, digits)| is_plain(name) && is_plain(digits))
}

/// Whether this is `name[extra] specifier ; marker`.
fn is_requirement(text: &str) -> Result<(), &'static str> {
    let (text, marker) = text.split_once(';').unwrap_or((text, ""));
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if text.contains(['@', '/', '\\', ':'])
        || text.starts_with('.')
        || ARCHIVES.iter().any(|ending| lower.ends_with(ending))
    {
        return Err(PLACE);
    }
    let is_name = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
    let (name, rest) = text.split_at(text.find(|it| !is_name(it)).unwrap_or(text.len()));
    let rest = match rest.trim_start().strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((extras, rest))) if extras.chars().all(|it| is_name(it) || ", ".contains(it)) => {
            rest.trim_start()
        }
        Some(_) => return Err(ODD),
        None => rest.trim_start(),
    };
    let is_of = |text: &str, others: &str| {
        text.chars().all(|it| it.is_ascii_alphanumeric() || others.contains(it))
    };
    let is_fine = name.starts_with(|it: char| it.is_ascii_alphanumeric())
        && (rest.is_empty() || rest.starts_with(['<', '>', '=', '!', '~', '(']))
        && is_of(rest, ".,*+!_-<>=~() ")
        && is_of(marker, ".,*+!_-<>=~() \"'");
    if is_fine { Ok(()) } else { Err(ODD) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Requirements, RequirementsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("requirements.txt");
        fs::write(&file, text).unwrap();
        fs::write(folder.path().join("more.txt"), "-r requirements.txt\nclick>=8 # new\n").unwrap();
        fs::write(folder.path().join("all.txt"), "click<9\n").unwrap();
        Requirements::read(&file)
    }

    #[test]
    fn names_versions_hashes_and_indexes_are_taken() {
        let text = "# all\nflask[async] ==3.1.3, !=3.0 ; python_version < \"3.13\" # why\n\
            a.b-c (>=1) \\\n --hash=sha256:ab12 \\\n --hash sha256:cd34\nrich\n-rmore.txt\n\
            --constraint=all.txt\n--index-url https://u:p@a.example/simple --pre\n\
            --only-binary :all:\n";
        let read = read(text).unwrap();
        assert_eq!(
            read.wanted,
            "flask[async] ==3.1.3, !=3.0 ; python_version < \"3.13\"\n\
             a.b-c (>=1) --hash=sha256:ab12 --hash=sha256:cd34\nrich\n\
             --index-url https://u:p@a.example/simple\n--pre\nclick>=8\n"
        );
        assert_eq!(read.constraints, "click<9\n");
    }

    #[test]
    fn what_might_run_or_tell_is_refused() {
        for line in [
            "file:///tmp/pkg",
            "pkg @ https://a.example/pkg.tar.gz",
            "pkg@file:///tmp/pkg",
            "git+https://a.example/pkg",
            "./pkg",
            "pkg/",
            "..",
            "pkg.tar.gz",
            "pkg==1.ZIP",
            "-e .",
            "-e./pkg",
            "--editable=pkg",
            "--no-binary pkg",
            "--no-binary=:all:",
            "--no-bin pkg",
            "--only-binary :none:",
            "--trusted-host a.example",
            "--index-url http://a.example/",
            "--index-url https://${DAYFLY_VARIABLE_TOKEN}@a.example/",
            "--find-links file:///tmp",
            "-f /tmp",
            "-r https://a.example/requirements.txt",
            "pkg --global-option=x",
            "pkg --hash=../x",
            "pkg; x @ y",
            "pkg \u{2028}-e .",
            "-r 'more.txt'",
            "--requirement",
            "pkg other",
        ] {
            let error = read(&format!("rich\n{line}\n")).unwrap_err();
            assert!(
                matches!(error, RequirementsError::Refused { line: 2, .. }),
                "{line}: {error:?}"
            );
            assert!(!error.to_string().contains("a.example"), "{error}");
        }
    }

    #[test]
    fn only_files_of_a_fair_size_are_read() {
        assert!(matches!(read("-r /dev/zero"), Err(RequirementsError::NoFile { .. })));
        assert!(matches!(read("-r ."), Err(RequirementsError::NoFile { .. })));
        assert!(matches!(read("-r none.txt"), Err(RequirementsError::Read { .. })));
        let large = "#".repeat(MAX_FILE_BYTES as usize + 1);
        assert!(matches!(read(&large), Err(RequirementsError::TooLarge { .. })));
        let many: String = (0..MAX_FILES).map(|it| format!("-r {it}/../more.txt\n")).collect();
        let folder = tempfile::tempdir().unwrap();
        for it in 0..MAX_FILES {
            fs::create_dir(folder.path().join(it.to_string())).unwrap();
        }
        fs::write(folder.path().join("more.txt"), "").unwrap();
        let file = folder.path().join("requirements.txt");
        fs::write(&file, many).unwrap();
        assert!(matches!(Requirements::read(&file), Err(RequirementsError::TooMany)));
    }
}
