//! There and back: an app is pushed, and served from what was pushed.

use std::os::unix::fs::PermissionsExt as _;

use dayfly_testing::{App, Guest, Registry, workspace};

use super::{User, guest, reference};

#[tokio::test]
async fn an_app_goes_there_and_back() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "me/hello:1.0.0");
    let pushed = user.push(App::of("rust-hello").folder(), &name).await;
    let digest = pushed["digest"].as_str().unwrap();
    assert_eq!(pushed["sent"], pushed["blobs"]);
    let stranger = User::new();
    for name in [&name, &reference(&registry, &format!("me/hello@{digest}"))] {
        let server = stranger.up(name).await;
        assert_eq!(server.text("/hello").await, "hello world");
        server.stop().await;
    }
    let checked = stranger.dayfly().arg("check").arg(&name).ends().await;
    assert!(checked.with(0).contains("everything can run"));
    let folder = stranger.pull(&name).await;
    let server = stranger.dayfly().up(&folder).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    // What is named by its digest needs no registry any more, and what is not there yet does.
    drop(registry);
    let server = stranger.up(pushed["pinned"].as_str().unwrap()).await;
    server.stop().await;
    let said = stranger.dayfly().up_ends(&name).await.with(1);
    assert!(said.contains("there is no connection to the server"), "{said}");
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "hello:1");
    let app = App::of("rust-hello");
    let first = user.push(app.folder(), &name).await;
    let (posts, puts) = (registry.answered("POST"), registry.answered("PUT"));
    assert_eq!(posts, 3, "the component, the description and the config");
    let second = user.push(app.folder(), &name).await;
    assert_eq!((&second["sent"], &second["digest"]), (&0.into(), &first["digest"]));
    assert_eq!((registry.answered("POST"), registry.answered("PUT")), (posts, puts));
    // Another tag of the same is one request; another app has the component in common.
    let tagged = user.push(app.folder(), &reference(&registry, "hello:2")).await;
    assert_eq!((&tagged["sent"], registry.answered("PUT")), (&0.into(), puts + 1));
    let other = App::granted("rust-hello", "description = \"another\"");
    let other = user.push(other.folder(), &name).await;
    assert_eq!(other["sent"], 2);
}

const SEVERAL: &str = "spin_manifest_version = 2\n[application]\nname = \"several\"\n\
    version = \"1.2.3\"\nauthors = [\"a cat\"]\n\
    [variables]\nname = { default = \"friend\" }\n\
    key = { default = \"sesame\", secret = true }\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"first\"\n\
    [[trigger.http]]\nroute = { private = true }\ncomponent = { source = \"guest:rust-http\" }\n\
    [[trigger.http]]\nroute = \"/read\"\ncomponent = \"second\"\n\
    [component.first]\nsource = \"guest:rust-http\"\n\
    environment = { COLOUR = \"green\" }\n\
    allowed_outbound_hosts = [\"http://*.spin.internal\", \"https://{{ name }}.example.com\"]\n\
    variables = { greeting = \"hello {{ name }}!\", token = \"{{ key }}\" }\n\
    [component.second]\nsource = \"guest:rust-http\"\n\
    files = [{ source = \"assets\", destination = \"/data\" }, \"notes/*.txt\"]\n";

fn several() -> App {
    App::spin(SEVERAL)
        .file("assets/small.txt", "small")
        .file("assets/deep/large.txt", "large ".repeat(1000))
        .file("assets/empty", "")
        .file("notes/note.txt", "a note")
        .file("notes/not.md", "granted by nobody")
}

#[tokio::test]
async fn a_manifest_of_spins_keeps_what_it_says() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "several:1");
    let app = several();
    let pushed = user.dayfly().arg("push").arg(app.folder()).arg(&name).ends().await;
    let said = pushed.with(0);
    assert!(said.contains("variable `key` is secret, so its default is not pushed"), "{said}");
    let folder = user.pull(&name).await;
    let manifest = std::fs::read_to_string(folder.join("spin.toml")).unwrap();
    assert!(!manifest.contains("sesame"), "{manifest}");
    assert!(manifest.contains("a cat"), "{manifest}");
    let words = ["up", "--variable", "key=opened"];
    let server = user.dayfly().args(words).arg(&folder).serve().await;
    assert_eq!(server.text("/config/greeting").await, "hello friend!");
    assert_eq!(server.text("/config/token").await, "opened");
    assert!(server.text("/env").await.contains("COLOUR=green"));
    let read = |path: &str| format!("/read?path={path}");
    assert_eq!(server.text(&read("/data/small.txt")).await, "small");
    assert_eq!(server.text(&read("/data/deep/large.txt")).await.len(), 6000);
    assert_eq!(server.text(&read("/data/empty")).await, "");
    assert_eq!(server.text(&read("/notes/note.txt")).await, "a note");
    assert_ne!(server.get(&read("/notes/not.md")).await.status, 200);
    server.stop().await;
    // Once more, and it is the same.
    let again = user.push(&folder, &reference(&registry, "again:1")).await;
    assert_eq!(again["sent"], again["blobs"]);
    let pulled = User::new();
    let twice = pulled.pull(&reference(&registry, "again:1")).await;
    assert_eq!(std::fs::read_to_string(twice.join("spin.toml")).unwrap(), manifest);
}

