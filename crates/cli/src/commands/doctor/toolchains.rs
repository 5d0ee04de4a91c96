//! Facts about the programs that apps are built with: those of the app at hand, or all that are known.

use std::path::Path;
use std::thread;

use anyhow::Result;
use dayfly_model::App;
use dayfly_model::manifest::FILE_NAMES;

use super::fact::{Fact, Health};
use super::needed;
use super::tool::{TOOLS, Tool, in_path};
use crate::app;

/// The app at a path, or that of this folder if there is one.
///
/// # Errors
/// All mistakes of its manifest.
pub(super) fn app_at(path: Option<&Path>) -> Result<Option<App>> {
    let here = Path::new(".");
    let path = match path {
        Some(path) => path,
        None if FILE_NAMES.iter().any(|name| here.join(name).is_file()) => here,
        None => return Ok(None),
    };
    app::read(path, None).map(Some)
}

/// What the build commands of an app need; all that is known, where there is no app.
pub(super) fn facts(app: Option<&App>) -> Vec<Fact> {
    match app {
        Some(app) => {
            let names: Vec<String> = needed::of_app(app).into_iter().collect();
            each(names.iter().map(String::as_str).collect(), |name| of_app(name, &app.name))
        }
        None => each(TOOLS.iter().collect(), |tool| match tool.found() {
            Some(version) => Fact::ok(tool.name, version),
            None => missing(tool, Health::Missing),
        }),
    }
}

/// A fact for each, all at the same time: programs take their time to tell their version.
fn each<T: Send + Sync + Copy>(items: Vec<T>, fact: impl Fn(T) -> Fact + Sync) -> Vec<Fact> {
    thread::scope(|scope| {
        let fact = &fact;
        let running: Vec<_> =
            items.into_iter().map(|item| scope.spawn(move || fact(item))).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

/// What the app at hand needs, and cannot be built without.
fn of_app(name: &str, app: &str) -> Fact {
    match Tool::named(name) {
        Some(tool) => match tool.found() {
            Some(version) => Fact::ok(tool.name, version),
            None => missing(tool, Health::Fail),
        },
        None => match in_path(name) {
            Some(path) => Fact::ok(name.to_owned(), path.display().to_string()),
            None => Fact::fail(
                name.to_owned(),
                "missing",
                format!(
                    "a build command of app `{app}` runs it: install it, or change the command"
                ),
            ),
        },
    }
}

fn missing(tool: &Tool, health: Health) -> Fact {
    let install = tool.install();
    let hint = format!("for {}: {install}", tool.of);
    Fact { health, install: Some(install), hint: Some(hint), ..Fact::ok(tool.name, "missing") }
}
