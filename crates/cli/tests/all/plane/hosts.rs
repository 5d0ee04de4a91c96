//! Apps are told apart by their hosts, and know nothing of one another.

use dayfly_testing::{App, Certificate, program, run};

use super::{Served, host, key, number, numbered};

#[tokio::test]
async fn requests_go_to_the_app_of_their_host() {
    let served = Served::start();
    served.put("a", "1", &numbered(1)).await;
    served.put("b", "1", &numbered(2)).await;
    let client = served.client();
    for (name, expected) in
        [("a.test", 1), ("b.test", 2), ("B.TEST", 2), ("a.test:80", 1), ("b.test.", 2)]
    {
        let answer = client.get_with("/env", &[("host", name)]).await;
        assert_eq!((answer.status, number(&answer.text())), (200, expected), "{name}");
    }
    for name in ["c.test", "a.test.b.test", "xa.test", "127.0.0.1", "[::1]:80"] {
        let answer = client.get_with("/env", &[("host", name)]).await;
        assert_eq!(answer.status, 404, "{name}");
        assert!(answer.text().starts_with("no app has this host (error "), "{}", answer.text());
    }
    // Whoever looks after the node asks it by its address.
    let health = client.get("/.well-known/dayfly/health").await;
    assert_eq!((health.status, health.text().as_str()), (200, "OK"));
    assert_eq!(served.text("a", "/.well-known/dayfly/health").await, "OK");
    assert_eq!(served.stop().await, 0);
}

#[tokio::test]
async fn a_host_is_one_apps() {
    let served = Served::start();
    served.put("a", "1", &numbered(1)).await;
    let plane = served.plane.clone();
    let rollout = dayfly_host::Rollout {
        hosts: vec![host("A")],
        ..dayfly_host::Rollout::whole("1", super::release(&numbered(2), &served.state("b"), None))
    };
    let taken = tokio::task::spawn_blocking(move || plane.put(&key("b"), rollout)).await.unwrap();
    assert_eq!(taken.unwrap_err().to_string(), "another app has host `a.test`");
    assert_eq!(served.plane.releases(&key("b")), None);
    assert_eq!(number(&served.text("a", "/env").await), 1);
    // Free again.
    assert!(served.remove("a").await);
    assert!(!served.remove("a").await);
    let answer = served.client().get_with("/env", &[("host", "a.test")]).await;
    assert_eq!(answer.status, 404);
    served.put("a", "2", &numbered(3)).await;
    assert_eq!(number(&served.text("a", "/env").await), 3);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test]
async fn apps_come_together() {
    let served = Served::start();
    served.put("a", "1", &numbered(1)).await;
    let together = served.plane.together();
    served.put("a", "2", &numbered(2)).await;
    served.put("b", "1", &numbered(3)).await;
    assert_eq!(number(&served.text("a", "/env").await), 1);
    let answer = served.client().get_with("/env", &[("host", "b.test")]).await;
    assert_eq!(answer.status, 404);
    drop(together);
    assert_eq!(number(&served.text("a", "/env").await), 2);
    assert_eq!(number(&served.text("b", "/env").await), 3);
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}

#[tokio::test]
async fn apps_neither_call_nor_read_one_another() {
    let served = Served::start();
    let app = |name: &str| {
        App::new(&format!(
            "dayfly = 1\n[application]\nname = \"same\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"guest:rust-http\"\n\
             allowed_outbound_hosts = [\"http://*.spin.internal\"]\n\
             environment = {{ RELEASE = \"7\" }}\n"
        ))
    };
    served.put("a", "1", &app("one")).await;
    served.put("b", "1", &app("two")).await;
    let fetch = async |app: &str, callee: &str| {
        let path = format!("/fetch?url=http://{callee}.spin.internal/env");
        let answer = served.client().get_with(&path, &[("host", &host(app))]).await;
        (answer.status, answer.text())
    };
    let (status, text) = fetch("a", "one").await;
    assert!(status == 200 && text.contains("RELEASE=7"), "{text}");
    let (status, text) = fetch("a", "two").await;
    assert!(status == 502 && text.contains("DestinationNotFound"), "{status} {text}");
    assert_eq!(served.stop().await, 0);
}

#[tokio::test]
async fn the_host_is_the_one_that_tls_began_with() {
    let certificate = Certificate::new();
    let served = Served::with(Some(&certificate));
    served.put("a", "1", &numbered(1)).await;
    served.put("b", "1", &numbered(2)).await;
    let port = served.base.rsplit(':').next().unwrap().to_owned();
    let ask = async |named: &str, host: &str, version: &str| {
        let (resolve, url) =
            (format!("{named}:{port}:127.0.0.1"), format!("https://{named}:{port}/env"));
        let header = format!("Host: {host}");
        let arguments =
            ["-sk", version, "--resolve", &resolve, "-H", &header, "-w", " %{http_code}", &url];
        run(program("curl").args(arguments)).await
    };
    for version in ["--http1.1", "--http2"] {
        let own = ask("a.test", &format!("a.test:{port}"), version).await;
        assert!(own.contains("RELEASE=1") && own.ends_with(" 200"), "{version}: {own}");
        let other = ask("a.test", "b.test", version).await;
        assert!(other.starts_with("this connection is for another host"), "{version}: {other}");
        assert!(other.ends_with(" 421"), "{version}: {other}");
        let unknown = ask("c.test", "c.test", version).await;
        assert!(unknown.ends_with(" 404"), "{version}: {unknown}");
    }
    assert_eq!(served.stop().await, 0);
}
