//! Values of variables on the command line: `NAME=VALUE`, `NAME=@FILE`, and `@FILE.json` or
//! `@FILE.toml` with several. No message shows a value.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::app::pair;

/// One `--variable`. Values may be secret, so there is no `Debug`.
#[derive(Clone)]
pub(crate) enum Argument {
    /// A value.
    Value(String, String),
    /// A value that lies in a file.
    File(String, PathBuf),
    /// A file of values.
    Files(PathBuf),
}

/// Reads an argument; no file is read yet.
pub(crate) fn argument(text: &str) -> Result<Argument, String> {
    if let Some(file) = text.strip_prefix('@') {
        let file = PathBuf::from(file);
        return match file.extension().and_then(|extension| extension.to_str()) {
            Some("json" | "toml") => Ok(Argument::Files(file)),
            _ => Err("a file of several values is a `.json` or a `.toml`".to_owned()),
        };
    }
    let (name, value) = pair(text)?;
    Ok(match value.strip_prefix('@') {
        Some(file) => Argument::File(name, file.into()),
        None => Argument::Value(name, value),
    })
}

/// The values of all arguments; of a name that is there twice, the last one's.
pub(crate) fn read(arguments: &[Argument]) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for argument in arguments {
        match argument {
            Argument::Value(name, value) => drop(values.insert(name.clone(), value.clone())),
            Argument::File(name, file) => {
                let value = fs::read_to_string(file).with_context(|| {
                    format!("failed to read variable `{name}` from `{}`", file.display())
                })?;
                values.insert(name.clone(), value);
            }
            Argument::Files(file) => {
                let read = read_several(file);
                values.extend(read.with_context(|| {
                    format!("failed to read variables from `{}`", file.display())
                })?);
            }
        }
    }
    Ok(values)
}

fn read_several(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(file)?;
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let table = if is_json { json(&text)? } else { toml(&text)? };
    let mut values = BTreeMap::new();
    for (name, value) in table {
        match value {
            Some(text) => drop(values.insert(name, text)),
            None => bail!("the value of `{name}` is no string"),
        }
    }
    Ok(values)
}

/// Names with their values, if these are strings.
type Table = Vec<(String, Option<String>)>;

fn json(text: &str) -> Result<Table> {
    use serde_json::Value;
    let Value::Object(values) = serde_json::from_str(text)? else { bail!("it is no object") };
    let string = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    Ok(values.into_iter().map(|(name, value)| (name, string(value))).collect())
}

fn toml(text: &str) -> Result<Table> {
    let values: toml::Table = match toml::from_str(text) {
        Ok(values) => values,
        // The error itself shows the line.
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            bail!("line {}: not TOML", text[..at].matches('\n').count() + 1)
        }
    };
    let string = |value| match value {
        toml::Value::String(text) => Some(text),
        _ => None,
    };
    Ok(values.into_iter().map(|(name, value)| (name, string(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, Argument) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        (folder, argument(&format!("@{}", path.display())).unwrap_or_else(|e| panic!("{e}")))
    }

    #[test]
    fn files_have_several_values() {
        let (_json, one) = file("a.json", r#"{ "a": "1", "b": "2" }"#);
        let (_toml, two) = file("b.toml", "b = \"3\"\nc = '4'\n");
        let last = argument("c=5=6").unwrap_or_else(|error| panic!("{error}"));
        let values = read(&[one, two, last]).unwrap();
        let values: Vec<_> = values.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(values, [("a", "1"), ("b", "3"), ("c", "5=6")]);
    }

    #[test]
    fn mistakes_show_no_value() {
        for (name, text, told) in [
            ("a.json", r#"{ "key": "hunter2" "#, "line 1"),
            ("a.json", r#"{ "key": { "value": "hunter2" } }"#, "`key`"),
            ("a.json", r#""hunter2""#, "no object"),
            ("a.toml", "a = \"1\"\nkey = hunter2\n", "line 2"),
            ("a.toml", "key = [\"hunter2\"]\n", "`key`"),
        ] {
            let (_folder, argument) = file(name, text);
            let error = format!("{:#}", read(&[argument]).unwrap_err());
            assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
        }
        for text in ["@values.yaml", "@", "name", "=value"] {
            assert!(argument(text).is_err(), "{text}");
        }
    }
}
