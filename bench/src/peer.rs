//! The servers that are measured, each a process of its own on the first core.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// The core that servers run on; the load runs on the next.
pub(crate) const SERVER_CORE: &str = "0";

/// What builds and serves by turns has both.
const BOTH_CORES: &str = "0,1";

/// A kind of server.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    cores: &'static str,
}

/// A server that answers.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

/// How long a server may take until it answers: under callgrind it compiles slowly.
const START: Duration = Duration::from_secs(600);

const PORT: &str = "{port}";

impl Peer {
    /// Every peer that a round measures. All must be there.
    pub(crate) fn all(root: &Path) -> Result<Vec<Self>> {
        let guest = found(root, "target/guests/rust-hello.wasm", "cargo xtask guests rust-hello")?;
        let guest = guest.display();
        let words = |text: String| text.split(' ').map(str::to_owned).collect();
        Ok(vec![
            Self::native()?,
            Self::dayfly(root, "dayfly", "target/guests/rust-hello.wasm", "")?,
            Self {
                name: "minimal host",
                program: std::env::current_exe()?,
                arguments: words(format!("minimal {PORT} {guest}")),
                environment: Vec::new(),
                cores: SERVER_CORE,
            },
            Self::wasmtime(root, "target/guests/rust-hello.wasm", "")?,
            Self::workerd(root)?,
        ])
    }

    /// `workerd` with a worker that says hello. Its requests share an isolate: no instance is fresh.
    pub(crate) fn workerd(root: &Path) -> Result<Self> {
        let folder = "target/tools/npm-bench/node_modules/@cloudflare/workerd-linux-64/bin/workerd";
        let program = found(root, folder, "cargo xtask bench")?;
        let config = root.join("target/bench/workerd.capnp");
        fs::create_dir_all(root.join("target/bench"))?;
        fs::write(&config, include_str!("workerd.capnp"))?;
        let line = format!("serve {} --socket-addr=http=127.0.0.1:{PORT}", config.display());
        let arguments = line.split(' ').map(str::to_owned).collect();
        Ok(Self {
            name: "workerd",
            program,
            arguments,
            environment: Vec::new(),
            cores: SERVER_CORE,
        })
    }

    /// The native server that does nothing but answer.
    pub(crate) fn native() -> Result<Self> {
        Self::of_ours("native hyper", "native")
    }

    /// The native server that sends back what it is sent.
    pub(crate) fn echo() -> Result<Self> {
        Self::of_ours("native hyper", "native-echo")
    }

    /// A server that this program is, too.
    fn of_ours(name: &'static str, command: &str) -> Result<Self> {
        let arguments = vec![command.to_owned(), PORT.to_owned()];
        Ok(Self {
            name,
            program: std::env::current_exe()?,
            arguments,
            environment: Vec::new(),
            cores: SERVER_CORE,
        })
    }

    /// The native server of WebSockets that answers with what it hears.
    pub(crate) fn native_websocket() -> Result<Self> {
        Self::of_ours("native tungstenite", "native-websocket")
    }

    /// `wasmtime serve` with a guest; `flags` begin with a space.
    pub(crate) fn wasmtime(root: &Path, guest: &str, flags: &str) -> Result<Self> {
        let program = found(root, "target/tools/venv/bin/wasmtime", "cargo xtask setup")?;
        let guest = found(root, guest, "cargo xtask guests")?;
        let line = format!("serve{flags} -S cli --addr 127.0.0.1:{PORT} {}", guest.display());
        let arguments = line.split(' ').map(str::to_owned).collect();
        Ok(Self {
            name: "wasmtime serve",
            program,
            arguments,
            environment: Vec::new(),
            cores: SERVER_CORE,
        })
    }

    /// The same with another home: where its cache lies, if it asks the environment.
    pub(crate) fn with_home(self, home: &Path) -> Self {
        let names = ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"];
        self.with(names.map(|name| (name.into(), home.into())))
    }

    /// The same with so many cores of its own, if it is Dayfly.
    pub(crate) fn threads(mut self, count: &str) -> Self {
        if let Some(at) = self.arguments.iter().position(|word| word == "--threads") {
            count.clone_into(&mut self.arguments[at + 1]);
        }
        self
    }

