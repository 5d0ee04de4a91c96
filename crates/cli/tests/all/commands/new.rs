//! `dayfly new`: every template serves what its README says, and nothing goes where it should not.

mod built;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use dayfly_testing::{Redis, Running, program, run};
use tempfile::TempDir;

use super::help::help;
use super::{command, printed};
use crate::examples::answers;
use crate::scripts::with_interpreters;

/// The templates that tests serve below.
const SERVED: [&str; 16] = [
    "cron",
    "http-assemblyscript",
    "http-c",
    "http-go",
    "http-js",
    "http-perl",
    "http-python",
    "http-ruby",
    "http-rust",
    "http-ts",
    "http-zig",
    "middleware",
    "queue",
    "redis",
    "static",
    "websocket",
];

/// A new app in a folder of its own.
pub(super) struct Made(TempDir);

impl Made {
    /// The app `shop` of a template.
    pub(super) async fn new(template: &str, words: &[&str]) -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        let new = command(&["new", template, "shop"]).args(words).within(made.0.path());
        new.ends().await.with(0);
        made
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.0.path().join("shop")
    }

    /// Serves it once it was checked.
    pub(super) async fn up(&self) -> Running {
        let checked = with_interpreters().arg("check").arg(self.folder()).ends().await;
        let said = checked.with(0);
        assert!(said.contains("everything can run") && !said.contains("warning"), "{said}");
        self.passes_its_tests().await;
        with_interpreters().up(self.folder()).await
    }

    /// Runs the template's own tests.
    pub(super) async fn passes_its_tests(&self) {
        let tested = with_interpreters().arg("test").arg(self.folder()).ends().await;
        let told = format!("{tested:#?}");
        assert!(tested.with_stdout(0).starts_with("PASS  tests/"), "{told}");
    }

    async fn does_as_its_readme_says(&self) {
        let server = self.up().await;
        answers(&server, &self.folder()).await;
        server.stop().await;
    }
}

async fn does_as_its_readme_says(template: &str) {
    Made::new(template, &[]).await.does_as_its_readme_says().await;
}

#[tokio::test]
async fn no_template_is_left_out() {
    let listed = printed(&["new", "--list", "--json"], 0).await;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let names: BTreeSet<&str> = listed.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(SERVED), "the templates there are, and those that tests use");
}

