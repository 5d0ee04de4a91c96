//! Freezes scripts, once `initialize` has loaded the app's files, and asks thawed instances.

use std::cell::OnceCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use dayfly_engine::{Code, Engine, EngineConfig, MemoryLimiter, Mode, StoreData};
use dayfly_forge::fetch::{self, FetchConfig, Registries};
use dayfly_forge::freeze::define_refusals;
use dayfly_forge::script::{self, BUNDLER, Language, Package};
use tempfile::TempDir;
use wasmtime::Store;
use wasmtime::component::{Instance, Linker, ResourceTable};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// How much a script may write, in bytes.
const OUTPUT: usize = 4 << 20;

/// A language's component.
pub fn component(language: Language) -> &'static [u8] {
    static COMPONENTS: [OnceLock<Vec<u8>>; Language::ALL.len()] =
        [const { OnceLock::new() }; Language::ALL.len()];
    COMPONENTS[language as usize].get_or_init(|| {
        script::component(language, &interpreter(language)).expect("the interpreter is joined")
    })
}

/// A language's interpreter.
pub fn interpreter(language: Language) -> Vec<u8> {
    std::fs::read(fetched(language.interpreter())).expect("it is readable")
}

/// The module of a package, which is fetched once.
pub fn fetched(package: &'static Package) -> PathBuf {
    let folder = dayfly_testing::workspace().join("target/interpreters");
    std::fs::create_dir_all(&folder).expect("a folder");
    let lock = File::create(folder.join(".lock")).expect("a file");
    lock.lock().expect("one at a time");
    let config = FetchConfig {
        folder,
        patience: fetch::PATIENCE,
        registries: Registries::default(),
        credentials: None,
    };
    let given = std::env::var("DAYFLY_INTERPRETERS").ok();
    script::fetch(package, &config, given.as_deref(), |_| {})
        .unwrap_or_else(|error| panic!("{error}: {:?} (hint: {})", error.failure, error.hint()))
}

/// A folder of Python's packages, as `pip` makes it, which are fetched once.
pub fn python_packages(packages: &[&str]) -> PathBuf {
    let folder = dayfly_testing::workspace().join("target/interpreters");
    std::fs::create_dir_all(&folder).expect("a folder");
    let lock = File::create(folder.join(".lock")).expect("a file");
    lock.lock().expect("one at a time");
    let made = folder.join(packages.join("+"));
    if !made.exists() {
        let making = tempfile::tempdir_in(&folder).expect("a folder");
        let target = making.path().join("packages");
        let mut pip = Command::new("pip");
        pip.args(["install", "--quiet", "--no-compile", "--target"]).arg(&target).args(packages);
        assert!(pip.status().expect("`pip` runs").success());
        std::fs::rename(target, &made).expect("it is kept");
    }
    made
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder is readable") {
        let path = entry.expect("an entry").path();
        let copy = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            std::fs::copy(&path, copy).expect("the file is copied");
        }
    }
}

pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let config = EngineConfig {
            // The optimising compiler takes a minute for the large ones.
            mode: Mode::Baseline,
            cache_dir: Some(dayfly_testing::workspace().join("target/test-cache")),
            max_instances: 8,
            // As scripts have it.
            max_stack_bytes: 8 << 20,
            ..EngineConfig::default()
        };
        Engine::new(config).expect("an engine")
    })
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: MemoryLimiter,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl StoreData for State {
    fn limiter(&mut self) -> &mut MemoryLimiter {
        &mut self.limiter
    }
}

/// An app in one language.
pub struct App {
    language: Language,
    folder: TempDir,
    /// What was frozen, or why it was not.
    frozen: OnceCell<Result<Code, String>>,
}

/// How a script answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it says that all went well.
    pub succeeded: bool,
    /// What it wrote.
    pub output: String,
    pub errors: String,
}

