//! From `dayfly new` to the first answer, and from a save to the first answer of what was saved: `dayfly
//! watch` with each template, beside its build command alone, on both cores, as on a laptop of two. The client
//! asks every millisecond. What is saved is of another length each time, so that code changes, not data alone.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dayfly_testing::Compilers;

use crate::output;
use crate::peer::{Peer, Running};
use crate::start::Client;
use crate::stats::{median, percentile};

/// Templates, and the file of each that says hello.
const TEMPLATES: [(&str, &str, &str); 10] = [
    ("JavaScript", "http-js", "app.js"),
    ("TypeScript", "http-ts", "app.ts"),
    ("Python", "http-python", "app.py"),
    ("Ruby", "http-ruby", "app.rb"),
    ("Perl", "http-perl", "app.psgi"),
    ("Rust", "http-rust", "main.rs"),
    ("Go", "http-go", "main.go"),
    ("C", "http-c", "main.c"),
    ("Zig", "http-zig", "main.zig"),
    ("AssemblyScript", "http-assemblyscript", "main.ts"),
];

const SAVES: usize = 11;

/// How long a build may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures, and writes `saved.md`. Templates that cannot be built are left out.
pub(crate) fn run(root: &Path, folder: &Path, program: Option<&Path>) -> Result<()> {
    let program = program.map_or_else(|| root.join("target/release/dayfly"), Path::to_owned);
    ensure!(program.is_file(), "`{}` is not there", program.display());
    // Not below the repository: cargo would take the template in Rust for a part of this workspace.
    let work = tempfile::tempdir()?;
    let compilers = Compilers::new();
    let mut environment = compilers.environment();
    // As fetched before: what a registry takes is not measured.
    environment.push((
        "DAYFLY_SOURCE_CACHE_DIR".into(),
        root.join("target/interpreters").into_os_string(),
    ));
    let bench = Bench { program, work: work.path().to_owned(), environment };
    let mut text = "# From a save to the first new answer\n\n`dayfly watch`, each template of \
                    `dayfly new`, on both cores; milliseconds. The first column is the way from `dayfly new` \
                    to the first answer with an empty cache, interpreters fetched before; the second the \
                    same again, with what the first has compiled.\n\n| | from new, first | from new, again | from a save, p50 | largest | \
                    the build command alone, p50 | the rest |\n| --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (language, template, file) in TEMPLATES {
        match bench.measure(template, file) {
            Ok(row) => {
                writeln!(text, "| {language} | {row} |")?;
                eprintln!("{language} | {row}");
            }
            Err(error) => eprintln!("{language} is left out: {error:#}"),
        }
    }
    text.push_str(
        "\n## In whiskers\n\nThe same with `examples/whiskers`, four components of which three are scripts and one \
         comes built; milliseconds.\n\n| | from a save, p50 | largest |\n| --- | --- | --- |\n",
    );
    for (language, saves) in bench.whiskers(root)? {
        let largest = percentile(saves.iter().copied(), 100.0);
        writeln!(text, "| {language} | {:.0} | {largest:.0} |", median(saves))?;
    }
    std::fs::write(folder.join("saved.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// A component of whiskers: its language, its file, and what is put into it, after what, so that it says
/// hello at a path.
struct Part {
    language: &'static str,
    file: &'static str,
    after: &'static str,
    probe: &'static str,
    path: &'static str,
}

const PARTS: [Part; 3] = [
    Part {
        language: "Ruby, the page",
        file: "page/page.erb",
        after: "<%= h treat[:name] %>",
        probe: " hello",
        path: "/",
    },
    Part {
        language: "Python, the cat",
        file: "cat/app.py",
        after: "def app(environ, start_response):\n",
        probe: "    if environ[\"PATH_INFO\"] == \"/probe\":\n        start_response(\"200 OK\", [])\n        \
                return [b\"hello\"]\n",
        path: "/cat/probe",
    },
    Part {
        language: "JavaScript, the tally",
        file: "tally/app.js",
        after: "async fetch(request) {\n",
        probe: "    if (request.method === \"GET\") return new Response(\"hello\");\n",
        path: "/news/probe",
    },
];

/// Ways to what browsers do not ask.
const WAYS: &str = "\n[[trigger.http]]\nroute = \"/cat/...\"\ncomponent = \"cat\"\n\
    [[trigger.http]]\nroute = \"/news/...\"\ncomponent = \"tally\"\n";

struct Bench {
    program: PathBuf,
    work: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Bench {
    /// A template's row of the table.
    fn measure(&self, template: &str, file: &str) -> Result<String> {
        let cache = self.work.join("cache").join(template);
        let (first, server) =
            self.begin(template, &self.work.join("first").join(template), &cache)?;
        settle(&server)?;
        drop(server);
        let app = self.work.join("again").join(template);
        let (again, server) = self.begin(template, &app, &cache)?;
        let source = Source::find(&app, file)?;
        let saves = source.save_often(&server, "/")?;
        drop(server);
        let largest = percentile(saves.iter().copied(), 100.0);
        let save = median(saves);
        let timed = format!("{first:.0} | {again:.0} | {save:.0} | {largest:.0}");
        let Some(build) = self.builds(&app, &source)? else {
            return Ok(format!("{timed} | none | {save:.0}"));
        };
        Ok(format!("{timed} | {build:.0} | {:.0}", save - build))
    }

    /// Makes an app and serves it; the milliseconds from one to the first answer of the other.
    fn begin(&self, template: &str, app: &Path, cache: &Path) -> Result<(f64, Running)> {
        let begin = Instant::now();
        let mut new = Command::new(&self.program);
        output(new.args(["new", template, "saved", "-a", "-q", "-o"]).arg(app))?;
        let watching = Peer::watching(&self.program, app, cache)?;
        let server = watching.with(self.environment.clone()).spawn()?;
        wait(|| Client::new(server.port)?.text("/"), "hello")?;
        Ok((begin.elapsed().as_secs_f64() * 1e3, server))
    }

    /// The times from saves to answers of each component of whiskers.
    fn whiskers(&self, root: &Path) -> Result<Vec<(&'static str, Vec<f64>)>> {
        let app = self.work.join("whiskers");
        output(Command::new("cp").arg("-r").arg(root.join("examples/whiskers")).arg(&app))?;
        let manifest = app.join("dayfly.toml");
        let text = std::fs::read_to_string(&manifest)?;
        let (head, rest) = text.split_once("\n[component.page]").context("no `page`")?;
        std::fs::write(&manifest, format!("{head}{WAYS}\n[component.page]{rest}"))?;
        for part in &PARTS {
            let file = app.join(part.file);
            let text = std::fs::read_to_string(&file)?;
            ensure!(text.contains(part.after), "`{}` is not what it was", part.file);
            let with = format!("{}{}", part.after, part.probe);
            std::fs::write(&file, text.replacen(part.after, &with, 1))?;
        }
        let watching = Peer::watching(&self.program, &app, &self.work.join("cache/whiskers"))?;
        let server = watching.with(self.environment.clone()).spawn()?;
        wait(|| Client::new(server.port)?.text("/cat/probe"), "hello")?;
        settle(&server)?;
        PARTS
            .iter()
            .map(|part| {
                let source = Source::find(&app, part.file)?;
                Ok((part.language, source.save_often(&server, part.path)?))
            })
            .collect()
    }

    /// How long the build command takes after a save, if there is one: milliseconds, the median.
    fn builds(&self, app: &Path, source: &Source) -> Result<Option<f64>> {
        let Some((command, folder)) = build(app)? else { return Ok(None) };
        let mut builds = Vec::new();
        for number in 0..SAVES {
            source.save(SAVES + number)?;
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).current_dir(&folder);
            shell.envs(self.environment.iter().map(|(name, value)| (name, value)));
            let begin = Instant::now();
            let status = shell.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            ensure!(status.success(), "`{command}` failed");
            builds.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Some(median(builds)))
    }
}

/// A file that says hello.
struct Source {
    file: PathBuf,
    text: String,
}

impl Source {
    fn find(app: &Path, name: &str) -> Result<Self> {
        let file = find(app, name).context("its source is not where it was")?;
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.contains("hello"), "it says nothing that can be changed");
        Ok(Self { file, text })
    }

    /// The milliseconds from saves to the first answers of what was saved.
    fn save_often(&self, server: &Running, path: &str) -> Result<Vec<f64>> {
        let client = Client::new(server.port)?;
        let mut saves = Vec::new();
        for number in 0..SAVES {
            let begin = Instant::now();
            let word = self.save(number)?;
            wait(|| client.text(path), &word)?;
            saves.push(begin.elapsed().as_secs_f64() * 1e3);
            // Whatever goes on behind the first answer.
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(saves)
    }

    /// Saves it with another word, which the app answers from then on: one that functions may be called by.
    fn save(&self, number: usize) -> Result<String> {
        let word = format!("saved{number}{}", "x".repeat(1 + number % 4));
        std::fs::write(&self.file, self.text.replace("hello", &word))?;
        Ok(word)
    }
}

/// Waits until a server has had nothing to do for longer than it waits before it compiles in full.
fn settle(server: &Running) -> Result<()> {
    let begin = Instant::now();
    let mut idle = 0;
    while idle < 7 && begin.elapsed() < PATIENCE {
        let before = server.cpu()?;
        std::thread::sleep(Duration::from_secs(1));
        let is_idle = server.cpu()? - before < Duration::from_millis(50);
        idle = if is_idle { idle + 1 } else { 0 };
    }
    Ok(())
}

/// Waits until the app answers what it is to answer.
fn wait(ask: impl Fn() -> Result<String>, word: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        match ask() {
            Ok(answer) if answer.contains(word) => return Ok(()),
            Err(error) => ensure!(!error.to_string().contains("build failed"), "{error}"),
            Ok(_) => {}
        }
        ensure!(begin.elapsed() < PATIENCE, "it does not answer {word:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A component's build commands, as one, and their folder.
fn build(app: &Path) -> Result<Option<(String, PathBuf)>> {
    let app = dayfly_model::Manifest::load(&app.join("dayfly.toml"), None)
        .map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let build = app.components.values().find_map(|component| component.build.as_ref());
    Ok(build.filter(|build| !build.commands.is_empty()).map(|build| {
        let folder = build.workdir.as_ref().map(|workdir| app.root.join(workdir));
        let command = build.commands.join(" && ");
        (command, folder.unwrap_or_else(|| app.root.clone()))
    }))
}

/// The file of that name below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?.flatten();
    let direct = folder.join(name);
    if direct.is_file() {
        return Some(direct);
    }
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).find_map(|it| find(&it, name))
}
