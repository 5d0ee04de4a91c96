//! `dayfly run` with a command of WASI 0.3: files, sockets and look-ups by its own interfaces, as
//! granted and as bounded.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::{complained, guest, printed};

/// Runs the guest with the words behind `--`; the flags before it are the host's.
async fn run(words: &[&str]) -> String {
    printed(&line(words, &guest("rust-p3-command")), 0).await
}

/// The same of a guest that fails: what it complains of.
async fn fails(words: &[&str]) -> String {
    complained(&line(words, &guest("rust-p3-command")), 1).await
}

/// `words` as a command line, with the guest's path in place of `--`.
fn line<'a>(words: &[&'a str], path: &'a str) -> Vec<&'a str> {
    let words = words.iter().map(|word| if *word == "--" { path } else { word });
    ["run"].into_iter().chain(words).collect()
}

#[tokio::test]
async fn a_folder_is_changed_by_whoever_may() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    std::fs::write(inside("a"), "one").unwrap();
    std::fs::create_dir(inside("old")).unwrap();
    let read = format!("{}::/data", folder.path().display());
    for words in [
        &["append", "/data/a", "two"][..],
        &["mkdir", "/data/new"],
        &["rmdir", "/data/old"],
        &["rm", "/data/a"],
        &["mv", "/data/a", "/data/b"],
        &["ln", "/data/a", "/data/b"],
        &["symlink", "a", "/data/b"],
    ] {
        let refused = fails(&[&["--dir", &read, "--"], words].concat()).await;
        assert!(refused.contains("NotPermitted"), "{words:?}: {refused}");
    }
    let write = ["--dir-rw", &read, "--"];
    run(&[&write[..], &["append", "/data/a", "two"]].concat()).await;
    run(&[&write[..], &["mkdir", "/data/new"]].concat()).await;
    run(&[&write[..], &["rmdir", "/data/old"]].concat()).await;
    run(&[&write[..], &["mv", "/data/a", "/data/new/b"]].concat()).await;
    run(&[&write[..], &["ln", "/data/new/b", "/data/c"]].concat()).await;
    run(&[&write[..], &["rm", "/data/new/b"]].concat()).await;
    run(&[&write[..], &["symlink", "c", "/data/link"]].concat()).await;
    assert_eq!(std::fs::read_to_string(inside("link")).unwrap(), "onetwo");
    assert!(!inside("old").exists() && !inside("a").exists() && !inside("new/b").exists());
    assert_eq!(
        run(&[&write[..], &["stat", "/data/c"]].concat()).await,
        "DescriptorType::RegularFile 6\n"
    );
    // No link leads out, and no path does.
    let outside = fails(&[&write[..], &["symlink", "/etc/passwd", "/data/out"]].concat()).await;
    assert!(outside.contains("NotPermitted"), "{outside}");
    let outside = fails(&[&write[..], &["mv", "/data/c", "/data/../c"]].concat()).await;
    assert!(outside.contains("NotPermitted"), "{outside}");
}

#[tokio::test]
async fn nothing_is_moved_or_linked_between_what_may_be_written_and_what_may_not() {
    let (fixed, free) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(fixed.path().join("a"), "fixed").unwrap();
    std::fs::write(free.path().join("b"), "free").unwrap();
    let fixed_grant = format!("{}::/fixed", fixed.path().display());
    let free_grant = format!("{}::/free", free.path().display());
    let both = ["--dir", &fixed_grant, "--dir-rw", &free_grant, "--"];
    for words in [
        ["ln", "/fixed/a", "/free/a"],
        ["ln", "/free/b", "/fixed/b"],
        ["mv", "/fixed/a", "/free/a"],
        ["mv", "/free/b", "/fixed/b"],
        ["mv", "/free/b", "/fixed/a"],
    ] {
        let refused = fails(&[&both[..], &words].concat()).await;
        assert!(refused.contains("NotPermitted"), "{words:?}: {refused}");
    }
    // A link of the writable folder's does not lead to the other one.
    std::os::unix::fs::symlink(fixed.path().join("a"), free.path().join("link")).unwrap();
    let refused = fails(&[&both[..], &["append", "/free/link", "x"]].concat()).await;
    assert!(refused.contains("NotPermitted"), "{refused}");
    std::fs::remove_file(free.path().join("link")).unwrap();
    let names = |folder: &tempfile::TempDir| std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!((names(&fixed), names(&free)), (1, 1));
    assert_eq!(std::fs::read_to_string(fixed.path().join("a")).unwrap(), "fixed");
    run(&[&both[..], &["mv", "/free/b", "/free/c"]].concat()).await;
}

