//! `dayfly new`: a new app from a template.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dayfly_model::App;
use serde_json::json;

use crate::app::pair;
use crate::templates::{self, Name, Prompt, Purpose, Template, Values, folder};
use crate::{output, report};

/// Make a new app from a template, in a folder of its own
///
/// The templates are part of this program: nothing is fetched. On a terminal, what is not said is
/// asked for.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  dayfly new http-js hello && dayfly up hello\n  dayfly new --list\n  \
                  dayfly new cron nightly --value schedule='0 3 * * *'"
)]
pub(crate) struct New {
    /// The template: `dayfly new --list` lists them
    template: Option<String>,

    /// What the app is to be called: words of lower-case letters and digits, joined by `-`
    name: Option<Name>,

    /// The folder, which must not be there or be empty [default: what the app is called]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    /// What the component is to be called [default: the template says]
    #[arg(long, value_name = "NAME")]
    component: Option<Name>,

    /// Set a variable of the template
    #[arg(short, long = "value", value_name = "NAME=VALUE", value_parser = pair)]
    values: Vec<(String, String)>,

    /// Ask nothing, and take the defaults
    #[arg(short, long)]
    accept_defaults: bool,

    /// Write into a folder that is not empty, over files of the same names
    #[arg(long)]
    force: bool,

    /// List the templates
    #[arg(long, conflicts_with_all = ["template", "name"])]
    list: bool,

    /// Print the list as JSON
    #[arg(long, requires = "list")]
    json: bool,

    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

impl New {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.list {
            list(self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut prompt = Prompt::new().filter(|_| !self.accept_defaults);
        let template = Template::find(self.template.as_deref(), &mut prompt)?;
        let name = self.name(&mut prompt)?;
        let folder = self.output.clone().unwrap_or_else(|| name.as_str().into());
        let definition = template.definition()?;
        let component = self.component.as_ref().unwrap_or(definition.component());
        let purpose = Purpose::NewApp { app: &name, component };
        let values = Values::settle(&definition, purpose, &self.values, &mut prompt)?;
        let files = template.app(&values);
        let manifest = files.first().context("a new app has a manifest")?;
        let app = templates::check(&manifest.text, "dayfly.toml", &folder)?;
        self.write(&folder, &files)?;
        if !self.quiet {
            tell(&name, template, &folder, &app);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The app's name: what was said, what the folder is called, or what a person answers.
    fn name(&self, prompt: &mut Option<Prompt>) -> Result<Name> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        if let Some(folder) = &self.output {
            return of_folder(folder);
        }
        match prompt {
            Some(prompt) => prompt.ask("What is the app to be called?", None, str::parse),
            None => {
                Err(report::hint(anyhow!("no name is given"), Some("`dayfly new TEMPLATE NAME`")))
            }
        }
    }

    fn write(&self, path: &Path, files: &[folder::NewFile]) -> Result<()> {
        // A link that leads nowhere is there, too.
        if path.symlink_metadata().is_err() {
            return folder::make(path, files);
        }
        folder::fill(path, files, self.force)
    }
}

/// The name that a folder has.
fn of_folder(folder: &Path) -> Result<Name> {
    let what = || format!("no app can be called as `{}` is", folder.display());
    let absolute = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    let absolute = absolute.with_context(what)?;
    let name = absolute.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name: Result<Name, String> = name.parse();
    name.map_err(|error| {
        report::hint(
            anyhow!(error).context(what()),
            Some("`dayfly new TEMPLATE NAME --output FOLDER`"),
        )
    })
}

fn list(as_json: bool) -> Result<()> {
    let listed = templates::listed()?;
    if as_json {
        let object = |(name, description)| json!({ "name": name, "description": description });
        return output::json(&listed.into_iter().map(object).collect());
    }
    let width = listed.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, description) in listed {
        output::line(format_args!("{name:<width$}  {description}"))?;
    }
    Ok(())
}

fn tell(name: &Name, template: &Template, folder: &Path, app: &App) {
    let shown = folder.display();
    report::note("Created", format_args!("app `{name}` in `{shown}`, from `{}`", template.name));
    for component in app.components.values() {
        templates::tell_build(component, folder);
    }
    report::note("Next", format_args!("`dayfly up {shown}`; `{shown}/README.md` says more"));
}
