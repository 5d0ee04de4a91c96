//! Files: what is granted can be read, what is writable can be written, and nothing else exists.

use dayfly_testing::{App, Running};

use crate::dayfly;

/// An app with some files, of which `grants` are granted.
fn app(grants: &str) -> App {
    App::granted("rust-http", grants)
        .file("assets/a.txt", "a file")
        .file("assets/deep/b.txt", "below")
        .file("assets/secret.key", "granted by nobody")
        .file("outside.txt", "beside the folder")
}

async fn read(server: &Running, path: &str) -> Result<String, String> {
    let answer = server.get(&format!("/read?path={path}")).await;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

async fn list(server: &Running, path: &str) -> String {
    server.text(&format!("/list?path={path}")).await
}

async fn write(server: &Running, path: &str, text: &'static str) -> u16 {
    server.post(&format!("/write?path={path}"), text).await.status
}

#[tokio::test]
async fn a_guest_without_files_sees_none() {
    let app = app("");
    let server = dayfly().up(app.folder()).await;
    for path in ["/", "/assets/a.txt", "/etc/passwd", "a.txt", "../outside.txt"] {
        assert!(read(&server, path).await.is_err(), "{path}");
    }
    assert_eq!(server.get("/list?path=/").await.status, 502);
    assert_ne!(write(&server, "/new", "x").await, 200);
    server.stop().await;
}

#[tokio::test]
async fn globs_grant_what_they_match_at_its_own_path() {
    let app = app("files = [\"assets/**/*.txt\"]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/assets/a.txt").await.unwrap(), "a file");
    assert_eq!(read(&server, "/assets/deep/b.txt").await.unwrap(), "below");
    assert!(read(&server, "/assets/secret.key").await.is_err());
    assert!(read(&server, "/outside.txt").await.is_err());
    assert_eq!(list(&server, "/").await, "assets/\n");
    assert_eq!(list(&server, "/assets").await, "a.txt\ndeep/\n");
    assert_ne!(write(&server, "/assets/a.txt", "x").await, 200);
    server.stop().await;
    assert_eq!(app.text("assets/a.txt"), "a file");
}

#[tokio::test]
async fn a_glob_may_be_the_path_of_a_file_or_a_folder() {
    let app = app("files = [\"outside.txt\", \"assets\"]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/outside.txt").await.unwrap(), "beside the folder");
    assert_eq!(read(&server, "/assets/a.txt").await.unwrap(), "a file");
    assert_eq!(list(&server, "/assets").await, "a.txt\ndeep/\nsecret.key\n");
    server.stop().await;
    let app = App::granted("rust-http", "files = [\"nowhere.txt\"]");
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("nowhere.txt"), "{stderr}");
}

#[tokio::test]
async fn a_file_that_changed_is_granted_as_it_is_now() {
    let app = app("files = [\"assets/*.txt\"]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/assets/a.txt").await.unwrap(), "a file");
    server.stop().await;
    let app = app.file("assets/a.txt", "another");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/assets/a.txt").await.unwrap(), "another");
    server.stop().await;
}

#[tokio::test]
async fn a_folder_is_mounted_at_its_destination_and_read_only() {
    let app = app("files = [{ source = \"assets\", destination = \"/data\" }]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/data/a.txt").await.unwrap(), "a file");
    assert_eq!(read(&server, "/data/deep/b.txt").await.unwrap(), "below");
    assert_eq!(list(&server, "/data").await, "a.txt\ndeep/\nsecret.key\n");
    assert!(read(&server, "/assets/a.txt").await.is_err());
    assert_ne!(write(&server, "/data/a.txt", "x").await, 200);
    assert_ne!(write(&server, "/data/new.txt", "x").await, 200);
    server.stop().await;
    assert_eq!(app.text("assets/a.txt"), "a file");
    assert!(!app.path("assets/new.txt").exists());
}

#[tokio::test]
async fn a_folder_may_be_the_root() {
    let app = app("files = [{ source = \"assets\", destination = \"/\" }]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/a.txt").await.unwrap(), "a file");
    server.stop().await;
}

