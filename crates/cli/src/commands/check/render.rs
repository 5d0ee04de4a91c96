//! The facts for people: tables on standard output, problems on standard error.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::{Result, anyhow};
use dayfly_engine::Origin;
use dayfly_model::DENIED;

use super::facts::{Access, ComponentFacts, Facts, Import};
use crate::output::{self, Size};
use crate::report;

const BOLD: Style = Style::new().bold();
const WEAK: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Prints all that was found.
pub(super) fn print(facts: &Facts) -> Result<()> {
    let mut text = String::new();
    if !facts.name.is_empty() {
        header(&mut text, facts)?;
    }
    for component in &facts.components {
        self::component(&mut text, component)?;
    }
    if !text.is_empty() {
        output::line(text.trim_end())?;
    }
    problems(facts);
    match facts.problems.len() {
        0 => report::note("Checked", format!("`{}`: everything can run", facts.path)),
        1 => report::note("Checked", format!("`{}`: 1 problem", facts.path)),
        several => report::note("Checked", format!("`{}`: {several} problems", facts.path)),
    }
    Ok(())
}

/// Prints what may surprise, and what cannot run.
pub(super) fn problems(facts: &Facts) {
    for warning in &facts.warnings {
        report::warn(warning);
    }
    for problem in &facts.problems {
        let error = match &problem.component {
            Some(component) => anyhow!("component `{component}`: {}", problem.message),
            None => anyhow!("{}", problem.message),
        };
        report::print(&report::hint(error, problem.hint.clone()));
    }
}

fn header(text: &mut String, facts: &Facts) -> Result<()> {
    let version =
        if facts.version.is_empty() { String::new() } else { format!(" {}", facts.version) };
    writeln!(text, "{BOLD}{}{BOLD:#}{version}  {}", facts.name, facts.path)?;
    let width = facts.triggers.iter().map(|(on, _)| on.chars().count()).max().unwrap_or(0);
    for (on, target) in &facts.triggers {
        writeln!(text, "  {on:width$}  {target}")?;
    }
    Ok(writeln!(text)?)
}

fn component(text: &mut String, component: &ComponentFacts) -> Result<()> {
    writeln!(text, "{BOLD}{}{BOLD:#}", component.id)?;
    writeln!(text, "  source   {} ({})", component.source, Size(component.bytes as u64))?;
    let shape = component.shape.map_or("none that can be woken", |shape| shape.interface());
    writeln!(text, "  shape    {shape}")?;
    if let Some(compiled) = &component.compiled {
        let how = match compiled.origin {
            Origin::Cached => "cached".to_owned(),
            Origin::Compiled(took) => format!("compiled in {took:.1?}"),
        };
        writeln!(text, "  code     {}, {how}", Size(compiled.artifact_bytes))?;
    }
    list(text, "exports", &component.exports)?;
    imports(text, &component.imports)?;
    Ok(writeln!(text)?)
}

fn list(text: &mut String, title: &str, names: &[String]) -> Result<()> {
    let mut title = title;
    for name in names {
        writeln!(text, "  {title:7}  {name}")?;
        title = "";
    }
    Ok(())
}

fn imports(text: &mut String, imports: &[Import]) -> Result<()> {
    if imports.is_empty() {
        return Ok(writeln!(text, "  imports  nothing")?);
    }
    let name_width = imports.iter().map(|import| import.name.chars().count()).max().unwrap_or(0);
    let capability = |import: &Import| import.capability.unwrap_or("-");
    let width = imports.iter().map(|import| capability(import).len()).max().unwrap_or(0);
    let mut title = "imports";
    for import in imports {
        let (name, style) = (&import.name, style(import.access));
        let (served, access) = (capability(import), import.access.word());
        write!(text, "  {title:7}  {name:name_width$}  {served:width$}  {style}{access}{style:#}")?;
        writeln!(text, "{}", why(import))?;
        title = "";
    }
    Ok(())
}

fn why(import: &Import) -> String {
    match (import.access, import.key) {
        (Access::Granted, Some(key)) => format!(" by `{key}`"),
        (Access::Denied, Some(key)) if import.name.starts_with(DENIED) => {
            format!(": `{key}` is not inherited")
        }
        (Access::Denied, Some(key)) => format!(": no `{key}`"),
        (Access::Refused, _) => ": not served by this version".to_owned(),
        _ => String::new(),
    }
}

fn style(access: Access) -> Style {
    match access {
        Access::Denied | Access::Refused => WEAK,
        Access::Missing => BAD,
        Access::Always | Access::Granted | Access::Types => Style::new(),
    }
}
