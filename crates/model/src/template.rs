//! Templates: text with `{{ variable }}` in it, as component variables and outbound hosts use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Text with variables in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text that stands for itself.
    Literal(String),
    /// A variable of the app, by name.
    Variable(String),
}

/// Why a template does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{{` without its `}}`.
    #[error("`{{{{` at character {0} has no matching `}}}}`")]
    Unclosed(usize),
    /// What stands between the braces is no variable's name.
    #[error("`{0}` is not a variable's name")]
    BadName(String),
}

/// A variable that a template needs has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("variable `{0}` has no value")]
pub struct MissingVariable(pub String);

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// Unclosed braces, and names that are not lower snake case.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let at = text.len() - rest.len() + open;
            let inner = &rest[open + 2..];
            let Some(close) = inner.find("}}") else {
                return Err(TemplateError::Unclosed(text[..at].chars().count() + 1));
            };
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            let name = inner[..close].trim();
            if !is_variable_name(name) {
                return Err(TemplateError::BadName(name.to_owned()));
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = &inner[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// A template that stands for exactly `text`, braces and all.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self { parts: vec![Part::Literal(text.into())] }
    }

    /// The pieces, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text, if there is no variable in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The variables in it, in order, repeated ones too.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(name) => Some(name.as_str()),
        })
    }

    /// Whether a secret is in it, so that its value must never be shown.
    #[must_use]
    pub fn is_secret(&self, secrets: &BTreeSet<String>) -> bool {
        self.variables().any(|name| secrets.contains(name))
    }

    /// The text with each variable replaced by its value.
    ///
    /// # Errors
    /// The first variable that `values` lacks.
    pub fn resolve(&self, values: &BTreeMap<String, String>) -> Result<String, MissingVariable> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(name) => match values.get(name) {
                    Some(value) => text.push_str(value),
                    None => return Err(MissingVariable(name.clone())),
                },
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Variable(name) => write!(f, "{{{{ {name} }}}}"),
        })
    }
}

/// Whether `name` is lower snake case: words of lower-case letters and digits, joined by single
/// underscores, the first of which begins with a letter. This is Spin's rule, which the guests'
/// SDKs rely on.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('_').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_resolves() {
        let template = Template::parse("https://{{ host }}/{{path}}").unwrap();
        assert_eq!(template.variables().collect::<Vec<_>>(), ["host", "path"]);
        let values = [("host", "example.com"), ("path", "a")];
        let mut values: BTreeMap<_, _> =
            values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(template.resolve(&values).unwrap(), "https://example.com/a");
        values.remove("path");
        assert_eq!(template.resolve(&values).unwrap_err(), MissingVariable("path".into()));
        assert!(template.is_secret(&BTreeSet::from(["host".to_owned()])));
        assert_eq!(template.to_string(), "https://{{ host }}/{{ path }}");
    }

    #[test]
    fn refuses_what_is_malformed() {
        assert_eq!(
            Template::parse("é {{ a").unwrap_err().to_string(),
            "`{{` at character 3 has no matching `}}`"
        );
        assert!(Template::parse("{{ }}").is_err());
        assert!(Template::parse("{{ A }}").is_err());
        assert_eq!(Template::parse("a }} b").unwrap().as_literal(), Some("a }} b"));
    }
}
