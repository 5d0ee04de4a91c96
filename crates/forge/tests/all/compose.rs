//! Composition: what fits is one component, with what nobody satisfied left to the host; what does
//! not fit says which part, and why.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dayfly_forge::{Composition, ForgeError, Job, Unshaped, prepare_unshaped};
use dayfly_model::{App, Dependency, DependencySource, Executor, Inherit, Middleware, Source};

use crate::support::{assert_valid, component_of, exports, said};

const PARTS: &str = "
    package test:parts@1.2.0;
    interface math { add: func(a: u32, b: u32) -> u32; }
    interface text { shout: func(text: string) -> string; }
    interface store {
        resource bucket { open: static func(name: string) -> result<bucket, string>; }
    }
    world handler {
        import math;
        import text;
        import shout: func(text: string) -> string;
        export run: func();
    }
    world bare { export run: func(); }
    world all { export math; export text; export shout: func(text: string) -> string; }
    world numbers { export math; }
    world greedy { import store; export math; }
    world named { export sums: interface { add: func(a: u32, b: u32) -> u32; } }

";

/// The parts of a newer patch release, and of one that is not compatible.
const LATER: &str = "
    package test:parts@1.4.0;
    interface math { add: func(a: u32, b: u32) -> u32; sub: func(a: u32, b: u32) -> u32; }
    world numbers { export math; }
";
const OTHER: &str = "
    package test:parts@2.0.0;
    interface math { add: func(a: u64, b: u64) -> u64; }
    world numbers { export math; }
";
const CHANGED: &str = "
    package test:parts@1.2.0;
    interface math { add: func(a: u64, b: u64) -> u64; }
    world numbers { export math; }
";

const HTTP: &str = "
    package wasi:http@0.2.0;
    interface types { resource incoming-request; resource response-outparam; }
    interface incoming-handler {
        use types.{incoming-request, response-outparam};
        handle: func(request: incoming-request, out: response-outparam);
    }
    world handler { export incoming-handler; }
    world middleware { import incoming-handler; export incoming-handler; }
    world endpoint { export incoming-handler; export also: func(); }
    world sink { import incoming-handler; export run: func(); }
";
const HTTP_3: &str = "
    package wasi:http@0.3.0;
    interface types { resource request; resource response; }
    interface handler {
        use types.{request, response};
        handle: async func(request: request) -> result<response, string>;
    }
    world middleware { import handler; export handler; }
";

/// Files of parts, a component that is one of them, and what it is composed with.
struct Bench {
    folder: tempfile::TempDir,
    app: App,
    dependencies: Vec<Dependency>,
    middleware: Vec<Middleware>,
}

impl Bench {
    /// The component `world` of `wit`, alone.
    fn new(wit: &str, world: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let app = App::for_module(&folder.path().join("main.wasm"));
        let bench = Self { folder, app, dependencies: Vec::new(), middleware: Vec::new() };
        bench.write("main.wasm", component_of(wit, world));
        bench
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(file), bytes).expect("the file is written");
    }

    /// The same with a dependency called `import`.
    fn with(self, import: &str, wit: &str, world: &str) -> Self {
        let file = format!("part{}.wasm", self.dependencies.len());
        self.write(&file, component_of(wit, world));
        self.with_file(import, &file)
    }

    fn with_file(mut self, import: &str, file: &str) -> Self {
        self.dependencies.push(Dependency {
            import: import.to_owned(),
            source: DependencySource::Source(Source::File(file.into())),
            export: None,
            inherit: Inherit::Nothing,
            environment: BTreeMap::new(),
        });
        self
    }

    /// The same with the last dependency changed.
    fn where_it(mut self, change: impl FnOnce(&mut Dependency)) -> Self {
        change(self.dependencies.last_mut().expect("there is a dependency"));
        self
    }

    fn behind(mut self, wit: &str, world: &str) -> Self {
        let file = format!("before{}.wasm", self.middleware.len());
        self.write(&file, component_of(wit, world));
        self.middleware.push(Middleware {
            source: DependencySource::Source(Source::File(file.into())),
            inherit: Inherit::Nothing,
            environment: BTreeMap::new(),
        });
        self
    }

    fn compose(&self) -> Result<Unshaped, ForgeError> {
        let source = Source::File(PathBuf::from("main.wasm"));
        let environment = BTreeMap::from([("PARENT".to_owned(), "1".to_owned())]);
        prepare_unshaped(&Job {
            component: "test",
            root: self.folder.path(),
            source: &source,
            build_commands: &[],
            executor: &Executor::Detected,
            fetched: None,
            freezer: None,
            optimiser: None,
            observer: None,
            composition: Some(Composition {
                app: &self.app,
                environment: &environment,
                dependencies: &self.dependencies,
                middleware: &self.middleware,
                opened_by: |import| {
                    if import.starts_with("test:parts/store") {
                        Some("key_value_stores")
                    } else {
                        None
                    }
                },
            }),
        })
    }

    #[track_caller]
    fn composed(&self) -> Unshaped {
        let unshaped = self.compose().unwrap_or_else(|error| panic!("{}", said(&error)));
        assert_valid(&unshaped.wasm);
        unshaped
    }

    #[track_caller]
    fn fails(&self) -> String {
        said(&self.compose().map(|_| ()).expect_err("parts that do not fit"))
    }
}