#[tokio::test]
async fn a_single_file_may_be_mounted() {
    let app = app("files = [{ source = \"assets/a.txt\", destination = \"/etc/a.conf\" }]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/etc/a.conf").await.unwrap(), "a file");
    assert!(read(&server, "/etc/passwd").await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_writable_folder_keeps_what_is_written() {
    let app = app("files = [{ source = \"assets\", destination = \"/data\", writable = true }]");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(write(&server, "/data/new.txt", "written").await, 200);
    assert_eq!(read(&server, "/data/new.txt").await.unwrap(), "written");
    server.stop().await;
    assert_eq!(app.text("assets/new.txt"), "written");
}

#[tokio::test]
async fn excluded_files_are_not_there() {
    for grant in
        ["files = [\"assets/**\"]", "files = [{ source = \"assets\", destination = \"/assets\" }]"]
    {
        let app = app(&format!("{grant}\nexclude_files = [\"**/*.key\"]"));
        let server = dayfly().up(app.folder()).await;
        assert_eq!(read(&server, "/assets/a.txt").await.unwrap(), "a file", "{grant}");
        assert!(read(&server, "/assets/secret.key").await.is_err(), "{grant}");
        assert_eq!(list(&server, "/assets").await, "a.txt\ndeep/\n", "{grant}");
        server.stop().await;
    }
}

#[tokio::test]
async fn nothing_leads_out_of_a_granted_folder() {
    for writable in ["", ", writable = true"] {
        let grant =
            format!("files = [{{ source = \"assets\", destination = \"/data\"{writable} }}]");
        let app = app(&grant)
            .link("assets/absolute", "/etc/passwd")
            .link("assets/relative", "../outside.txt")
            .link("assets/folder", "..")
            .link("assets/root", "/")
            .link("assets/inside", "a.txt");
        let server = dayfly().up(app.folder()).await;
        assert_eq!(read(&server, "/data/inside").await.unwrap(), "a file");
        for path in [
            "/data/../outside.txt",
            "/data/deep/../../outside.txt",
            "/data/./../../../../../etc/passwd",
            "/../outside.txt",
            "../outside.txt",
            "/etc/passwd",
            "/proc/self/environ",
            "/data//etc/passwd",
            "/data/absolute",
            "/data/relative",
            "/data/folder/outside.txt",
            "/data/root/etc/passwd",
        ] {
            let found = read(&server, path).await;
            assert!(found.is_err(), "{path} leads to {found:?}");
            assert_ne!(write(&server, path, "broken in").await, 200, "{path}");
        }
        server.stop().await;
        assert_eq!(app.text("outside.txt"), "beside the folder");
    }
}

#[tokio::test]
async fn a_granted_folder_that_is_not_there_is_named() {
    let app = app("files = [{ source = \"nowhere\", destination = \"/data\" }]");
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("nowhere") && stderr.contains("`guest`"), "{stderr}");
}

#[tokio::test]
async fn a_grant_may_not_lie_outside_the_app() {
    for glob in ["../*", "..", "/etc", "/etc/*", "/etc/passwd"] {
        let app = App::granted("rust-http", &format!("files = [{glob:?}]"));
        let stderr = dayfly().up_ends(app.folder()).await.with(1);
        assert!(stderr.contains(glob) || stderr.contains("outside"), "{glob}: {stderr}");
    }
}

#[tokio::test]
async fn commands_see_the_same_files() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"page\"\n\
         [component.page]\nsource = \"page.wat\"\nfiles = [\"assets/*.txt\"]\n",
    )
    .file("assets/a.txt", "Status: 200\nContent-Type: text/plain\n\nfrom a file")
    .file("page.wat", COPY_FILE);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/").await, "from a file");
    server.stop().await;
}

/// A core command that writes the file `assets/a.txt` of its first folder to standard output.
const COPY_FILE: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "assets/a.txt")
  (data (i32.const 128) "\00\04\00\00\00\04\00\00") ;; one vector: 1024 bytes at 1024
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 12) (i32.const 0)
          (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0))
      (then unreachable))
    (if (call $read (i32.load (i32.const 0)) (i32.const 128) (i32.const 1) (i32.const 8))
      (then unreachable))
    (i32.store (i32.const 132) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 8)))))
"#;

