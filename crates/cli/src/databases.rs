//! The operator's own statements, which run on an app's SQL databases before it starts.

use anyhow::{Context as _, Result};
use dayfly_capabilities::sqlite::Databases;

/// SQL of `--sqlite`, as Spin spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sql {
    /// For the default database.
    Text(String),
    /// `@FILE` or `@FILE:LABEL`: what the file contains, for that database.
    File { file: String, label: String },
}

/// Reads the value of a `--sqlite`.
pub(crate) fn sql(text: &str) -> Result<Sql, String> {
    let Some(named) = text.strip_prefix('@') else {
        return Ok(Sql::Text(text.to_owned()));
    };
    let (file, label) = named.split_once(':').unwrap_or((named, "default"));
    if file.is_empty() || label.is_empty() {
        return Err(format!("`{text}` is not of the form @FILE or @FILE:LABEL"));
    }
    Ok(Sql::File { file: file.to_owned(), label: label.to_owned() })
}

/// Runs statements.
///
/// # Errors
/// The first that does not run.
pub(crate) fn run(databases: &Databases, statements: &[Sql]) -> Result<()> {
    for statement in statements {
        match statement {
            Sql::Text(sql) => databases.run("default", sql)?,
            Sql::File { file, label } => {
                let sql = std::fs::read_to_string(file)
                    .with_context(|| format!("failed to read SQL from `{file}`"))?;
                databases.run(label, &sql).with_context(|| format!("failed to run `{file}`"))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_a_text_or_a_file_for_a_database() {
        let file = |file: &str, label: &str| Sql::File { file: file.into(), label: label.into() };
        assert_eq!(sql("SELECT 1"), Ok(Sql::Text("SELECT 1".to_owned())));
        assert_eq!(sql("@a.sql"), Ok(file("a.sql", "default")));
        assert_eq!(sql("@a.sql:other"), Ok(file("a.sql", "other")));
        for wrong in ["@", "@:other", "@a.sql:"] {
            assert!(sql(wrong).is_err(), "{wrong}");
        }
    }
}
