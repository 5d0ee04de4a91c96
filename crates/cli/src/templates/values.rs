//! What stands for the placeholders of a template: from the command line, from a person at a
//! terminal, or by default.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use super::{Definition, Name, Prompt, Variable};
use crate::report;

/// The longest value, in bytes.
const MAX_BYTES: usize = 256;

/// What a template is used for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'a> {
    NewApp {
        app: &'a Name,
        component: &'a Name,
    },
    /// A component of this name for an app that is there.
    Added(&'a Name),
}

/// A template's placeholders (`{{name}}`) and what stands for each.
pub(crate) struct Values(BTreeMap<String, String>);

impl Values {
    /// Settles the values of all placeholders: `given` are the user's, by name.
    ///
    /// # Errors
    /// If one is given that the template does not have, or that could end the text around it.
    pub(crate) fn settle(
        definition: &Definition,
        purpose: Purpose<'_>,
        given: &[(String, String)],
        prompt: &mut Option<Prompt>,
    ) -> Result<Self> {
        let is_known = |name: &String| definition.variables.contains_key(name);
        if let Some((name, _)) = given.iter().find(|(name, _)| !is_known(name)) {
            let error = anyhow!("the template has no variable `{name}`");
            return Err(report::hint(error, Some(variables(definition))));
        }
        let mut values = Self(BTreeMap::new());
        let (Purpose::NewApp { component, .. } | Purpose::Added(component)) = purpose;
        values.0.insert("component".to_owned(), component.to_string());
        if let Purpose::NewApp { app, .. } = purpose {
            values.0.insert("name".to_owned(), app.to_string());
        }
        for (name, variable) in &definition.variables {
            let given = given.iter().rev().find(|(given, _)| given == name);
            let value = values.of(variable, purpose, given.map(|(_, value)| &**value), prompt);
            let value = value.map_err(|error| error.context(format!("variable `{name}`")))?;
            values.0.insert(name.clone(), value);
        }
        // Where a client finds the route.
        if let Some(route) = values.0.get("route") {
            let path = route.strip_suffix("...").unwrap_or(route).to_owned();
            values.0.insert("path".to_owned(), path);
        }
        Ok(values)
    }

    fn of(
        &self,
        variable: &Variable,
        purpose: Purpose<'_>,
        given: Option<&str>,
        prompt: &mut Option<Prompt>,
    ) -> Result<String> {
        let added = variable.added.as_ref().filter(|_| matches!(purpose, Purpose::Added(_)));
        let default = self.fill(added.unwrap_or(&variable.default));
        match (given, prompt) {
            (Some(given), _) => checked(given).map_err(|error| anyhow!(error)),
            (None, Some(prompt)) => prompt.ask(&variable.description, Some(&default), checked),
            (None, None) => Ok(default),
        }
    }

    /// The component's name.
    pub(crate) fn component(&self) -> &str {
        &self.0["component"]
    }

    /// A text with its placeholders filled in, each once: no value is looked at again.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let known =
                after.split_once("}}").and_then(|(name, end)| Some((self.0.get(name)?, end)));
            filled.push_str(before);
            rest = match known {
                Some((value, end)) => {
                    filled.push_str(value);
                    end
                }
                None => {
                    filled.push_str("{{");
                    after
                }
            };
        }
        filled + rest
    }
}

/// Refuses what could end the text or the line that a value is put into, in a manifest, a shell or a
/// source file, whichever it is; what fits its place is the manifest's to say.
fn checked(value: &str) -> Result<String, String> {
    let is_legal = |c: &char| (c.is_ascii_graphic() || *c == ' ') && !"\"'`\\$&|;<>{}".contains(*c);
    if value.len() > MAX_BYTES {
        return Err(format!("a value has at most {MAX_BYTES} characters"));
    }
    match value.chars().find(|c| !is_legal(c)) {
        Some(other) => Err(format!("a value has no {other:?}; edit the manifest afterwards")),
        None => Ok(value.to_owned()),
    }
}

fn variables(definition: &Definition) -> String {
    let described =
        |(name, variable): (&String, &Variable)| format!("`{name}`, {}", variable.description);
    let described: Vec<String> = definition.variables.iter().map(described).collect();
    match described.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has {}", described.join("; ")),
    }
}