#[tokio::test]
async fn numbers_the_time_and_terminals_are_told() {
    let facts = run(&["--", "machine"]).await;
    let lines: Vec<&str> = facts.lines().collect();
    assert_eq!(lines[0], "terminals false false false");
    assert_eq!(lines[2], "lengths 9 9");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let said = lines[4].strip_prefix("time ").and_then(|time| time.split('.').next()).unwrap();
    assert!(now - said.parse::<u64>().unwrap() < 60, "{facts}");
    let again = run(&["--", "machine"]).await;
    assert_ne!(lines[3], again.lines().nth(3).unwrap());
}

#[tokio::test]
async fn a_command_ends_when_it_says_so() {
    assert_eq!(run(&["--", "exit"]).await, "");
    let complaint = fails(&["--", "exit", "failure"]).await;
    assert!(!complaint.contains("did not end"), "{complaint}");
}

#[tokio::test]
async fn folders_are_as_granted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "contents").unwrap();
    let grant = format!("{}::/data", folder.path().display());
    assert_eq!(run(&["--dir", &grant, "--", "cat", "/data/a.txt"]).await, "contents");
    assert_eq!(run(&["--dir", &grant, "--", "ls", "/data"]).await, "a.txt\n");
    let refused = fails(&["--dir", &grant, "--", "write", "/data/b.txt", "text"]).await;
    assert!(refused.contains("NotPermitted"), "{refused}");
    let outside = fails(&["--dir", &grant, "--", "cat", "/data/../../etc/passwd"]).await;
    assert!(outside.contains("NotPermitted"), "{outside}");
    run(&["--dir-rw", &grant, "--", "write", "/data/b.txt", "text"]).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("b.txt")).unwrap(), "text");
    assert!(fails(&["--", "cat", "/data/a.txt"]).await.contains("NoEntry"));
    // The granted folder itself is one of the eight.
    let bounded = ["--limit", "files=8", "--dir", &grant, "--", "open", "/data/a.txt", "20"];
    assert_eq!(run(&bounded).await, "7 ErrorCode::Quota\n");
}

#[tokio::test]
async fn addresses_are_as_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            stream.write_all(text.to_uppercase().as_bytes()).await.unwrap();
        }
    });
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let udp = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&buffer[..length].to_ascii_uppercase(), from).await.unwrap();
        }
    });
    let (tcp_grant, udp_grant) = (format!("tcp://{tcp}"), format!("udp://{udp}"));
    let (tcp, udp) = (tcp.to_string(), udp.to_string());
    assert_eq!(run(&["--allow", &tcp_grant, "--", "tcp", &tcp, "hello"]).await, "HELLO");
    assert_eq!(run(&["--allow", &udp_grant, "--", "udp", &udp, "hello"]).await, "HELLO");
    for line in [
        ["--allow", &udp_grant, "--", "tcp", &tcp, "hello"],
        ["--allow", &tcp_grant, "--", "udp", &udp, "hello"],
        ["--allow", "tcp://127.0.0.1:1", "--", "tcp", &tcp, "hello"],
    ] {
        let refused = fails(&line).await;
        assert!(refused.contains("AccessDenied"), "{line:?}: {refused}");
    }
    assert!(fails(&["--", "tcp", &tcp, "hello"]).await.contains("AccessDenied"));
    for grant in ["tcp://localhost:1", "tcp://127.0.0.0/8:*"] {
        let found = run(&["--allow", grant, "--", "resolve", "localhost"]).await;
        assert!(found.contains("Ipv4((127, 0, 0, 1))"), "{grant}: {found}");
    }
    assert_eq!(run(&["--allow", "tcp://*:1", "--", "resolve", "localhost"]).await, "");
    for line in [
        &["--allow", "tcp://example.com:1", "--", "resolve", "localhost"][..],
        &["--", "resolve", "localhost"],
    ] {
        let refused = fails(line).await;
        assert!(refused.contains("AccessDenied"), "{line:?}: {refused}");
        assert!(refused.contains("does not grant this name"), "{line:?}: {refused}");
    }
}

#[tokio::test]
async fn sockets_and_connections_are_bounded() {
    let allow = "tcp://127.0.0.1:1";
    let made = run(&["--limit", "sockets=5", "--allow", allow, "--", "sockets", "9"]).await;
    assert!(made.starts_with("5 ErrorCode::Other"), "{made}");
    let made = run(&["--limit", "outbound=3", "--allow", allow, "--", "sockets", "9"]).await;
    assert!(made.starts_with("3 ErrorCode::Other"), "{made}");
}
