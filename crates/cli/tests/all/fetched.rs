//! Sources from elsewhere: fetched once, checked by their digest, and kept; what goes wrong says what
//! to do.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use dayfly_testing::{App, Content, Dayfly, Guest, Registry, Site, sha256};

use crate::dayfly;

/// The binary with a folder of its own for what it fetches and compiles, without a configuration of
/// the user's.
fn fetching(folder: &Path) -> Dayfly {
    let configuration = folder.join("configuration");
    dayfly()
        .env("DAYFLY_SOURCE_CACHE_DIR", folder.join("sources"))
        .env("XDG_CONFIG_HOME", configuration)
        .env("HOME", folder)
        .env("DOCKER_CONFIG", folder)
}

/// An app whose one component has this source.
fn app(source: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = {source}\n"
    ))
}

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(Guest::path(name)).expect("a built guest")
}

fn from_url(url: &str, wasm: &[u8]) -> App {
    app(&format!("{{ url = {url:?}, digest = \"sha256:{}\" }}", sha256(wasm)))
}

#[tokio::test]
async fn an_address_is_fetched_once() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    let wasm = guest("rust-hello");
    site.put("/hello.wasm", Content::Bytes(wasm.clone().into()));
    site.put("/moved", Content::Redirect("/hello.wasm".to_owned()));
    let app = from_url(&site.url("/moved"), &wasm);
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stderr().containing("Fetched").await;
    server.stop().await;
    assert_eq!(site.asked(), 2);
    drop(site);
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_dependency_comes_from_an_address() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    let wasm = guest("rust-library");
    site.put("/library.wasm", Content::Bytes(wasm.clone().into()));
    let app = App::granted(
        "rust-composed",
        &format!(
            "[component.guest.dependencies]\nshout = {{ url = {:?}, digest = \"sha256:{}\" }}\n",
            site.url("/library.wasm"),
            sha256(&wasm)
        ),
    );
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/shout?loud").await, "LOUD");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_what_was_stated_is_not_kept() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    site.put("/hello.wasm", Content::Bytes(guest("rust-http").into()));
    let app = from_url(&site.url("/hello.wasm"), &guest("rust-hello"));
    let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
    assert!(said.contains("failed to fetch"), "{said}");
    assert!(
        said.contains(&format!("its digest is `sha256:{}`", sha256(&guest("rust-http")))),
        "{said}"
    );
    let kept = std::fs::read_dir(folder.path().join("sources/sha256")).unwrap().count();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_copy_that_was_changed_is_not_used() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    let wasm = guest("rust-hello");
    let copy = folder.path().join("sources/sha256").join(sha256(&wasm));
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::write(&copy, guest("rust-http")).unwrap();
    let app = from_url(&site.url("/hello.wasm"), &wasm);
    let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
    assert!(said.contains("is not what it was when it was fetched"), "{said}");
    assert!(said.contains(&format!("remove `{}`", copy.display())), "{said}");
}

#[tokio::test]
async fn a_machine_without_a_network_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start().await;
    let (url, wasm) = (site.url("/hello.wasm"), guest("rust-hello"));
    drop(site);
    let app = from_url(&url, &wasm);
    let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
    assert!(said.contains("there is no connection to the server"), "{said}");
    let copy = folder.path().join("sources/sha256").join(sha256(&wasm));
    assert!(said.contains(&format!("needs the file as `{}`", copy.display())), "{said}");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::write(&copy, wasm).unwrap();
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn servers_are_waited_for_within_bounds() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    let wasm = guest("rust-hello");
    site.put("/stalls", Content::Stalls(Bytes::copy_from_slice(&wasm[..1000])));
    site.put("/loop", Content::Redirect("/loop".to_owned()));
    site.put("/elsewhere", Content::Redirect("http://192.0.2.1/hello.wasm".to_owned()));
    site.put("/claims", Content::Claims(1 << 40));
    for (path, error) in [
        ("/stalls", "the server sent nothing for 20 seconds"),
        ("/loop", "redirects more than 5 times"),
        ("/elsewhere", "`192.0.2.1` is asked without encryption"),
        ("/claims", "it is larger than 512 MiB"),
        ("/nothing", "the server answered with status 404"),
    ] {
        let app = from_url(&site.url(path), &wasm);
        let began = Instant::now();
        let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
        assert!(said.contains(error), "{path}: {said}");
        assert!(began.elapsed().as_secs() < 50, "{path}");
    }
}

