//! `dayfly test`: the app's own tests, each against a real host of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dayfly_engine::Engine;
use dayfly_forge::fetch::Fetched;
use dayfly_model::test_file::{Test as Stated, TestFile};
use dayfly_model::{App, RuntimeConfig};
use serde_json::json;

use crate::app::{self, AppSource};
use crate::engine::EngineArgs;
use crate::rehearsal::verdict::Verdict;
use crate::rehearsal::{self, Company, INSTANCES};
use crate::report::Several;
use crate::variables::{self, Argument};
use crate::{logging, output, report};

/// The folder of tests beside the manifest.
const FOLDER: &str = "tests";

/// Run the app's own tests: what `tests/*.toml` beside the manifest say
///
/// Each test has a host, a state folder and a world outside of its own: requests and events come as they
/// do in `dayfly up`, no server is needed behind a trigger, and what leaves the app is answered by the test
/// or refused. Build the app before.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    #[command(flatten)]
    source: AppSource,

    /// Run only tests whose names contain TEXT, or that are in the file TEXT; may be repeated
    #[arg(short, long = "only", value_name = "TEXT")]
    only: Vec<String>,

    /// How many tests run at once [default: one a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// List the tests, and run none
    #[arg(long)]
    list: bool,

    /// Print how they went as JSON
    #[arg(long)]
    json: bool,

    /// Set a variable of the app where no test says more; as with `dayfly up`
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variables::argument)]
    variables: Vec<Argument>,

    /// What really stands behind the app's grants, where a test says nothing: `runtime-config.toml`
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,
}

const EXAMPLES: &str = "\
Exit status:
  0 when every test passed, 1 when one failed, or there is none

Examples:
  dayfly test
  dayfly test examples/shop --only orders
  dayfly test --json | jq '.tests[] | select(.passed | not)'";

/// A test, and the file that it is in.
struct Found {
    file: Arc<str>,
    test: Stated,
}

impl Test {
    pub(crate) fn run(self) -> Result<ExitCode> {
        logging::start_with_causes();
        let app = app::read(self.source.path(), self.source.profile())?;
        app::refuse_unserved(&app)?;
        let tests = self.chosen(find(&app.root)?)?;
        if self.list {
            return list(&tests, self.json);
        }
        let company = self.company(app)?;
        let began = Instant::now();
        // Where machines read the results, notes for people would be in the way.
        let starting = |component: &str| {
            if !self.json {
                report::note("Loading", component);
            }
        };
        if let Some(first) = tests.first() {
            company.load(&first.test.setup, starting)?;
        }
        let verdicts = self.play(&company, &tests)?;
        self.tell(&company.app, &verdicts, began.elapsed())
    }

    /// Those of all tests that were asked for.
    fn chosen(&self, mut tests: Vec<Found>) -> Result<Vec<Found>> {
        let is_chosen = |found: &Found| {
            let named = |text: &String| found.test.name.contains(text) || *found.file == **text;
            self.only.is_empty() || self.only.iter().any(named)
        };
        if !tests.iter().any(is_chosen) {
            let texts = self.only.join("`, `");
            let error = anyhow!("no test is called like `{texts}`, and no file is");
            return Err(report::hint(error, Some("`dayfly test --list` lists them")));
        }
        tests.retain(is_chosen);
        Ok(tests)
    }

    fn company(&self, app: App) -> Result<Company> {
        let config = match &self.runtime_config_file {
            Some(path) => {
                let path = std::path::absolute(path)?;
                RuntimeConfig::load(&path).map_err(|errors| anyhow!(Several(errors.to_string())))?
            }
            None => RuntimeConfig::default(),
        };
        let fetched: Arc<Fetched> = Arc::new(self.source.fetch(&app, self.json)?);
        let limits = app.components.values().map(|component| &component.limits);
        let together = u32::try_from(self.together()).unwrap_or(1).saturating_mul(INSTANCES);
        let engine: Engine = self.engine.build(together, 0, limits)?;
        let variables = variables::read(&self.variables)?;
        Ok(Company { app: Arc::new(app), fetched, config, engine, variables })
    }

