//! `dayfly add`: a component from a template in an app that is there.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use dayfly_model::{App, ComponentId, Manifest, Route, TriggerKind, manifest};
use tempfile::NamedTempFile;

use crate::app::pair;
use crate::report;
use crate::templates::{self, Name, Prompt, Purpose, Template, Values, folder};

/// Add a component from a template to an app
///
/// Its files go to a folder of its own beside the manifest, and what the manifest has to say of it
/// to the manifest's end; the rest of that stays as it is.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  dayfly add http-python cart\n  dayfly add queue --from shop --value queue=mail"
)]
pub(crate) struct Add {
    /// The template: `dayfly new --list` lists them
    template: Option<String>,

    /// What the component is to be called [default: the template says]
    name: Option<Name>,

    /// The app's folder, or its manifest
    #[arg(short, long, value_name = "PATH", default_value = ".")]
    from: PathBuf,

    /// Set a variable of the template
    #[arg(short, long = "value", value_name = "NAME=VALUE", value_parser = pair)]
    values: Vec<(String, String)>,

    /// Ask nothing, and take the defaults
    #[arg(short, long)]
    accept_defaults: bool,

    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

/// An app's manifest as it is now.
struct Present {
    path: PathBuf,
    folder: PathBuf,
    text: String,
    app: App,
}

impl Add {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let present = Present::read(&self.from)?;
        let mut prompt = Prompt::new().filter(|_| !self.accept_defaults);
        let template = Template::find(self.template.as_deref(), &mut prompt)?;
        let definition = template.definition()?;
        let name = self.name(&present, definition.component(), &mut prompt)?;
        let values = Values::settle(&definition, Purpose::Added(&name), &self.values, &mut prompt)?;
        let text = template.extended(&present.text, &values);
        let shown = present.path.display().to_string();
        let app = templates::check(&text, &shown, &present.folder).map_err(|error| {
            error.context(format!("template `{}` does not fit into `{shown}`", template.name))
        })?;
        let files = (template.component(&values), template.test(&values));
        present.write(&name, files, &text)?;
        if !self.quiet {
            tell(&name, &present, template, &app);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The component's name, which nothing of the app has yet.
    fn name(&self, present: &Present, default: &Name, prompt: &mut Option<Prompt>) -> Result<Name> {
        if let Some(name) = &self.name {
            present.is_free(name).map_err(|error| anyhow!(error))?;
            return Ok(name.clone());
        }
        let numbered = (2..100).map(|number| default.numbered(number));
        let mut candidates = std::iter::once(default.clone()).chain(numbered);
        let free = candidates.find(|name| present.is_free(name).is_ok());
        let free = free.with_context(|| format!("there are many components like `{default}`"))?;
        let Some(prompt) = prompt else { return Ok(free) };
        prompt.ask("What is the component to be called?", Some(free.as_str()), |answer| {
            let name: Name = answer.parse()?;
            present.is_free(&name)?;
            Ok(name)
        })
    }
}

impl Present {
    fn read(path: &Path) -> Result<Self> {
        let found = Manifest::find(path).map_err(|errors| anyhow!(errors.to_string()))?;
        let what = || format!("failed to read `{}`", found.display());
        // What a link leads to is changed, not the link.
        let path = found.canonicalize().with_context(what)?;
        let mut text = String::new();
        let file = fs::File::open(&path).with_context(what)?;
        file.take(manifest::MAX_BYTES + 1).read_to_string(&mut text).with_context(what)?;
        let folder = path.parent().with_context(what)?.to_owned();
        let app = templates::check(&text, &path.display().to_string(), &folder)?;
        Ok(Self { path, folder, text, app })
    }

    /// Says why a component cannot have this name.
    fn is_free(&self, name: &Name) -> Result<(), String> {
        if self.app.components.contains_key(&ComponentId(name.to_string())) {
            return Err(format!("the app has a component `{name}` already"));
        }
        let own = [name.to_string(), format!("tests/{name}.toml")];
        let mut own = own.into_iter().map(|path| self.folder.join(path));
        match own.find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(format!("`{}` is there already", path.display())),
            None => Ok(()),
        }
    }

    /// Writes the component's files and its tests, then the manifest: who reads that finds all that it
    /// names.
    fn write(
        &self,
        name: &Name,
        (files, test): (Vec<folder::NewFile>, folder::NewFile),
        text: &str,
    ) -> Result<()> {
        let what = || format!("failed to write `{}`", self.path.display());
        let mut manifest = NamedTempFile::new_in(&self.folder).with_context(what)?;
        manifest.write_all(text.as_bytes()).with_context(what)?;
        let permissions = fs::metadata(&self.path).with_context(what)?.permissions();
        manifest.as_file().set_permissions(permissions).with_context(what)?;
        if fs::read_to_string(&self.path).with_context(what)? != self.text {
            bail!("`{}` was changed meanwhile", self.path.display());
        }
        let folder = self.folder.join(name.as_str());
        folder::make(&folder, &files)?;
        let test_file = self.folder.join(&test.path);
        let tested = folder::fill(&self.folder, &[test], true);
        let written = tested.and_then(|()| manifest.persist(&self.path).with_context(what));
        if let Err(error) = written {
            // They are ours: they were not there before.
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(test_file);
            return Err(error);
        }
        Ok(())
    }
}

fn tell(name: &Name, present: &Present, template: &Template, app: &App) {
    let shown = present.path.display();
    report::note(
        "Added",
        format_args!("component `{name}` to `{shown}`, from `{}`", template.name),
    );
    report::note("Files", format_args!("`{}`", present.folder.join(name.as_str()).display()));
    let old: Vec<&Route> = routes(&present.app).collect();
    for route in routes(app).filter(|route| !old.contains(route)) {
        report::note("Route", format_args!("`{route}`"));
    }
    if let Some(component) = app.components.get(&ComponentId(name.to_string())) {
        templates::tell_build(component, &present.folder);
    }
}

fn routes(app: &App) -> impl Iterator<Item = &Route> {
    app.triggers.iter().filter_map(|trigger| match &trigger.kind {
        TriggerKind::Http(http) => http.route.as_ref(),
        _ => None,
    })
}
