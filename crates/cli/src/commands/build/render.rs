//! The summary for people: a table a component on standard output.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;
use anyhow::Result;
use dayfly_forge::Phase;

use super::summary::{Made, Step, Summary};
use crate::output::{self, Size};

const BOLD: Style = Style::new().bold();

/// Prints what was made.
pub(super) fn print(summary: &Summary) -> Result<()> {
    let mut text = String::new();
    for component in &summary.components {
        self::component(&mut text, component)?;
    }
    if text.is_empty() { Ok(()) } else { output::line(text.trim_end()) }
}

fn component(text: &mut String, made: &Made) -> Result<()> {
    writeln!(text, "{BOLD}{}{BOLD:#}", made.id)?;
    let shape = made.shape.map_or("none that can be woken", |shape| shape.interface());
    writeln!(text, "  shape   {shape}")?;
    writeln!(text, "  {:14}{:>10}{:>11}{:>11}", "phase", "bytes", "start", "took")?;
    for step in told(&made.phases) {
        let Step { report, start } = step;
        let phase = report.phase.to_string();
        let (bytes, took) = (Size(report.bytes as u64).to_string(), time(report.took));
        let start = start.map_or_else(|| "-".to_owned(), time);
        write!(text, "  {phase:14}{bytes:>10}{start:>11}{took:>11}")?;
        match &report.note {
            Some(note) => writeln!(text, "  {note}")?,
            None => writeln!(text)?,
        }
    }
    writeln!(text, "  code    {}", Size(made.code_bytes))?;
    if made.touches.is_empty() {
        writeln!(text, "  may touch nothing outside of itself")?;
    }
    let mut title = "may touch";
    for (key, of) in &made.touches {
        writeln!(text, "  {title:9}  {key}: {}", of.join(", "))?;
        title = "";
    }
    Ok(writeln!(text)?)
}

/// The first phase, and those that made something else of it or have something to say.
fn told(steps: &[Step]) -> impl Iterator<Item = &Step> {
    steps.iter().filter(|step| {
        let report = &step.report;
        report.phase == Phase::Resolve || report.changed || report.note.is_some()
    })
}

/// A time of three digits.
fn time(time: Duration) -> String {
    format!("{time:.1?}")
}