#[tokio::test]
async fn what_only_dayfly_knows_comes_back_too() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "own:1");
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"own\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [[trigger.queue]]\nqueue = \"jobs\"\ncomponent = \"guest\"\nretry = { attempts = 2 }\n\
         [component.guest]\nsource = \"guest:rust-http\"\n\
         limits = { memory = \"77MiB\", cpu = \"3s\" }\nreuse = { requests = 3, idle = \"9s\" }\n\
         blob_containers = [\"pictures\"]\nmessaging = [\"default\"]\nwebsockets = true\n\
         files = [{ source = \"data\", destination = \"/data\", writable = true },\n\
           { source = \"assets\", destination = \"/assets\" }]\n",
    )
    .file("data/uploaded.txt", "of a user's")
    .file("assets/a.txt", "an asset");
    let pushed = user.dayfly().args(["push", "-f"]).arg(app.folder()).arg(&name).ends().await;
    let said = pushed.with(0);
    assert!(said.contains("`/data` is not pushed"), "{said}");
    let folder = user.pull(&name).await;
    let manifest = std::fs::read_to_string(folder.join("dayfly.toml")).unwrap();
    insta::assert_snapshot!(manifest, @r#"
    dayfly = 1

    [application]
    name = "own"

    [component.guest]
    blob_containers = ["pictures"]
    messaging = ["default"]
    source = "components/guest.wasm"
    websockets = true

    [[component.guest.files]]
    destination = "/data"
    source = "files/guest/0"
    writable = true

    [[component.guest.files]]
    destination = "/assets"
    source = "files/guest/1"

    [component.guest.limits]
    cpu = "3s"
    memory = "77MiB"

    [component.guest.reuse]
    idle = "9s"
    requests = 3

    [[trigger.http]]
    component = "guest"
    id = "guest-http-trigger"
    route = "/..."

    [[trigger.queue]]
    component = "guest"
    id = "guest-queue-trigger"
    queue = "jobs"

    [trigger.queue.retry]
    attempts = 2
    "#);
    let server = user.dayfly().up(&folder).await;
    assert_eq!(server.text("/count").await, "1");
    assert_eq!(server.text("/count").await, "2", "it is reused");
    assert_eq!(server.text("/read?path=/assets/a.txt").await, "an asset");
    assert_ne!(server.get("/read?path=/data/uploaded.txt").await.status, 200);
    assert_eq!(server.post("/write?path=/data/new.txt", "new").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn many_files_are_one_layer() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "many:1");
    let mut app = App::granted("rust-http", "files = [\"assets/**\"]");
    for number in 0..100 {
        app = app.file(&format!("assets/{number}.txt"), format!("{number} ").repeat(100));
    }
    let pushed = user.push(app.folder(), &name).await;
    assert_eq!(pushed["blobs"], 4);
    let kinds: Vec<_> = registry.pulled("many", "1").await.into_iter().map(|blob| blob.0).collect();
    assert!(kinds.contains(&"application/vnd.wasm.content.bundle.v1.tar+gzip".to_owned()));
    let server = user.up(&name).await;
    for number in [0, 42, 99] {
        let text = server.text(&format!("/read?path=/assets/{number}.txt")).await;
        assert_eq!(text, format!("{number} ").repeat(100));
    }
    server.stop().await;
}

