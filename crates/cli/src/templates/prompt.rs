//! Questions to a person at a terminal; nobody else is asked.

use std::io::{BufRead as _, IsTerminal as _, Read as _, stderr, stdin};

use anyhow::{Context as _, Result, bail};

use crate::report;

/// The longest answer, in bytes.
const MAX_BYTES: u64 = 4096;

/// A person who can be asked.
pub(crate) struct Prompt(());

impl Prompt {
    /// Somebody at a terminal, if there is one.
    pub(crate) fn new() -> Option<Self> {
        (stdin().is_terminal() && stderr().is_terminal()).then_some(Self(()))
    }

    /// Asks until the answer is good; an empty one is the default.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub(crate) fn ask<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T> {
        loop {
            match default {
                Some(default) => anstream::eprint!("{question} [{default}]: "),
                None => anstream::eprint!("{question}: "),
            }
            let answer = line()?;
            let answer = match (answer.trim(), default) {
                ("", Some(default)) => default,
                (answer, _) => answer,
            };
            match read(answer) {
                Ok(answer) => return Ok(answer),
                Err(error) => report::warn(error),
            }
        }
    }

    /// Lets choose one of a list, by its number or its name.
    ///
    /// # Errors
    /// If the terminal is closed.
    pub(crate) fn choose(&mut self, question: &str, list: &[(&str, String)]) -> Result<String> {
        for (index, (name, description)) in list.iter().enumerate() {
            anstream::eprintln!("{:>3}  {name:<19} {description}", index + 1);
        }
        self.ask(question, None, |answer| {
            let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let by_number = number.and_then(|index| list.get(index));
            let chosen = by_number.or_else(|| list.iter().find(|(name, _)| *name == answer));
            let chosen = chosen.map(|(name, _)| (*name).to_owned());
            chosen.ok_or_else(|| "answer with a number or a name of the list".to_owned())
        })
    }
}

fn line() -> Result<String> {
    let mut line = String::new();
    let mut terminal = stdin().lock().take(MAX_BYTES);
    if terminal.read_line(&mut line).context("failed to read the answer")? == 0 {
        bail!("there is no answer");
    }
    Ok(line)
}
