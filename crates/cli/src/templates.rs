//! The templates of `dayfly new` and `dayfly add`, which are part of this program: what each is made
//! of, and how it becomes files. Where those go is `folder`'s.

pub(crate) mod folder;
mod name;
mod prompt;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use dayfly_model::{App, Component, Manifest};
use serde::Deserialize;

use crate::report::{self, Several};
use folder::NewFile;
pub(crate) use name::Name;
pub(crate) use prompt::Prompt;
pub(crate) use values::{Purpose, Values};

/// What the manifest of a new app begins with.
const MANIFEST: &str = include_str!("../templates/dayfly.toml");

/// What a new app's folder keeps from version control.
const IGNORED: &str = include_str!("../templates/.gitignore");

/// A template: the files of one component, what the manifest says of it, how it is tested, and how a
/// new app of it is introduced. `docs/how-to/add-a-template.md` describes its folder.
pub(crate) struct Template {
    pub(crate) name: &'static str,
    definition: &'static str,
    manifest: &'static str,
    readme: &'static str,
    /// The component's tests.
    test: &'static str,
    /// The component's files: paths below its folder, and texts.
    component: &'static [(&'static str, &'static str)],
}

macro_rules! templates {
    ($($name:literal: [$($file:literal),*];)*) => {
        /// All templates, in the order in which they are listed.
        pub(crate) const TEMPLATES: &[Template] = &[$(Template {
            name: $name,
            definition: include_str!(concat!("../templates/", $name, "/template.toml")),
            manifest: include_str!(concat!("../templates/", $name, "/manifest.toml")),
            readme: include_str!(concat!("../templates/", $name, "/README.md")),
            test: include_str!(concat!("../templates/", $name, "/test.toml")),
            component: &[$(
                ($file, include_str!(concat!("../templates/", $name, "/component/", $file)))
            ),*],
        }),*];
    };
}

templates! {
    "http-js": ["app.js"];
    "http-ts": ["app.ts"];
    "http-python": ["app.py"];
    "http-ruby": ["app.rb"];
    "http-perl": ["app.psgi"];
    "http-rust": ["Cargo.toml", "src/main.rs", ".gitignore"];
    "http-go": ["go.mod", "main.go", ".gitignore"];
    "http-c": ["main.c", ".gitignore"];
    "http-zig": ["main.zig", ".gitignore"];
    "http-assemblyscript": ["package.json", "main.ts", ".gitignore"];
    "middleware": [
        "Cargo.toml", "guard/Cargo.toml", "guard/src/lib.rs", "handler/Cargo.toml", "handler/src/lib.rs",
        ".gitignore"
    ];
    "static": ["app.py", "site/index.html", "site/style.css"];
    "websocket": ["app.js", "page.html"];
    "queue": ["app.js"];
    "cron": ["app.js"];
    "redis": ["app.js"];
}

/// What a template says of itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// What it is, in one line.
    pub(crate) description: String,
    component: Name,
    /// What else the user may choose, by name.
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
}

/// What a user may choose of a template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    /// What it is for, in a few words.
    description: String,
    /// Its value unless the user says otherwise.
    default: String,
    /// The same where the component is added to an app.
    added: Option<String>,
}

impl Definition {
    /// What the component is called unless the user says otherwise.
    pub(crate) fn component(&self) -> &Name {
        &self.component
    }
}

impl Template {
    /// The template of a name, which is asked for on a terminal where there is none.
    ///
    /// # Errors
    /// If there is no such template, or nobody can be asked.
    pub(crate) fn find(name: Option<&str>, prompt: &mut Option<Prompt>) -> Result<&'static Self> {
        let asked = match (name, prompt) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prompt)) => prompt.choose("Which template?", &listed()?)?,
            (None, None) => {
                let names = report::hint(anyhow!("no template is named"), Some(names()));
                return Err(names);
            }
        };
        let found = TEMPLATES.iter().find(|template| template.name == asked);
        found.ok_or_else(|| report::hint(anyhow!("there is no template `{asked}`"), Some(names())))
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// None for the templates that this program was tested with.
    pub(crate) fn definition(&self) -> Result<Definition> {
        toml::from_str(self.definition).with_context(|| format!("template `{}`", self.name))
    }

    /// The files of a new app.
    pub(crate) fn app(&self, values: &Values) -> Vec<NewFile> {
        let files = [
            ("dayfly.toml", values.fill(&format!("{MANIFEST}\n{}", self.manifest))),
            ("README.md", values.fill(self.readme)),
            (".gitignore", IGNORED.to_owned()),
        ];
        let own = files.map(|(path, text)| NewFile { path: path.into(), text });
        let folder = PathBuf::from(values.component());
        let below = |file: NewFile| NewFile { path: folder.join(file.path), ..file };
        let component = self.component(values).into_iter().map(below);
        own.into_iter().chain([self.test(values)]).chain(component).collect()
    }

    /// The component's tests, by their path below the app's folder.
    pub(crate) fn test(&self, values: &Values) -> NewFile {
        let path = format!("tests/{}.toml", values.component()).into();
        NewFile { path, text: values.fill(self.test) }
    }

    /// The component's files, by their paths below its folder.
    pub(crate) fn component(&self, values: &Values) -> Vec<NewFile> {
        let file =
            |(path, text): &(&str, &str)| NewFile { path: path.into(), text: values.fill(text) };
        self.component.iter().map(file).collect()
    }

    /// A manifest that has the component, too.
    pub(crate) fn extended(&self, manifest: &str, values: &Values) -> String {
        let gap = if manifest.ends_with('\n') { "\n" } else { "\n\n" };
        format!("{manifest}{gap}{}", values.fill(self.manifest))
    }
}

/// Reads a manifest, such as one that a template made or extended, before it is written.
///
/// # Errors
/// All mistakes: values that do not fit their places, or what the app has already.
pub(crate) fn check(manifest: &str, name: &str, root: &Path) -> Result<App> {
    Manifest::parse(manifest, name, root, None)
        .map_err(|errors| anyhow!(Several(errors.to_string())))
}

/// Says how a component is built, if it has to be before it is served.
pub(crate) fn tell_build(component: &Component, root: &Path) {
    let Some(build) = &component.build else { return };
    let folder = build.workdir.as_ref().map_or(root.to_owned(), |workdir| root.join(workdir));
    let commands = build.commands.join(" && ");
    report::note("Build", format_args!("`{commands}` in `{}`", folder.display()));
}

/// Names and descriptions of all templates.
pub(crate) fn listed() -> Result<Vec<(&'static str, String)>> {
    let listed =
        |template: &'static Template| Ok((template.name, template.definition()?.description));
    TEMPLATES.iter().map(listed).collect()
}

fn names() -> String {
    let names: Vec<&str> = TEMPLATES.iter().map(|template| template.name).collect();
    format!("the templates are {}; `dayfly new --list` describes them", names.join(", "))
}

#[cfg(test)]
mod tests;