fn imports(unshaped: &Unshaped) -> Vec<&str> {
    unshaped.world.imports.iter().map(|import| import.raw.as_str()).collect()
}

#[test]
fn a_name_satisfies_what_it_stands_for() {
    for (name, left) in [
        ("test:parts/math@1.2.0", &["shout", "test:parts/text@1.2.0"][..]),
        ("test:parts/math", &["shout", "test:parts/text@1.2.0"]),
        ("test:parts", &["shout"]),
        ("test:parts@1.2.0", &["shout"]),
        ("shout", &["test:parts/math@1.2.0", "test:parts/text@1.2.0"]),
    ] {
        let unshaped = Bench::new(PARTS, "handler").with(name, PARTS, "all").composed();
        let mut imports = imports(&unshaped);
        imports.sort_unstable();
        assert_eq!(imports, left, "{name}");
        assert_eq!(exports(&unshaped), ["run"]);
    }
}

#[test]
fn several_dependencies_satisfy_several_imports() {
    let bench = Bench::new(PARTS, "handler")
        .with("test:parts/math", PARTS, "numbers")
        .with("test:parts/text", PARTS, "all")
        .with("shout", PARTS, "all");
    assert_eq!(imports(&bench.composed()), [""; 0]);
}

#[test]
fn an_export_may_have_another_name() {
    let bench = Bench::new(PARTS, "handler").with("test:parts/math", PARTS, "named");
    let said = bench.fails();
    assert!(said.contains("dependency `test:parts/math` does not export `test:parts/math@1.2.0`"));
    assert!(said.contains("hint: it exports `sums`"), "{said}");
    let bench = bench.where_it(|dependency| dependency.export = Some("sums".to_owned()));
    assert_eq!(imports(&bench.composed()), ["test:parts/text@1.2.0", "shout"]);
}

#[test]
fn an_export_of_a_compatible_version_will_do() {
    let bench = Bench::new(PARTS, "handler").with("test:parts/math@1.2.0", LATER, "numbers");
    bench.composed();
    let said = Bench::new(PARTS, "handler").with("test:parts/math", OTHER, "numbers").fails();
    assert!(said.contains("does not export `test:parts/math@1.2.0`"), "{said}");
    assert!(said.contains("it exports `test:parts/math@2.0.0`"), "{said}");
}

#[test]
fn an_export_of_another_type_is_told() {
    let said = Bench::new(PARTS, "handler").with("test:parts/math", CHANGED, "numbers").fails();
    assert!(
        said.contains(
            "export `test:parts/math@1.2.0` of dependency `test:parts/math` is not what import \
             `test:parts/math@1.2.0` needs"
        ),
        "{said}"
    );
    assert!(said.contains("`add`"), "{said}");
    assert!(said.contains("expected u32, found u64"), "{said}");
}