#[tokio::test]
async fn the_help() {
    insta::assert_snapshot!(help("new").await, @r##"
    Make a new app from a template, in a folder of its own

    The templates are part of this program: nothing is fetched. On a terminal, what is not said is asked
    for.

    Usage: dayfly new [OPTIONS] [TEMPLATE] [NAME]

    Arguments:
      [TEMPLATE]
              The template: `dayfly new --list` lists them

      [NAME]
              What the app is to be called: words of lower-case letters and digits, joined by `-`

    Options:
      -o, --output <FOLDER>
              The folder, which must not be there or be empty [default: what the app is called]

          --component <NAME>
              What the component is to be called [default: the template says]

      -v, --value <NAME=VALUE>
              Set a variable of the template

      -a, --accept-defaults
              Ask nothing, and take the defaults

          --force
              Write into a folder that is not empty, over files of the same names

          --list
              List the templates

          --json
              Print the list as JSON

      -q, --quiet
              Print nothing

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      dayfly new http-js hello && dayfly up hello
      dayfly new --list
      dayfly new cron nightly --value schedule='0 3 * * *'
    "##);
}

#[tokio::test]
async fn the_list() {
    insta::assert_snapshot!(printed(&["new", "--list"], 0).await, @r##"
    http-js              HTTP in JavaScript: `export default { fetch }`
    http-ts              HTTP in TypeScript: `export default { fetch }`
    http-python          HTTP in Python, by WSGI
    http-ruby            HTTP in Ruby, by Rack
    http-perl            HTTP in Perl, by PSGI
    http-rust            HTTP in Rust, by `wstd`: a component of WASI 0.2
    http-go              HTTP in Go, by `net/http/cgi`
    http-c               HTTP in C, by CGI
    http-zig             HTTP in Zig, by CGI
    http-assemblyscript  HTTP in AssemblyScript, by CGI
    middleware           Middleware before a handler of HTTP, in Rust: both of WASI 0.3
    static               Files of a folder, as a web site
    websocket            WebSockets, and a page that talks by them, in JavaScript
    queue                Messages of a queue that Dayfly keeps, and a route that puts them there, in JavaScript
    cron                 Events at times of a schedule, in JavaScript
    redis                Messages of a Redis channel, in JavaScript
    "##);
}

#[tokio::test]
async fn http_in_javascript() {
    does_as_its_readme_says("http-js").await;
}

#[tokio::test]
async fn http_in_typescript() {
    does_as_its_readme_says("http-ts").await;
}

#[tokio::test]
async fn http_in_python() {
    does_as_its_readme_says("http-python").await;
}

#[tokio::test]
async fn http_in_ruby() {
    does_as_its_readme_says("http-ruby").await;
}

#[tokio::test]
async fn http_in_perl() {
    does_as_its_readme_says("http-perl").await;
}

#[tokio::test]
async fn a_static_site() {
    let made = Made::new("static", &[]).await;
    fs::write(made.folder().join("secret.txt"), "secret").unwrap();
    fs::create_dir(made.folder().join("site/site/below")).unwrap();
    let server = made.up().await;
    answers(&server, &made.folder()).await;
    let page = server.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text().contains("<h1>Hello</h1>"), "{}", page.text());
    assert_eq!(server.post("/", "").await.status, 405);
    for path in
        ["/nothing", "/below", "/below/", "/../secret.txt", "/..%2fsecret.txt", "/%00", "/app.py"]
    {
        let answer = server.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    fs::write(made.folder().join("site/site/new.svg"), "<svg/>").unwrap();
    let answer = server.get("/new.svg").await;
    assert_eq!(
        (answer.text().as_str(), answer.header("content-type")),
        ("<svg/>", "image/svg+xml")
    );
    server.stop().await;
}

#[tokio::test]
async fn websockets() {
    use crate::websocket::Client;
    let made = Made::new("websocket", &[]).await;
    let server = made.up().await;
    answers(&server, &made.folder()).await;
    let mut ada = Client::connect(&server, "/chat/socket").await;
    let mut bob = Client::connect(&server, "/chat/socket").await;
    ada.send("hello all").await;
    assert_eq!((ada.text().await, bob.text().await), ("hello all".into(), "hello all".into()));
    server.stop().await;
}

#[tokio::test]
async fn a_queue() {
    let made = Made::new("queue", &[]).await;
    let server = made.up().await;
    answers(&server, &made.folder()).await;
    assert_eq!(server.post("/jobs", "the windows").await.status, 202);
    is_logged(&server, "worker", "did the windows").await;
    server.stop().await;
}

/// Starts an app that answers no requests, and waits until it takes events.
async fn up_for_events(made: &Made, component: &str) -> Running {
    made.passes_its_tests().await;
    let server = with_interpreters().arg("up").arg(made.folder()).spawn();
    server.stdout().containing(component).await;
    server
}

#[tokio::test]
async fn times_of_a_schedule() {
    let made = Made::new("cron", &["--value", "schedule=* * * * * *"]).await;
    let server = up_for_events(&made, "clock").await;
    answers(&server, &made.folder()).await;
    is_logged(&server, "clock", "it is 20").await;
    server.stop().await;
}

#[tokio::test]
async fn messages_of_redis() {
    let redis = Redis::start().await;
    let made = Made::new("redis", &["--value", &format!("address={}", redis.url())]).await;
    let server = up_for_events(&made, "listener").await;
    answers(&server, &made.folder()).await;
    let client = redis::Client::open(redis.url()).unwrap();
    let mut client = client.get_multiplexed_async_connection().await.unwrap();
    let publish = redis::cmd("PUBLISH").arg("news").arg("a word").to_owned();
    while publish.query_async::<i64>(&mut client).await.unwrap() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    is_logged(&server, "listener", "news: a word").await;
    server.stop().await;
}

/// Waits until a component has logged a text.
async fn is_logged(server: &Running, component: &str, text: &str) {
    let log = || {
        let streams =
            ["stdout", "stderr"].map(|it| server.state(&format!("logs/{component}_{it}.txt")));
        streams.map(|path| fs::read_to_string(path).unwrap_or_default()).concat()
    };
    for _ in 0..1000 {
        if log().contains(text) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no `{text}` in: {}", log());
}

/// What a command that makes nothing says, and that it leaves nothing.
async fn refused(words: &[&str], status: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    fs::create_dir(&here).unwrap();
    let new = command(&["new"]).args(words).within(&here);
    let said = new.ends().await.with(status);
    assert_eq!(names(&here), [""; 0], "{said}");
    assert_eq!(names(folder.path()), ["here"], "{said}");
    said
}

/// The names in a folder, in order.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn hostile_names_make_nothing() {
    for name in [
        "",
        ".",
        "..",
        "../x",
        "/tmp/x",
        "a/b",
        "a;rm",
        "$(id)",
        "`id`",
        "a b",
        "a\nb",
        "\u{1b}[2J",
        "äpfel",
        "Shop",
        "a_b",
        "1a",
        "-a",
        "a--b",
    ] {
        let said = refused(&["http-js", "--", name], 2).await;
        assert!(said.contains("a name ") || said.contains("of a name"), "{name:?}: {said}");
        let component = format!("--component={name}");
        refused(&["http-js", "good", &component], 2).await;
    }
    let said = refused(&["http-js", "../x"], 2).await;
    assert!(said.contains("a name has only lower-case letters, digits and `-`, not '.'"), "{said}");
}

#[tokio::test]
async fn what_does_not_fit_makes_nothing() {
    let said = refused(&["http-js"], 1).await;
    assert!(said.contains("no name is given"), "{said}");
    let said = refused(&[], 1).await;
    assert!(said.contains("no template is named") && said.contains("http-js, http-ts"), "{said}");
    let said = refused(&["../http-js", "shop"], 1).await;
    assert!(said.contains("there is no template `../http-js`"), "{said}");
    let said = refused(&["http-js", "shop", "--value", "colour=red"], 1).await;
    assert!(said.contains("no variable `colour`") && said.contains("`route`"), "{said}");
    let said =
        refused(&["http-js", "shop", "--value", "route=\"\nsource = \"/etc/passwd"], 1).await;
    assert!(said.contains("a value has no '\"'"), "{said}");
    let said = refused(&["http-js", "shop", "--value", "route=nowhere..."], 1).await;
    assert!(said.contains("dayfly.toml:"), "{said}");
    let said = refused(&["cron", "shop", "--value", "schedule=whenever"], 1).await;
    assert!(said.contains("dayfly.toml:"), "{said}");
    let said = refused(&["http-js", "--output", "Not A Name"], 1).await;
    assert!(said.contains("`Not A Name`") && said.contains("--output FOLDER"), "{said}");
}

/// Runs `dayfly new http-js shop` in a folder; what it says after it ended with this status.
async fn into(folder: &Path, words: &[&str], status: i32) -> String {
    let new = command(&["new", "http-js", "shop"]).args(words).within(folder);
    new.ends().await.with(status)
}

#[tokio::test]
async fn what_is_there_stays_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");
    fs::create_dir_all(shop.join("web")).unwrap();
    let keep = |name: &str, text: &str| fs::write(shop.join(name), text).unwrap();
    keep("README.md", "mine");
    keep("web/other.js", "mine");
    let said = into(folder.path(), &[], 1).await;
    assert!(said.contains("`shop` is not empty") && said.contains("--force"), "{said}");
    assert_eq!(names(&shop), ["README.md", "web"]);
    // A folder in a file's place: nothing is written.
    fs::create_dir(shop.join("dayfly.toml")).unwrap();
    let said = into(folder.path(), &["--force"], 1).await;
    assert!(said.contains("`shop/dayfly.toml` is in the way"), "{said}");
    assert_eq!(names(&shop), ["README.md", "dayfly.toml", "web"]);
    assert_eq!(fs::read_to_string(shop.join("README.md")).unwrap(), "mine");
    fs::remove_dir(shop.join("dayfly.toml")).unwrap();
    into(folder.path(), &["--force"], 0).await;
    assert_eq!(names(&shop), [".gitignore", "README.md", "dayfly.toml", "tests", "web"]);
    assert_eq!(names(&shop.join("web")), ["app.js", "other.js"]);
    assert!(fs::read_to_string(shop.join("README.md")).unwrap().starts_with("# shop"));
    assert_eq!(names(folder.path()), ["shop"]);
}

#[tokio::test]
async fn links_lead_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let (shop, other) = (folder.path().join("shop"), folder.path().join("other"));
    fs::create_dir(&shop).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "mine").unwrap();
    symlink(&other, shop.join("web")).unwrap();
    let said = into(folder.path(), &["--force"], 1).await;
    assert!(said.contains("`shop/web` is in the way: it is no folder"), "{said}");
    fs::remove_file(shop.join("web")).unwrap();
    symlink(other.join("file"), shop.join("README.md")).unwrap();
    let said = into(folder.path(), &["--force"], 1).await;
    assert!(said.contains("`shop/README.md` is in the way: it is no file"), "{said}");
    assert_eq!(names(&shop), ["README.md"]);
    assert_eq!(names(&other), ["file"]);
    assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "mine");
    // A link that leads nowhere, and a file.
    fs::remove_dir_all(&shop).unwrap();
    symlink(folder.path().join("nowhere"), &shop).unwrap();
    into(folder.path(), &[], 1).await;
    fs::remove_file(&shop).unwrap();
    fs::write(&shop, "mine").unwrap();
    into(folder.path(), &["--force"], 1).await;
    assert_eq!(names(folder.path()), ["other", "shop"]);
}