#[tokio::test]
async fn state_and_secrets_stay_here() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "careful:1");
    let app = App::granted(
        "rust-http",
        "files = [{ source = \".\", destination = \"/\" },\n\
           { source = \"data\", destination = \"/data\", writable = true },\n\
           { source = \"more\", destination = \"/elsewhere\", writable = true }]",
    )
    .file("data/db", "secret-5")
    .file("more/db", "secret-6")
    .file("public.txt", "public")
    .file(".env", "KEY=secret-1")
    .file(".dayfly/state.db", "secret-2")
    .file("deep/.git/config", "secret-3")
    .file("runtime-config.toml", "# secret-4")
    .link("passwords", "/etc/passwd")
    .link("linked.txt", "public.txt")
    .link("hidden.txt", ".env");
    let pushed = user.dayfly().arg("push").arg(app.folder()).arg(&name).ends().await;
    let said = pushed.with(0);
    for left_out in [
        "`/.env",
        "`/.dayfly",
        "`/deep/.git",
        "`/runtime-config.toml",
        "`/passwords",
        "`/data",
        "`/elsewhere",
        "`/more",
    ] {
        assert!(said.contains(&format!("{left_out}` is not pushed")), "{left_out}: {said}");
    }
    for (kind, bytes) in registry.pulled("careful", "1").await {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("secret-") && !text.contains("root:"), "{kind}");
    }
    let server = user.up(&name).await;
    assert_eq!(server.text("/read?path=/linked.txt").await, "public");
    assert_ne!(server.get("/read?path=/hidden.txt").await.status, 200);
    server.stop().await;
    let outside = App::granted("rust-http", "files = [{ source = \"..\", destination = \"/x\" }]");
    let outside = user.dayfly().arg("push").arg(outside.folder()).arg(&name).ends().await;
    assert!(outside.with(1).contains("lies outside the app's folder"));
}

#[tokio::test]
async fn what_is_composed_goes_along() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "composed:1");
    let library = Guest::path("rust-library");
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-composed\"\n\
         [component.guest.dependencies]\nshout = {{ path = {library:?} }}\n\
         \"dayfly:parts\" = {{ component = \"library\", environment = {{ OWN = \"2\" }} }}\n\
         [component.library]\nsource = \"guest:rust-library\"\n\
         environment = {{ OWN = \"1\", MORE = \"3\" }}\n",
    ));
    user.push(app.folder(), &name).await;
    let server = User::new().up(&name).await;
    assert_eq!(server.text("/shout?loud").await, "LOUD");
    assert_eq!(server.text("/attempt/vars").await, "MORE=3 OWN=2");
    server.stop().await;
}