#[tokio::test]
async fn what_lies_at_one_path_is_one_tree() {
    let app = app("files = [\"outside.txt\", \
        { source = \"assets\", destination = \"/\" }, { source = \"more\", destination = \"/deep\" }, \
        { source = \"still-more\", destination = \"/deep/\" }]")
    .file("more/c.txt", "more")
    .file("still-more/d.txt", "and more");
    // From its own folder, as most start it.
    let server = dayfly().within(app.folder()).arg("up").serve().await;
    assert_eq!(list(&server, "/").await, "a.txt\ndeep/\noutside.txt\nsecret.key\n");
    assert_eq!(list(&server, "/deep").await, "b.txt\nc.txt\nd.txt\n");
    assert_eq!(read(&server, "/deep/d.txt").await.unwrap(), "and more");
    server.stop().await;
}

#[tokio::test]
async fn a_writable_folder_has_its_path_for_itself() {
    let app = app("files = [\"outside.txt\", \
        { source = \"assets\", destination = \"/\", writable = true }]");
    let ended = dayfly().up_ends(app.folder()).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("is writable, but other files are granted at `/`"), "{ended:?}");
}

#[tokio::test]
async fn exclusions_that_do_not_touch_a_writable_folder_leave_it_writable() {
    let app = app("exclude_files = [\"assets/*.key\"]\n\
        files = [{ source = \"data\", destination = \"/data\", writable = true }]")
    .file("data/x.txt", "x");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(write(&server, "/data/y.txt", "y").await, 200);
    server.stop().await;
}

/// Checks that a grant is refused because of a link, which the error names, and that `check` says
/// so as well.
async fn leads_out(app: &App, link: &str) {
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains(link) && stderr.contains("symbolic link"), "{link}: {stderr}");
    assert!(stderr.contains("exclude_files"), "{link}: {stderr}");
    let checked = dayfly().arg("check").arg(app.folder()).ends().await;
    assert_eq!(checked.code, Some(1), "{link}: {checked:?}");
    assert!(format!("{checked:?}").contains("symbolic link"), "{link}: {checked:?}");
}

#[tokio::test]
async fn links_lead_out_of_no_grant() {
    let beside = tempfile::tempdir().unwrap();
    std::fs::write(beside.path().join("secret"), "not the app's").unwrap();
    let secret = beside.path().join("secret");
    for grant in [
        "\"data/**\"",
        "\"data/*\"",
        "\"data\"",
        "\"data/link\"",
        "{ source = \"data/link\", destination = \"/x\" }",
        "\"outside.txt\", { source = \"data\", destination = \"/\" }",
    ] {
        let app = app(&format!("files = [{grant}]")).file("data/x", "x").link("data/link", &secret);
        leads_out(&app, "data/link").await;
    }
    for grant in ["{ source = \"folder\", destination = \"/x\" }", "\"folder/*\"", "\"folder\""] {
        let app = app(&format!("files = [{grant}]")).link("folder", beside.path());
        leads_out(&app, "folder").await;
    }
    let excluding = "exclude_files = [\"*.key\"]\n\
        files = [{ source = \"data\", destination = \"/data\" }]";
    let app = app(excluding).file("data/x", "x").link("data/link", &secret);
    leads_out(&app, "data/link").await;
}

#[tokio::test]
async fn links_that_stay_and_folders_named_outright_are_granted() {
    let beside = tempfile::tempdir().unwrap();
    std::fs::write(beside.path().join("file"), "named outright").unwrap();
    let grants = format!(
        "exclude_files = [\"data/out\"]\n\
         files = [\"data/**\", {{ source = \"named\", destination = \"/named\" }}, \
         {{ source = {:?}, destination = \"/beside\" }}]",
        beside.path()
    );
    let app = app(&grants)
        .file("data/x", "x")
        .link("data/within", "../assets/a.txt")
        .link("data/out", "/etc/passwd")
        .link("named", "assets");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(read(&server, "/data/within").await.unwrap(), "a file");
    assert_eq!(read(&server, "/named/a.txt").await.unwrap(), "a file");
    assert_eq!(read(&server, "/beside/file").await.unwrap(), "named outright");
    assert!(read(&server, "/data/out").await.is_err());
    server.stop().await;
    // Its own links stay inside of it.
    let link = beside.path().join("link");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    let stderr = dayfly().up_ends(app.folder()).await.with(1);
    assert!(stderr.contains("symbolic link"), "{stderr}");
}