    /// The same on other cores.
    pub(crate) fn on(self, cores: &'static str) -> Self {
        Self { cores, ..self }
    }

    /// The same with more in its environment.
    pub(crate) fn with(mut self, more: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.environment.extend(more);
        self
    }

    /// Dayfly on one thread, with an app or a guest of this repository; `flags` begin with a space.
    pub(crate) fn dayfly(root: &Path, name: &'static str, app: &str, flags: &str) -> Result<Self> {
        let program = found(root, "target/release/dayfly", "cargo build --release")?;
        let app = found(root, app, "cargo xtask guests")?;
        let line = format!(
            "up {} --quiet --threads 1 --access-log off --listen 127.0.0.1:{PORT}{flags}",
            app.display()
        );
        Ok(Self {
            name,
            program,
            arguments: line.split(' ').map(str::to_owned).collect(),
            environment: Vec::new(),
            cores: SERVER_CORE,
        })
    }

    /// `dayfly watch` with an app in a folder.
    pub(crate) fn watching(program: &Path, app: &Path, cache: &Path) -> Result<Self> {
        let line = format!(
            "watch {} --quiet --access-log off --listen 127.0.0.1:{PORT} --cache-dir {}",
            app.display(),
            cache.display()
        );
        let arguments = line.split(' ').map(str::to_owned).collect();
        Ok(Self {
            name: "dayfly watch",
            program: program.to_owned(),
            arguments,
            environment: Vec::new(),
            cores: BOTH_CORES,
        })
    }

    /// The same program, run by another.
    pub(crate) fn under(mut self, program: &str, arguments: &[&str]) -> Self {
        let own = std::mem::replace(&mut self.program, PathBuf::from(program));
        let own = own.display().to_string();
        let mut all: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        all.push(own);
        all.append(&mut self.arguments);
        self.arguments = all;
        self
    }

    pub(crate) fn command_line(&self) -> String {
        format!("{} {}", self.program.display(), self.arguments.join(" "))
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut running = self.spawn()?;
        running.wait(self.name)?;
        Ok(running)
    }

    /// Starts the server, and does not wait.
    pub(crate) fn spawn(&self) -> Result<Running> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new("taskset")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(["-c", self.cores])
            .arg(&self.program)
            .args(self.arguments.iter().map(|word| word.replace(PORT, &port.to_string())))
            // It makes failed `anyhow` calls on hot paths unwind, of the peers' too.
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", self.name))?;
        Ok(Running { child, port })
    }
}

fn found(root: &Path, path: &str, remedy: &str) -> Result<PathBuf> {
    let path = root.join(path);
    ensure!(path.is_file(), "`{}` is missing; make it with `{remedy}`", path.display());
    Ok(path)
}

impl Running {
    fn wait(&mut self, name: &str) -> Result<()> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended before it answered: {status}");
            }
            if self.answers() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{name} does not answer")
    }

    /// Whether it reacts to a request: it may accept connections long before that.
    fn answers(&self) -> bool {
        let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(START))?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
            stream.read(&mut [0])
        });
        asked.is_ok()
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = self.child.id().to_string();
        crate::output(Command::new("kill").args(["-INT", &process]))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// CPU time used so far, all threads together.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(") ").context("`/proc/PID/stat` has no name")?.1;
        let ticks = |index: usize| -> Result<u64> {
            Ok(fields.split(' ').nth(index).context("`/proc/PID/stat` is short")?.parse()?)
        };
        // Fields 14 and 15 of proc(5), in hundredths of a second.
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    /// How many entries a folder of the process's in `/proc` has: `fd` or `task`.
    pub(crate) fn count(&self, folder: &str) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/{folder}", self.child.id()))?.count())
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.bytes("status", "VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.bytes("status", "VmHWM:")
    }

    /// Memory of its own in bytes: what no file has.
    pub(crate) fn anonymous(&self) -> Result<u64> {
        self.bytes("smaps_rollup", "Anonymous:")
    }

    fn bytes(&self, file: &str, name: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no `{name}`"))?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