#[tokio::test]
async fn what_stands_before_a_handler_goes_along() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "guarded:1");
    let middleware = format!("path = {:?}", Guest::path("rust-middleware"));
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         dependencies.middleware = [{{ {middleware}, environment = {{ NAME = \"outer\" }} }},\n\
           {{ {middleware}, environment = {{ NAME = \"inner\" }} }}]\n\
         [component.guest]\nsource = \"guest:rust-p3-echo\"\n",
    ));
    user.push(app.folder(), &name).await;
    let server = User::new().up(&name).await;
    let headers = server.text("/headers").await;
    let passed: Vec<_> = headers.lines().filter_map(|it| it.strip_prefix("x-passed: ")).collect();
    assert_eq!(passed, ["outer", "inner"]);
    server.stop().await;
}

#[tokio::test]
async fn a_script_is_pushed_frozen() {
    let (registry, user) = (Registry::start().await, User::new());
    let name = reference(&registry, "script:1");
    let script = App::of("rust-hello").file(
        "app.js",
        "const started = 'frozen';\n\
         export default { fetch: () => new Response(`hello from ${started} JavaScript`) };\n",
    );
    let interpreters = workspace().join("target/interpreters");
    let push = user.dayfly().env("DAYFLY_SOURCE_CACHE_DIR", interpreters);
    push.arg("push").arg(script.path("app.js")).arg(&name).ends().await.with(0);
    // Whoever pulls it has no interpreter, and no way to fetch one.
    let stranger = User::new();
    let server = stranger.dayfly().env("DAYFLY_INTERPRETERS", "/nothing").up(&name).await;
    assert_eq!(server.text("/").await, "hello from frozen JavaScript");
    server.stop().await;
    let layers = registry.pulled("script", "1").await;
    let packed = layers.iter().find(|(kind, _)| kind == "application/vnd.dayfly.wasm.v1+gzip");
    let packed = packed.unwrap().1.len() as u64;
    let folder = stranger.pull(&name).await;
    let plain = folder.join("components/app.wasm").metadata().unwrap().len();
    assert!(packed < plain / 2, "{packed} of {plain}");
    let plainly = user.dayfly().env("DAYFLY_INTERPRETERS", "/nothing");
    plainly.args(["push", "--plain"]).arg(&folder).arg(&name).ends().await.with(0);
    let kinds: Vec<_> = registry.pulled("script", "1").await.into_iter().map(|it| it.0).collect();
    assert!(kinds.contains(&"application/vnd.wasm.content.layer.v1+wasm".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn a_component_that_wkg_published_is_served() {
    let (registry, user) = (Registry::start().await, User::new());
    registry.push("me/hello", "1.0.0", &guest("rust-hello")).await;
    let name = reference(&registry, "me/hello:1.0.0");
    let server = user.up(&name).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    let folder = user.pull(&name).await;
    // Whoever may look into the folder may read what is in it.
    let mode = folder.join("components/hello.wasm").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o400, 0o400);
    let manifest = folder.join("dayfly.toml").metadata().unwrap().permissions().mode();
    assert_eq!(mode, manifest);
    let server = user.dayfly().up(&folder).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_folder_in_use_is_left_alone() {
    let (registry, user) = (Registry::start().await, User::new());
    registry.push("me/hello", "1.0.0", &guest("rust-hello")).await;
    let name = reference(&registry, "me/hello:1.0.0");
    std::fs::create_dir(user.path("hello")).unwrap();
    std::fs::write(user.path("hello/mine"), "mine").unwrap();
    let said = user.dayfly().args(["pull", &name]).ends().await.with(1);
    assert!(said.contains("`hello` is there already, and is not empty"), "{said}");
    assert_eq!(user.path("hello").read_dir().unwrap().count(), 1);
    std::fs::remove_file(user.path("hello/mine")).unwrap();
    user.dayfly().args(["pull", &name]).ends().await.with(0);
    assert!(user.path("hello/dayfly.toml").is_file());
    let left: Vec<_> = user.path("").read_dir().unwrap().flatten().collect();
    assert!(left.iter().all(|it| !it.file_name().to_string_lossy().starts_with(".pulled")));
}

#[tokio::test]
async fn what_a_package_keeps_is_kept_for_its_repository() {
    let (registry, user) = (Registry::start().await, User::new());
    let files = "files = [{ source = \"data\", destination = \"/data\", writable = true }]";
    for version in ["1", "2"] {
        let lines = format!("{files}\nenvironment = {{ VERSION = \"{version}\" }}");
        let app = App::granted("rust-http", &lines).file("data/.keep", "");
        let name = reference(&registry, &format!("me/hello:{version}"));
        user.dayfly().within(app.folder()).args(["push", &name]).ends().await.with(0);
        let up = user.dayfly().env_remove("DAYFLY_STATE_DIR");
        let server = up.env("XDG_DATA_HOME", user.path("data")).up(&name).await;
        if version == "1" {
            assert_eq!(server.post("/write?path=/data/new.txt", "new").await.status, 200);
        }
        assert_eq!(server.text("/read?path=/data/new.txt").await, "new");
        server.stop().await;
    }
    let host = registry.host().replace(':', "_");
    let kept = user.path("data/dayfly/apps").join(host).join("me%2Fhello");
    assert!(kept.join("logs").is_dir());
}

#[tokio::test]
async fn what_is_no_reference_says_why() {
    let user = User::new();
    let said = |words: &'static [&'static str], code| async move {
        let user = User::new();
        user.dayfly().args(words).ends().await.with(code)
    };
    let text = said(&["up", "hello:1.0"], 1).await;
    assert!(text.contains("`hello:1.0` does not exist, and is no package"), "{text}");
    assert!(text.contains("it names no registry"), "{text}");
    let text = said(&["up", "examples/nothing"], 1).await;
    assert!(text.contains("`examples/nothing` does not exist"), "{text}");
    let text = said(&["up", "./nothing.rb"], 1).await;
    assert!(text.starts_with("error: `./nothing.rb` does not exist\n"), "{text}");
    let text = said(&["up", "192.0.2.1/nothing"], 1).await;
    assert!(text.contains("`192.0.2.1/nothing` does not exist, and no package"), "{text}");
    let text = said(&["up", "example.com/Hello:1"], 1).await;
    assert!(text.contains("`Hello` is no name of a repository"), "{text}");
    let text = said(&["pull", "hello"], 2).await;
    assert!(text.contains("it names no registry"), "{text}");
    let pinned = format!("localhost:1/hello@sha256:{}", "a".repeat(64));
    let app = App::of("rust-hello");
    let pushed = user.dayfly().arg("push").arg(app.folder()).arg(&pinned).ends().await;
    assert!(pushed.with(1).contains("by a tag, not by a digest"));
    let text = said(&["up", "192.0.2.1/hello:1"], 1).await;
    assert!(text.contains("failed to fetch package `192.0.2.1/hello:1`"), "{text}");
}
