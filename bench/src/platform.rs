//! A platform: from a deploy to the first answer of the new release, and what many apps take.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::output;
use crate::start::Client;
use crate::stats::{median, percentile};

/// Guests: a small one, JavaScript and Python.
const GUESTS: [(&str, &str); 3] = [
    ("Rust, 59 kB", "rust-hello"),
    ("JavaScript, 12 MB", "js-componentize"),
    ("Python, 18 MB", "python-http"),
];

/// Releases of each after its first.
const RELEASES: u8 = 5;

/// The apps of one tenant: what its quota lets it have.
const APPS_OF_A_TENANT: usize = 100;

/// How many commands deploy at once.
const DEPLOYERS: usize = 2;

/// Requests to apps at random.
const RANDOM: usize = 1_000;

const PATIENCE: Duration = Duration::from_secs(120);

/// Measures, and writes `platform.md`.
pub(crate) fn run(root: &Path, folder: &Path, apps: usize) -> Result<()> {
    let work = root.join("target/bench/platform");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(work.join("home"))?;
    let mut text =
        "# A platform\n\n`dayfly serve` and `dayfly deploy` on two cores; medians.\n".to_owned();
    let platform = Platform::start(root, &work)?;
    deploys(&platform, &mut text)?;
    many(&platform, apps, &mut text)?;
    std::fs::write(folder.join("platform.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// From `dayfly deploy` to the first answer of the release.
fn deploys(platform: &Platform, text: &mut String) -> Result<()> {
    *text += "\n## From `dayfly deploy` to the first answer of the new release\n\nThe first release of \
              a guest that nobody has deployed before, and of its next ones, each of other bytes. The build \
              by which it is served is Winch's where it has to be made (*); the optimised one follows \
              behind what is served, and what is said of it is how long its worker took. \
              Milliseconds.\n\n| | upload | build that serves | active, and known to be served | the \
              command in all | the first answer | optimised build, behind | answer by that |\n\
              | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (name, guest) in GUESTS {
        let wasm = std::fs::read(platform.root.join(format!("target/guests/{guest}.wasm")))
            .with_context(|| format!("make it with `cargo xtask guests {guest}`"))?;
        let mut next = Vec::new();
        for number in 0..=RELEASES {
            let app = platform.work.join(guest);
            std::fs::create_dir_all(&app)?;
            std::fs::write(app.join("app.wasm"), answering(&wasm, number))?;
            std::fs::write(app.join("dayfly.toml"), manifest(guest, "app.wasm"))?;
            let deployed = platform.deploy(&app, "default")?;
            let answer = platform.client()?.ask_of(&format!("{guest}.localhost"), "/")?;
            let optimised = platform.optimised(guest)?;
            let after = platform.answer_in_full(guest, optimised)?;
            let figures = deployed.with_answer(answer);
            match number {
                0 => row(text, &format!("{name}, first"), &figures, optimised.zip(after))?,
                _ => next.push(figures),
            }
        }
        let of = |column: usize| median(next.iter().map(|figures| figures[column]));
        row(text, &format!("{name}, next"), &[of(0), of(1), of(2), of(3), of(4)], None)?;
        eprintln!("{name}: done");
    }
    Ok(())
}

/// A line; with how long the optimised build took, and an answer by it, where one followed.
fn row(
    text: &mut String,
    name: &str,
    figures: &[f64; 5],
    followed: Option<(f64, f64)>,
) -> Result<()> {
    let [upload, compile, activate, command, answer] = figures;
    let (mark, behind) = match followed {
        Some((optimised, after)) => (" *", format!("{optimised:.0} | {after:.2}")),
        None => ("", "- | -".to_owned()),
    };
    writeln!(
        text,
        "| {name} | {upload:.0} | {compile:.0}{mark} | {activate:.0} | {command:.0} | {answer:.2} | {behind} |"
    )?;
    Ok(())
}

/// The guest with another text for its `hello world`, which is what a change of its source comes to.
fn answering(wasm: &[u8], number: u8) -> Vec<u8> {
    let (hello, mut wasm) = (b"hello world", wasm.to_vec());
    for at in 0..wasm.len().saturating_sub(hello.len()) {
        if wasm[at..].starts_with(hello) {
            wasm[at + 4] = b'a' + number;
        }
    }
    wasm
}

/// Many apps of many tenants, each of other bytes.
fn many(platform: &Platform, apps: usize, text: &mut String) -> Result<()> {
    let hello = include_str!("../../examples/hello/hello.wat");
    for tenant in 0..apps.div_ceil(APPS_OF_A_TENANT) {
        output(&mut platform.dayfly(&["tenants", "make", &format!("t{tenant}")]))?;
    }
    let (next, begin) = (AtomicUsize::new(0), Instant::now());
    let deploy_all = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= apps {
                return Ok(());
            }
            let app = platform.work.join("many").join(number.to_string());
            std::fs::create_dir_all(&app)?;
            let text = format!("number {number:5}\\n");
            std::fs::write(app.join("hello.wat"), hello.replace("hello, world\\n", &text))?;
            std::fs::write(app.join("dayfly.toml"), manifest(&format!("a{number}"), "hello.wat"))?;
            platform.deploy(&app, &format!("t{}", number / APPS_OF_A_TENANT))?;
            if number % 100 == 99 {
                eprintln!("{} apps: {:.0?}", number + 1, begin.elapsed());
            }
        }
    };
    std::thread::scope(|scope| {
        let deployers: Vec<_> = (0..DEPLOYERS).map(|_| scope.spawn(deploy_all)).collect();
        deployers
            .into_iter()
            .try_for_each(|deployer| deployer.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    let deployed = begin.elapsed();
    let memory = || -> Result<[f64; 2]> {
        Ok([platform.memory("--role node")?, platform.memory("--role control")?])
    };
    let host = |number: usize| format!("a{number}.t{}.localhost", number / APPS_OF_A_TENANT);
    // A node that has just come knows all apps, and has none of them in memory.
    platform.kill("--role node")?;
    let began = Instant::now();
    let client = platform.answers(&host(0))?;
    let restarted = began.elapsed();
    std::thread::sleep(Duration::from_secs(3));
    let [node, control] = memory()?;
    let mut first = Vec::new();
    for step in 1..=RANDOM.min(apps) {
        first.push(client.ask_of(&host(step * 7_919 % apps), "/")?);
    }
    let [after, _] = memory()?;
    write!(
        text,
        "\n## {apps} apps\n\nOf {} tenants, each app of other bytes, deployed by {DEPLOYERS} commands \
         at once in {:.0} s. The node was killed (`kill -9`) and had started again.\n\n\
         | from `kill -9` to an answer | node, idle | control, idle | first request to an app at \
         random, p50 | p99 | node, after {} of these |\n| --- | --- | --- | --- | --- | --- |\n\
         | {:.0} ms | {node:.0} MiB | {control:.0} MiB | {:.2} ms | {:.2} ms | {after:.0} MiB |\n",
        apps.div_ceil(APPS_OF_A_TENANT),
        deployed.as_secs_f64(),
        first.len(),
        restarted.as_secs_f64() * 1e3,
        median(first.iter().copied()),
        percentile(first.clone(), 99.0),
    )?;
    Ok(())
}

fn manifest(name: &str, source: &str) -> String {
    format!(
        "dayfly = 1\n[application]\nname = \"{name}\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"c\"\n[component.c]\nsource = \"{source}\"\n"
    )
}

/// What a deploy took, in milliseconds.
struct Deployed {
    upload: f64,
    compile: f64,
    activate: f64,
    command: f64,
}

impl Deployed {
    fn with_answer(&self, answer: f64) -> [f64; 5] {
        [self.upload, self.compile, self.activate, self.command, answer]
    }
}

/// A platform, ended when this is dropped, and its operator.
struct Platform {
    root: PathBuf,
    work: PathBuf,
    supervisor: Child,
    port: u16,
}

impl Platform {
    fn start(root: &Path, work: &Path) -> Result<Self> {
        let free = || -> Result<u16> {
            Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
        };
        let (port, admin) = (free()?, free()?);
        let mut serve = Command::new(root.join("target/release/dayfly"));
        serve.args(["serve", "--access-log", "off", "--listen", &format!("127.0.0.1:{port}")]);
        serve.args(["--admin-listen", &format!("127.0.0.1:{admin}"), "--state-dir"]);
        serve.arg(work.join("state")).stdout(Stdio::null()).stderr(Stdio::null());
        let supervisor = serve.spawn().context("failed to start `dayfly serve`")?;
        let platform = Self { root: root.to_owned(), work: work.to_owned(), supervisor, port };
        let token = work.join("state/operator-token");
        let begin = Instant::now();
        let mut login = platform.dayfly(&["login", &format!("http://127.0.0.1:{admin}")]);
        login.arg("--token-stdin");
        loop {
            if let Ok(token) = std::fs::File::open(&token)
                && output(login.stdin(token)).is_ok()
            {
                return Ok(platform);
            }
            ensure!(begin.elapsed() < PATIENCE, "`dayfly serve` does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A command line of the operator's.
    fn dayfly(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.root.join("target/release/dayfly"));
        let home = self.work.join("home");
        command.env("HOME", &home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
        command.args(words);
        command
    }

    fn deploy(&self, app: &Path, tenant: &str) -> Result<Deployed> {
        let begin = Instant::now();
        let mut deploy =
            self.dayfly(&["deploy", "--json", "--quiet", "--accept", "--tenant", tenant]);
        let said: Value = serde_json::from_str(&output(deploy.arg(app))?)?;
        let command = begin.elapsed().as_secs_f64() * 1e3;
        let of = |value: &Value| value.as_f64().context("a number that `deploy` does not say");
        let (steps, compile) = (&said["took_ms"], of(&said["prepared"]["took_ms"])?);
        let upload = (of(&steps["send"])? - compile).max(0.0);
        Ok(Deployed { upload, compile, activate: of(&steps["activate"])?, command })
    }

    fn client(&self) -> Result<Client> {
        Client::new(self.port)
    }

    /// How long making an app's last release in full took behind what is served, in milliseconds, if it is
    /// not served by that from the beginning; waits for it.
    fn optimised(&self, app: &str) -> Result<Option<f64>> {
        let begin = Instant::now();
        loop {
            let releases = output(&mut self.dayfly(&["releases", app, "--json"]))?;
            let releases: Value = serde_json::from_str(&releases)?;
            let prepared = &releases[0]["prepared"];
            if prepared["baseline"] != true {
                return Ok(None);
            }
            if let Some(took_ms) = prepared["optimised_ms"].as_f64() {
                return Ok(Some(took_ms));
            }
            ensure!(begin.elapsed() < PATIENCE, "`{app}` is not optimised");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The median of a few answers by that, in milliseconds: the node finds it within a second.
    fn answer_in_full(&self, app: &str, optimised: Option<f64>) -> Result<Option<f64>> {
        if optimised.is_none() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_secs(3));
        let client = self.client()?;
        let host = format!("{app}.localhost");
        let answers: Vec<f64> =
            (0..20).map(|_| client.ask_of(&host, "/")).collect::<Result<_>>()?;
        Ok(Some(median(answers)))
    }

    /// A client, once an app answers.
    fn answers(&self, host: &str) -> Result<Client> {
        let begin = Instant::now();
        loop {
            if let Ok(client) = self.client()
                && client.ask_of(host, "/").is_ok()
            {
                return Ok(client);
            }
            ensure!(begin.elapsed() < PATIENCE, "{host} does not answer");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The process of a role.
    fn process(&self, role: &str) -> Result<String> {
        let id = self.supervisor.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let is_it = |child: &&str| {
            std::fs::read_to_string(format!("/proc/{child}/cmdline"))
                .is_ok_and(|words| words.replace('\0', " ").contains(role))
        };
        let found = children.split_whitespace().find(is_it).map(str::to_owned);
        found.with_context(|| format!("no process of `{role}`"))
    }

    fn kill(&self, role: &str) -> Result<()> {
        output(Command::new("kill").args(["-KILL", &self.process(role)?]))?;
        Ok(())
    }

    /// Resident memory of a role's process in MiB.
    fn memory(&self, role: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process(role)?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = output(Command::new("kill").args(["-TERM", &self.supervisor.id().to_string()]));
        let _ = self.supervisor.wait();
    }
}