#[test]
fn a_dependency_of_nothing_is_told() {
    let said = Bench::new(PARTS, "handler").with("test:parts/maths", PARTS, "all").fails();
    assert!(said.contains("dependency `test:parts/maths` satisfies no import"), "{said}");
    assert!(said.contains("`test:parts/math@1.2.0`, `test:parts/text@1.2.0`, `shout`"), "{said}");
    let said = Bench::new(PARTS, "bare").with("test:parts", PARTS, "all").fails();
    assert!(said.contains("imports nothing"), "{said}");
}

#[test]
fn two_dependencies_of_one_import_are_told() {
    let said = Bench::new(PARTS, "handler")
        .with("test:parts/math", PARTS, "all")
        .with("test:parts", PARTS, "all")
        .fails();
    let both = "dependency `test:parts/math` and dependency `test:parts` both satisfy import \
                `test:parts/math@1.2.0`";
    assert!(said.contains(both), "{said}");
}

#[test]
fn a_part_that_is_no_component_is_told() {
    let bench = Bench::new(PARTS, "handler").with_file("test:parts", "text.txt");
    let said = bench.fails();
    assert!(said.contains("failed to prepare dependency `test:parts`"), "{said}");
    assert!(said.contains("text.txt` does not exist"), "{said}");
    bench.write("text.txt", "not at all");
    assert!(bench.fails().contains("source is not WebAssembly"), "{}", bench.fails());
    bench.write("text.txt", b"\0asm\x0d\0\x01\0\xff\xff\xff");
    assert!(bench.fails().contains("dependency `test:parts`"), "{}", bench.fails());
    bench.write("text.txt", "(module (func (export \"add\")))");
    bench.fails();
}

#[test]
fn what_is_not_inherited_is_denied() {
    let greedy = || Bench::new(PARTS, "handler").with("test:parts/math", PARTS, "greedy");
    let denied = "denied-test:parts/store@1.2.0";
    let inheriting = |inherit: Inherit| {
        let bench = greedy().where_it(|dependency| dependency.inherit = inherit);
        imports(&bench.composed()).iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()
    };
    let keys = |keys: &[&str]| Inherit::Some(keys.iter().map(|&key| key.to_owned()).collect());
    for nothing in [Inherit::Nothing, keys(&[]), keys(&["files", "variables"])] {
        let imports = inheriting(nothing);
        assert!(imports.contains(&denied.to_owned()), "{imports:?}");
        assert!(!imports.contains(&"test:parts/store@1.2.0".to_owned()), "{imports:?}");
    }
    for granted in [Inherit::All, keys(&["key_value_stores"])] {
        let imports = inheriting(granted);
        assert!(!imports.contains(&denied.to_owned()), "{imports:?}");
        assert!(imports.contains(&"test:parts/store@1.2.0".to_owned()), "{imports:?}");
    }
}

#[test]
fn middleware_stands_before_the_handler() {
    let bench = Bench::new(HTTP, "endpoint").behind(HTTP, "middleware").behind(HTTP, "middleware");
    let unshaped = bench.composed();
    assert_eq!(exports(&unshaped), ["wasi:http/incoming-handler@0.2.0"]);
    assert_eq!(imports(&unshaped), ["wasi:http/types@0.2.0"]);
}

#[test]
fn what_is_no_middleware_is_told() {
    let said = Bench::new(HTTP, "handler").behind(HTTP, "handler").fails();
    assert!(said.contains("middleware `before0.wasm` is no middleware: it imports no"), "{said}");
    let said = Bench::new(HTTP, "handler").behind(HTTP, "sink").fails();
    assert!(said.contains("it exports no HTTP handler"), "{said}");
    let said = Bench::new(HTTP, "handler").behind(HTTP_3, "middleware").fails();
    let passes = "passes requests on as `wasi:http/handler@0.3.0`, but the component takes \
                  `wasi:http/incoming-handler@0.2.0`";
    assert!(said.contains(passes), "{said}");
    let said = Bench::new(PARTS, "bare").behind(HTTP, "middleware").fails();
    assert!(said.contains("but the component takes nothing"), "{said}");
}