/// Folders and links change places while a guest opens files through them, for as long as this.
const RACE: std::time::Duration = std::time::Duration::from_secs(3);

#[tokio::test]
async fn a_folder_that_becomes_a_link_while_it_is_opened_leads_nowhere_else() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let app = app("files = [{ source = \"data\", destination = \"/data\", writable = true }]")
        .file("data/place/file", "inside")
        .file("elsewhere/file", "secret")
        .link("data/other", "../elsewhere")
        .file("data/name", "inside")
        .link("data/another", "../elsewhere/file");
    let server = dayfly().up(app.folder()).await;
    let until = std::time::Instant::now() + RACE;
    let paths = ["place", "other", "name", "another"].map(|name| app.path("data").join(name));
    let swaps = std::thread::spawn(move || {
        let mut swaps = 0_u64;
        while std::time::Instant::now() < until {
            for pair in paths.chunks(2) {
                renameat_with(CWD, &pair[0], CWD, &pair[1], RenameFlags::EXCHANGE).unwrap();
            }
            swaps += 1;
        }
        swaps
    });
    let (mut inside, mut refused) = (0, 0);
    while !swaps.is_finished() {
        for path in ["/data/place/file", "/data/name", "/data/place/../place/file"] {
            match read(&server, path).await {
                Ok(text) => {
                    assert!(text == "inside" || text.starts_with("written"), "{path}: {text}");
                    inside += 1;
                }
                Err(_) => refused += 1,
            }
            write(&server, path, "written").await;
        }
        assert_eq!(app.text("elsewhere/file"), "secret");
    }
    assert!(swaps.join().unwrap() > 100 && inside > 20 && refused > 20, "{inside} {refused}");
    let names: Vec<_> = std::fs::read_dir(app.path("elsewhere")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    server.stop().await;
}

/// Escapes each byte.
fn escaped(path: &[u8]) -> String {
    path.iter().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn long_and_odd_names_are_names_or_errors() {
    use std::os::unix::ffi::OsStrExt as _;

    let long = "n".repeat(255);
    let odd =
        [&b"back\\slash"[..], b"new\nline", b" ", b"...", b"%2e%2e", "\u{202e}gpj".as_bytes()];
    let mut app = app("files = [{ source = \"data\", destination = \"/data\" }]")
        .file(&format!("data/{long}"), "long")
        .link("data/one", "two")
        .link("data/two", "one")
        .link("data/self", "self");
    for name in odd {
        let path = app.path("data").join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(path, name).unwrap();
    }
    let deep = "d/".repeat(500);
    app = app.file(&format!("data/{deep}file"), "deep");
    let server = dayfly().up(app.folder()).await;
    for (path, text) in [
        (format!("/data/{long}"), "long".as_bytes()),
        (format!("/data/{deep}file"), b"deep"),
        (format!("/data//.//{}", "d/../".repeat(200) + &long), b"long"),
    ] {
        assert_eq!(read(&server, &path).await.unwrap().as_bytes(), text);
    }
    for name in odd {
        let path = escaped(&[b"/data/", name].concat());
        assert_eq!(read(&server, &path).await.unwrap().as_bytes(), name, "{path}");
    }
    let longer = |bytes: usize| format!("/data/{}", "n".repeat(bytes));
    for path in [
        longer(256),
        longer(4096),
        longer(15_000),
        format!("/data/{}", "d/".repeat(7_000)),
        format!("/data/{}x", "../data/".repeat(500)),
        "/data/one".to_owned(),
        "/data/self/x".to_owned(),
        escaped(b"/data/a\0b"),
        escaped(b"/data/\xff\xfe"),
        escaped(b"\0"),
        String::new(),
    ] {
        let found = read(&server, &path).await;
        assert!(found.is_err(), "{path}: {found:?}");
        write(&server, &path, "x").await;
    }
    assert_eq!(read(&server, &format!("/data/{long}")).await.unwrap(), "long");
    server.stop().await;
}
