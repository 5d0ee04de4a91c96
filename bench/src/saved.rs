//! From a save to the first answer of what was saved: `dayfly watch` with each template, beside its build
//! command alone. The client asks every millisecond.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::output;
use crate::peer::Peer;
use crate::start::Client;
use crate::stats::{median, percentile};

/// Templates, and the file of each that says hello.
const TEMPLATES: [(&str, &str, &str); 10] = [
    ("JavaScript", "http-js", "app.js"),
    ("TypeScript", "http-ts", "app.ts"),
    ("Python", "http-python", "app.py"),
    ("Ruby", "http-ruby", "app.rb"),
    ("Perl", "http-perl", "app.psgi"),
    ("Rust", "http-rust", "src/lib.rs"),
    ("Go", "http-go", "main.go"),
    ("C", "http-c", "main.c"),
    ("Zig", "http-zig", "main.zig"),
    ("AssemblyScript", "http-assemblyscript", "main.ts"),
];

const SAVES: usize = 11;

/// How long a build may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures, and writes `saved.md`. Templates whose tools are not installed are left out.
pub(crate) fn run(root: &Path, folder: &Path, program: Option<&Path>) -> Result<()> {
    let program = program.map_or_else(|| root.join("target/release/dayfly"), Path::to_owned);
    ensure!(program.is_file(), "`{}` is not there", program.display());
    let work = root.join("target/bench/saved");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work)?;
    let mut text = "# From a save to the first new answer\n\n`dayfly watch`, each template of \
                    `dayfly new`; milliseconds.\n\n| | p50 | largest | the build command alone, p50 | \
                    the rest |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (language, template, file) in TEMPLATES {
        let app = work.join(template);
        output(
            Command::new(&program).args(["new", template, "saved", "-a", "-q", "-o"]).arg(&app),
        )?;
        match measure(&program, &work, &app, file) {
            Ok((saves, builds)) => {
                let largest = percentile(saves.iter().copied(), 100.0);
                let (save, build) = (median(saves), median(builds));
                let shown = if build > 0.0 { format!("{build:.0}") } else { "none".to_owned() };
                let rest = save - build;
                writeln!(text, "| {language} | {save:.0} | {largest:.0} | {shown} | {rest:.0} |")?;
                eprintln!("{language}: {save:.0} ms, build {shown}");
            }
            Err(error) => eprintln!("{language} is left out: {error:#}"),
        }
    }
    std::fs::write(folder.join("saved.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// The times from saves to answers, and those of the build command.
fn measure(program: &Path, work: &Path, app: &Path, file: &str) -> Result<(Vec<f64>, Vec<f64>)> {
    let file = find(app, file).context("its source is not where it was")?;
    let source = std::fs::read_to_string(&file)?;
    ensure!(source.contains("hello"), "it says nothing that can be changed");
    let save =
        |number: usize| std::fs::write(&file, source.replace("hello", &format!("saved{number}")));
    let server = Peer::watching(program, app, &work.join("cache"))?.spawn()?;
    let client = wait(server.port, "hello")?;
    let mut saves = Vec::new();
    for number in 0..SAVES {
        let word = format!("saved{number}");
        let begin = Instant::now();
        save(number)?;
        while !client.text("/").is_ok_and(|answer| answer.contains(&word)) {
            ensure!(begin.elapsed() < PATIENCE, "what was saved does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        saves.push(begin.elapsed().as_secs_f64() * 1e3);
        // Whatever goes on behind the first answer.
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(server);
    let mut builds = Vec::new();
    if let Some((command, folder)) = build(app)? {
        for number in 0..SAVES {
            save(SAVES + number)?;
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).current_dir(&folder);
            let begin = Instant::now();
            let status = shell.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            ensure!(status.success(), "`{command}` failed");
            builds.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok((saves, builds))
}

/// Waits until the app answers what it is to answer.
fn wait(port: u16, word: &str) -> Result<Client> {
    let begin = Instant::now();
    loop {
        if let Ok(client) = Client::new(port)
            && client.text("/").is_ok_and(|answer| answer.contains(word))
        {
            return Ok(client);
        }
        ensure!(begin.elapsed() < PATIENCE, "it does not serve");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A component's build command, and its folder.
fn build(app: &Path) -> Result<Option<(String, PathBuf)>> {
    let app = dayfly_model::Manifest::load(&app.join("dayfly.toml"), None)
        .map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let build = app.components.values().find_map(|component| component.build.as_ref());
    Ok(build.and_then(|build| {
        let folder = build.workdir.as_ref().map(|workdir| app.root.join(workdir));
        let command = build.commands.first()?.clone();
        Some((command, folder.unwrap_or_else(|| app.root.clone())))
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