impl App {
    /// An app of these files, the first of which is where it begins.
    pub fn new(language: Language, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join("app").join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("the file is written");
        }
        let app = Self { language, folder, frozen: OnceCell::new() };
        app.write("dayfly", script::boot_files(language, &format!("/app/{}", files[0].0)));
        app
    }

    /// The app as it is once its script, of this name, is bundled.
    pub fn bundled(self, name: &str) -> Self {
        let root = self.folder.path().join("app");
        let bundle = script::bundle(engine(), Some(&fetched(&BUNDLER)), &root, &root.join(name));
        let bundle = bundle.unwrap_or_else(|error| panic!("{error}: {}", error.failure));
        self.write("bundle", bundle.files().map(|(name, bytes)| (name.to_owned(), bytes)));
        self.write("dayfly", script::boot_files(self.language, "/bundle/app.js"));
        self
    }

    fn write(&self, folder: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let folder = self.folder.path().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).expect("it is written");
        }
    }

    /// The app with a folder beside it, which holds what `from` does.
    pub fn with_folder(self, name: &str, from: &Path) -> Self {
        copy_folder(from, &self.folder.path().join("app").join(name));
        self
    }

    /// Why the app cannot be loaded.
    pub fn error(&self) -> String {
        match self.frozen() {
            Ok(_) => panic!("the app loads"),
            Err(error) => error.clone(),
        }
    }

    /// Its answer to a request for `path`.
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "")
    }

    /// Its answer to a request; further variables replace those of the same name.
    pub fn request(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let length = body.len().to_string();
        let mut variables = vec![
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("REQUEST_METHOD", method),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("CONTENT_LENGTH", &length),
            ("CONTENT_TYPE", ""),
            ("SERVER_NAME", "example.test"),
            ("SERVER_PORT", "80"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("HTTP_HOST", "example.test"),
        ];
        variables.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        variables.extend(more);
        self.call(&variables, body)
    }

    /// What it makes of an event.
    pub fn event(&self, variables: &[(&str, &str)], data: &str) -> Answer {
        self.call(variables, data)
    }

    fn call(&self, variables: &[(&str, &str)], input: &str) -> Answer {
        let code =
            self.frozen().as_ref().unwrap_or_else(|error| panic!("it is not frozen: {error}"));
        let (state, [stdout, stderr]) = self.state(variables, input, &[]);
        let run = async {
            let (mut store, instance) = code.instantiating(instance(code, state)).await;
            let interface = instance.get_export_index(&mut store, None, "wasi:cli/run@0.2.12");
            let run = instance.get_export_index(&mut store, interface.as_ref(), "run");
            let run = instance
                .get_typed_func::<(), (Result<(), ()>,)>(&mut store, run.expect("it is there"))
                .expect("the world is ours");
            run.call_async(&mut store, ()).await
        };
        let ran = wait(run);
        let text = |pipe: MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
        let (output, errors) = (text(stdout), text(stderr));
        let (ran,) = ran.unwrap_or_else(|trap| panic!("`run` traps: {trap:?}; {errors}"));
        Answer { succeeded: ran.is_ok(), output, errors }
    }

    fn frozen(&self) -> &Result<Code, String> {
        self.frozen.get_or_init(|| {
            let apart = |wasm| engine().freezing(wasm).expect("it is of a form that can be frozen");
            let freezing = apart(component(self.language).to_vec());
            let folders = ["app", "dayfly", "bundle"];
            let there = |name: &&str| self.folder.path().join(name).is_dir();
            let folders: Vec<_> = folders.into_iter().filter(there).collect();
            let (state, [_, stderr]) = self.state(&[], "", &folders);
            wait(async {
                let code = freezing.code();
                let (mut store, instance) = freezing.instantiating(instance(code, state)).await;
                let initialize = instance
                    .get_typed_func::<(), (Result<(), String>,)>(&mut store, "initialize")
                    .expect("the world is ours");
                let loaded = initialize.call_async(&mut store, ()).await;
                let (loaded,) = loaded.unwrap_or_else(|trap| {
                    let errors = stderr.contents();
                    panic!("`initialize` traps: {trap:?}; {}", String::from_utf8_lossy(&errors))
                });
                loaded?;
                let frozen = freezing.finish(store, instance).await.expect("it is frozen");
                Ok(apart(frozen).code().clone())
            })
        })
    }

    /// The world of an instance that sees these of the app's folders.
    fn state(
        &self,
        variables: &[(&str, &str)],
        input: &str,
        folders: &[&str],
    ) -> (State, [MemoryOutputPipe; 2]) {
        let pipes = [MemoryOutputPipe::new(OUTPUT), MemoryOutputPipe::new(OUTPUT)];
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdin(MemoryInputPipe::new(input.to_owned()))
            .stdout(pipes[0].clone())
            .stderr(pipes[1].clone())
            .envs(variables);
        for name in folders {
            let folder = self.folder.path().join(name);
            wasi.preopened_dir(folder, format!("/{name}"), FsPerms::ReadOnly)
                .expect("the folder opens");
        }
        let limiter = MemoryLimiter::new(1 << 30);
        (State { wasi: wasi.build(), table: ResourceTable::new(), limiter }, pipes)
    }
}

impl Answer {
    /// The head's lines, as they were written, and the body.
    pub fn parts(&self) -> (Vec<&str>, &str) {
        let (head, body) = self.output.split_once("\n\n").unwrap_or_else(|| {
            panic!(
                "there is no head in `{}`, and this on the error output: {}",
                self.output, self.errors
            )
        });
        (head.lines().collect(), body)
    }

    pub fn body(&self) -> &str {
        self.parts().1
    }
}

async fn instance(code: &Code, state: State) -> (Store<State>, Instance) {
    let mut store = code.store(state);
    let mut linker = Linker::new(code.component().engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI links");
    // Capabilities have their tests where there is a host.
    define_refusals(&mut linker, code.component()).expect("the world is ours");
    let made = linker.instantiate_async(&mut store, code.component()).await;
    (store, made.expect("it starts"))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