#[tokio::test]
async fn the_folder_may_be_another() {
    let folder = tempfile::tempdir().unwrap();
    let new = command(&["new", "http-js", "--output", "a/b/shop"]).within(folder.path());
    let said = new.ends().await.with(0);
    assert!(said.contains("app `shop` in `a/b/shop`"), "{said}");
    let made = folder.path().join("a/b/shop");
    assert_eq!(names(&made), [".gitignore", "README.md", "dayfly.toml", "tests", "web"]);
    let mode = fs::metadata(&made).unwrap().permissions().mode();
    assert_eq!(mode & 0o700, 0o700);
    assert_eq!(mode, fs::metadata(made.join("web")).unwrap().permissions().mode());
    // An empty one that is there, called as it is.
    let here = folder.path().join("here");
    fs::create_dir(&here).unwrap();
    command(&["new", "http-js", "-o", "."]).within(&here).ends().await.with(0);
    assert!(fs::read_to_string(here.join("dayfly.toml")).unwrap().contains("name = \"here\""));
    assert_eq!(names(&here), [".gitignore", "README.md", "dayfly.toml", "tests", "web"]);
}

/// Runs a command line on a terminal where somebody types this.
async fn on_a_terminal(folder: &Path, words: &str, typed: &str) -> String {
    fs::write(folder.join("typed"), typed).unwrap();
    let mut script = program("sh");
    let line =
        format!("(sleep 1; cat typed; sleep 1) | script -qec '\"$DAYFLY\" {words}' /dev/null");
    script.env("DAYFLY", env!("CARGO_BIN_EXE_dayfly")).current_dir(folder).arg("-c").arg(line);
    run(&mut script).await
}

#[tokio::test]
async fn a_person_is_asked() {
    program("script");
    let folder = tempfile::tempdir().unwrap();
    let said = on_a_terminal(folder.path(), "new", "99\n1\n../x\nshop\n\"\n/a/...\n").await;
    for shown in ["1  http-js", "answer with a number", "a name has only", "a value has no '\"'"] {
        assert!(said.contains(shown), "no `{shown}` in {said}");
    }
    let manifest = fs::read_to_string(folder.path().join("shop/dayfly.toml")).unwrap();
    assert!(manifest.contains("name = \"shop\"") && manifest.contains("route = \"/a/...\""));
    let said = on_a_terminal(folder.path(), "new http-js hello --accept-defaults", "").await;
    assert!(said.contains("Created") && !said.contains("[/...]"), "{said}");
}