#[tokio::test]
async fn what_has_no_end_is_too_large() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    site.put("/endless", Content::Endless);
    let app = from_url(&site.url("/endless"), b"");
    let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
    assert!(said.contains("it is larger than 512 MiB"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path().join("sources/sha256")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_package_comes_from_a_registry() {
    let (registry, folder) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.push("test/hello", "1.0.0", &guest("rust-hello")).await;
    let source = |version: &str| {
        format!(
            "{{ registry = {:?}, package = \"test:hello\", version = {version:?} }}",
            registry.host()
        )
    };
    let app = app(&source("1.0.0"));
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
    let missing = self::app(&source("1.0.1"));
    let said = fetching(folder.path()).up_ends(missing.folder()).await.with(1);
    assert!(said.contains("failed to fetch package `test:hello@1.0.1`"), "{said}");
    assert!(said.contains("has no such package or version"), "{said}");
    drop(registry);
    // It is kept.
    let server = fetching(folder.path()).up(app.folder()).await;
    server.stop().await;
}

/// An app with a dependency on `test:parts`, of that version, in a registry that the user's
/// configuration names.
fn dependent(version: &str) -> App {
    App::granted(
        "rust-composed",
        &format!(
            "[component.guest.dependencies]\n\
             shout = {{ package = \"test:parts\", version = {version:?} }}\n"
        ),
    )
}

fn configure(folder: &Path, registry: &str) {
    let file = folder.join("configuration/wasm-pkg/config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, format!("[namespace_registries]\ntest = {registry:?}\n")).unwrap();
}

#[tokio::test]
async fn the_highest_version_of_a_range_is_taken() {
    let (registry, folder) = (Registry::start().await, tempfile::tempdir().unwrap());
    configure(folder.path(), registry.host());
    let hello = guest("rust-hello");
    for version in ["0.9.0", "1.2.0", "2.0.0", "latest"] {
        registry.push("test/parts", version, &hello).await;
    }
    registry.push("test/parts", "1.10.0", &guest("rust-library")).await;
    let app = dependent("^1");
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/shout?loud").await, "LOUD");
    server.stop().await;
    let none = dependent("^3");
    let said = fetching(folder.path()).up_ends(none.folder()).await.with(1);
    assert!(said.contains("has no version that fits; it has 4 others"), "{said}");
}

#[tokio::test]
async fn a_registry_says_where_its_packages_are() {
    let (registry, site) = (Registry::start().await, Site::start().await);
    let folder = tempfile::tempdir().unwrap();
    registry.push("some/where/test/parts", "1.0.0", &guest("rust-library")).await;
    let metadata = format!(
        "{{\"preferredProtocol\":\"oci\",\"oci\":{{\"registry\":{:?},\"namespacePrefix\":\"some/where/\"}}}}",
        registry.host()
    );
    site.put("/.well-known/wasm-pkg/registry.json", Content::Bytes(metadata.into()));
    configure(folder.path(), &site.host());
    let app = dependent("1.0");
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/shout?loud").await, "LOUD");
    server.stop().await;
    let warg = Content::Bytes("{\"preferredProtocol\":\"warg\",\"warg\":{\"url\":\"x\"}}".into());
    site.put("/.well-known/wasm-pkg/registry.json", warg);
    let other = dependent("2.0");
    let said = fetching(folder.path()).up_ends(other.folder()).await.with(1);
    assert!(said.contains("does not speak OCI"), "{said}");
}

#[tokio::test]
async fn a_closed_registry_gets_the_users_credentials() {
    let (registry, folder) = (Registry::start_closed().await, tempfile::tempdir().unwrap());
    registry.push("test/parts", "1.0.0", &guest("rust-library")).await;
    configure(folder.path(), registry.host());
    let app = dependent("1.0");
    let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
    assert!(said.contains("wants credentials"), "{said}");
    std::fs::write(folder.path().join("config.json"), registry.docker_config()).unwrap();
    let server = fetching(folder.path()).up(app.folder()).await;
    assert_eq!(server.text("/shout?loud").await, "LOUD");
    assert!(!server.stderr().text().contains("dGVzdGVy"));
    server.stop().await;
}

#[tokio::test]
async fn a_package_that_is_no_component_is_told() {
    let (registry, folder) = (Registry::start().await, tempfile::tempdir().unwrap());
    configure(folder.path(), registry.host());
    registry.push_as("test/parts", "1.0.0", &[("text/plain", b"no component")]).await;
    let app = dependent("=1.0.0");
    let said = fetching(folder.path()).up_ends(app.folder()).await.with(1);
    assert!(said.contains("not exactly one layer of WebAssembly"), "{said}");
    let unknown =
        App::granted("rust-composed", "[component.guest.dependencies]\n\"other:parts\" = \"1\"\n");
    let said = fetching(folder.path()).up_ends(unknown.folder()).await.with(1);
    assert!(said.contains("no registry is known for namespace `other`"), "{said}");
}

#[tokio::test]
async fn check_asks_nobody() {
    let (site, folder) = (Site::start().await, tempfile::tempdir().unwrap());
    let app = from_url(&site.url("/hello.wasm"), &guest("rust-hello"));
    let ended = fetching(folder.path()).arg("check").arg(app.folder()).ends().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("was not fetched: `dayfly up` fetches it"), "{}", ended.stderr);
    assert_eq!(site.asked(), 0);
}