    /// How many tests run at once.
    fn together(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }

    /// Runs the tests, and prints how each went in their order, as soon as that is known.
    fn play(&self, company: &Company, tests: &[Found]) -> Result<Vec<Verdict>> {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.together().min(tests.len()) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some((i, found)) = take(next, tests) {
                        // Nobody listens any more if printing failed.
                        let _ = sender.send((i, rehearsal::run(company, &found.file, &found.test)));
                    }
                });
            }
            drop(sender);
            let mut waiting: Vec<Option<Verdict>> = tests.iter().map(|_| None).collect();
            let mut verdicts = Vec::new();
            for (i, verdict) in receiver {
                waiting[i] = Some(verdict);
                while let Some(verdict) = waiting.get_mut(verdicts.len()).and_then(Option::take) {
                    if !self.json {
                        output::line(verdict.text())?;
                    }
                    verdicts.push(verdict);
                }
            }
            Ok(verdicts)
        })
    }

    fn tell(&self, app: &App, verdicts: &[Verdict], took: Duration) -> Result<ExitCode> {
        let passed = verdicts.iter().filter(|verdict| verdict.passed()).count();
        let failed = verdicts.len() - passed;
        if self.json {
            output::json(&json!({
                "ok": failed == 0,
                "app": app.name,
                "passed": passed,
                "failed": failed,
                "tests": verdicts.iter().map(Verdict::json).collect::<Vec<_>>(),
            }))?;
        } else {
            let took = took.as_secs_f64();
            report::note(
                "Tested",
                format_args!("`{}`: {passed} passed, {failed} failed, in {took:.1} s", app.name),
            );
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The next test that nobody has taken.
fn take<'t>(next: &AtomicUsize, tests: &'t [Found]) -> Option<(usize, &'t Found)> {
    let i = next.fetch_add(1, Ordering::Relaxed);
    tests.get(i).map(|found| (i, found))
}

/// All tests of an app, the mistakes of all files together.
fn find(root: &Path) -> Result<Vec<Found>> {
    let folder = root.join(FOLDER);
    let mut files: Vec<PathBuf> = match folder.read_dir() {
        Ok(entries) => {
            let files = entries.map(|entry| entry.map(|entry| entry.path()));
            let files: std::io::Result<Vec<_>> = files.collect();
            files.with_context(|| format!("failed to read `{}`", folder.display()))?
        }
        Err(_) => Vec::new(),
    };
    files.retain(|file| file.extension().is_some_and(|it| it == "toml") && file.is_file());
    files.sort();
    if files.is_empty() {
        let error = anyhow!("the app has no tests: no `{}`", folder.join("*.toml").display());
        return Err(report::hint(error, Some("docs/test.md says how they are written")));
    }
    let here = std::env::current_dir().unwrap_or_default();
    let read = files.iter().map(|path| {
        let shown = path.strip_prefix(&here).unwrap_or(path);
        let file = TestFile::load(shown);
        let file = file.map_err(|errors| anyhow!(Several(errors.to_string())))?;
        let name: Arc<str> = path.strip_prefix(root).unwrap_or(path).display().to_string().into();
        Ok(file.tests.into_iter().map(move |test| Found { file: name.clone(), test }))
    });
    Ok(report::all(read)?.into_iter().flatten().collect())
}

fn list(tests: &[Found], as_json: bool) -> Result<ExitCode> {
    if as_json {
        let tests = tests.iter().map(|it| json!({ "file": &*it.file, "name": it.test.name }));
        output::json(&tests.collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    for Found { file, test } in tests {
        output::line(format_args!("{file}  {}", dayfly_host::printable(&test.name)))?;
    }
    Ok(ExitCode::SUCCESS)
}
