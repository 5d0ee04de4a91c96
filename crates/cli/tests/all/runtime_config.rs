//! `--runtime-config-file`: what stands behind an app's grants on this machine.

use dayfly_testing::{App, Certificate, Running, Upstream};

use crate::dayfly;

/// The app serves with this `runtime-config.toml` beside its manifest.
async fn up(app: App, config: &str) -> (App, Running) {
    let app = app.file("runtime-config.toml", config);
    let file = app.path("runtime-config.toml");
    let server =
        dayfly().arg("up").arg("--runtime-config-file").arg(file).arg(app.folder()).serve().await;
    (app, server)
}

fn granted(hosts: &[&str]) -> App {
    App::granted("rust-http", &format!("allowed_outbound_hosts = {hosts:?}"))
}

async fn fetch(server: &Running, url: &str) -> Result<String, String> {
    let answer = server.get(&format!("/fetch?url={url}")).await;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

/// Two components, `one` below `/one`, and `two`, that may reach a server.
fn two_components(url: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/fetch\"\ncomponent = \"one\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"two\"\n\
         [component.one]\nsource = \"guest:rust-http\"\nallowed_outbound_hosts = [{url:?}]\n\
         [component.two]\nsource = \"guest:rust-hello\"\nallowed_outbound_hosts = [{url:?}]\n"
    ))
}

#[tokio::test]
async fn a_component_shows_its_certificate_to_the_hosts_that_are_named() {
    let (servers, clients) = (Certificate::new(), Certificate::new());
    let upstream = Upstream::start_mutual_tls(&servers, &clients).await;
    let tls = |component: &str, host: &str| {
        format!(
            "[[client_tls]]\ncomponent_ids = [{component:?}]\nhosts = [{host:?}]\n\
             ca_roots_file = {:?}\nclient_cert_file = {:?}\nclient_private_key_file = {:?}\n",
            servers.authority(),
            clients.chain(),
            clients.key()
        )
    };
    let app = || granted(&[&upstream.url(), &upstream.named_url()]);
    let (_app, server) = up(app(), &tls("guest", "LocalHost")).await;
    let text = fetch(&server, &upstream.named_url()).await.unwrap();
    assert!(text.contains("GET / HTTP/2.0"), "{text}");
    // The same server under another name: its authority is not the platform's.
    let error = fetch(&server, &upstream.url()).await.unwrap_err();
    assert!(error.contains("TlsCertificateError"), "{error}");
    server.stop().await;
    let (_app, server) = up(app(), &tls("another", "localhost")).await;
    assert!(fetch(&server, &upstream.named_url()).await.is_err());
    server.stop().await;
    // The authority alone is not enough for a server that wants to see a certificate.
    let trusting = format!(
        "[[client_tls]]\ncomponent_ids = [\"one\"]\nhosts = [\"localhost\"]\nca_roots_file = {:?}\n",
        servers.authority()
    );
    let (_app, server) = up(two_components(&upstream.named_url()), &trusting).await;
    assert!(fetch(&server, &upstream.named_url()).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let certificate = Certificate::new();
    let upstream = Upstream::start_tls(&certificate).await;
    let app = || {
        granted(&[&upstream.url(), &upstream.named_url()])
            .file("tls/roots.pem", std::fs::read(certificate.authority()).unwrap())
    };
    let tls = "[[client_tls]]\ncomponent_ids = [\"guest\"]\nhosts = [\"127.0.0.1\"]\n";
    let (_app, server) = up(app(), &format!("{tls}ca_roots_file = \"tls/roots.pem\"\n")).await;
    assert!(fetch(&server, &upstream.url()).await.is_ok());
    assert!(fetch(&server, &upstream.named_url()).await.is_err());
    server.stop().await;
    let (_app, server) = up(app(), &format!("{tls}ca_use_webpki_roots = true\n")).await;
    assert!(fetch(&server, &upstream.url()).await.is_err(), "Mozilla knows it not");
    server.stop().await;
}

#[tokio::test]
async fn files_of_certificates_are_read_at_the_start() {
    let certificate = Certificate::new();
    for (files, told) in [
        ("ca_roots_file = \"missing.pem\"\n", "missing.pem"),
        ("ca_roots_file = \"empty.pem\"\n", "empty.pem"),
        (
            "client_cert_file = \"chain.pem\"\nclient_private_key_file = \"chain.pem\"\n",
            "chain.pem",
        ),
        (
            "client_cert_file = \"chain.pem\"\nclient_private_key_file = \"other.pem\"\n",
            "chain.pem",
        ),
    ] {
        let app = granted(&[])
            .file("empty.pem", "hunter2")
            .file("chain.pem", std::fs::read(certificate.chain()).unwrap())
            .file("other.pem", std::fs::read(Certificate::new().key()).unwrap())
            .file(
                "c.toml",
                format!("[[client_tls]]\ncomponent_ids = [\"guest\"]\nhosts = [\"h\"]\n{files}"),
            );
        let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
        let stderr = command.arg(app.folder()).ends().await.with(1);
        assert!(stderr.contains(told) && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[tokio::test]
async fn blocked_networks_are_reached_by_nobody() {
    let upstream = Upstream::start().await;
    let tcp = format!("tcp://127.0.0.1:{}", upstream.port());
    let app = || granted(&[&upstream.url(), &upstream.named_url(), &tcp]);
    let request = "GET%20/%20HTTP/1.0%0d%0a%0d%0a";
    let socket = format!("/tcp?addr=127.0.0.1:{}&send={request}", upstream.port());
    for network in ["127.0.0.0/8\", \"::1", "private"] {
        let config = format!("[outbound_networking]\nblock_networks = [\"{network}\"]\n");
        let (_app, server) = up(app(), &config).await;
        for url in [upstream.url(), upstream.named_url()] {
            let error = fetch(&server, &url).await.unwrap_err();
            assert!(error.contains("Prohibited"), "{error}");
        }
        assert_eq!(server.get(&socket).await.status, 502);
        server.stop().await;
    }
    let (_app, server) =
        up(app(), "[outbound_networking]\nblock_networks = [\"10.0.0.0/8\"]\n").await;
    assert!(fetch(&server, &upstream.url()).await.is_ok());
    let answer = server.get(&socket).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.stop().await;
}

#[tokio::test]
async fn connections_are_kept_unless_the_file_says_otherwise() {
    for (pooling, opened) in [(true, 1), (false, 3)] {
        let upstream = Upstream::start().await;
        let config = format!("[outbound_http]\nconnection_pooling = {pooling}\n");
        let (_app, server) = up(granted(&[&upstream.url()]), &config).await;
        for _ in 0..3 {
            fetch(&server, &upstream.url()).await.unwrap();
        }
        assert_eq!(upstream.connections(), opened);
        server.stop().await;
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_are_refused() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    for config in [
        "[outbound_http]\nmax_connections = 1\n",
        "[outbound_networking]\nmax_total_connections = 1\n",
    ] {
        let (_app, server) = up(granted(&[&upstream.url(), &other.url()]), config).await;
        // The first is kept for a while, and counts.
        fetch(&server, &upstream.url()).await.unwrap();
        fetch(&server, &upstream.url()).await.unwrap();
        let error = fetch(&server, &other.url()).await.unwrap_err();
        assert!(error.contains("ConnectionLimitReached"), "{error}");
        server.stop().await;
    }
    let config = "[outbound_networking]\nmax_socket_connections = 0\n";
    let tcp = format!("tcp://127.0.0.1:{}", upstream.port());
    let (_app, server) = up(granted(&[&upstream.url(), &tcp]), config).await;
    fetch(&server, &upstream.url()).await.unwrap();
    let socket = format!("/tcp?addr=127.0.0.1:{}&send=x", upstream.port());
    assert_eq!(server.get(&socket).await.status, 502);
    server.stderr().containing("outbound_networking").await;
    server.stop().await;
}

#[tokio::test]
async fn the_file_says_where_state_and_logs_are_unless_a_flag_does() {
    let config = "state_dir = \"kept/state\"\nlog_dir = \"kept/logs\"\n";
    let app = App::of("rust-http").file("c.toml", config);
    // The tests' own setting would be stronger.
    let command = || dayfly().env_remove("DAYFLY_STATE_DIR");
    let server = command().env("RUNTIME_CONFIG_FILE", app.path("c.toml")).up(app.folder()).await;
    server.text("/log?lines=1&text=hello").await;
    server.stop().await;
    assert!(app.path("kept/state").is_dir() && !app.path(".dayfly").exists());
    let logs: Vec<_> = std::fs::read_dir(app.path("kept/logs")).unwrap().collect();
    assert!(!logs.is_empty());
    let server = command()
        .env("DAYFLY_RUNTIME_CONFIG_FILE", app.path("c.toml"))
        .env("RUNTIME_CONFIG_FILE", "/nowhere.toml")
        .args(["up", "--log-dir"])
        .arg(app.path("mine"))
        .arg(app.folder())
        .serve()
        .await;
    server.text("/log?lines=1&text=hello").await;
    server.stop().await;
    assert!(app.path("mine").is_dir());
}

#[tokio::test]
async fn the_most_memory_of_an_instance_is_bounded_for_all() {
    let (app, server) = up(App::of("rust-http"), "max_instance_memory = 16777216\n").await;
    assert_eq!(server.get("/alloc?mb=8").await.status, 200);
    assert_eq!(server.get("/alloc?mb=32").await.status, 500);
    server.stop().await;
    let file = app.path("runtime-config.toml");
    let stronger = ["up", "--limit", "memory=64MiB", "--runtime-config-file"];
    let server = dayfly().args(stronger).arg(file).arg(app.folder()).serve().await;
    assert_eq!(server.get("/alloc?mb=32").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn mistakes_are_told_together_with_their_places_and_no_secret() {
    let app = App::of("rust-hello").file(
        "c.toml",
        "[key_value_store.a]\ntype = \"azure_cosmos\"\nkey = \"hunter2\"\n\
         [key_value_store.b]\ntype = \"redis\"\nurl = \"hunter2\"\n\
         [outbound_http]\nmax_conections = 1\n",
    );
    let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
    let stderr = command.arg(app.folder()).ends().await.with(1);
    for told in ["c.toml:2:8", "`azure_cosmos`", "c.toml:6:7", "c.toml:8:1", "`max_connections`"] {
        assert!(stderr.contains(told), "no {told} in {stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
    let command = dayfly().args(["up", "--runtime-config-file", "/nowhere.toml"]);
    let stderr = command.arg(app.folder()).ends().await.with(1);
    assert!(stderr.contains("/nowhere.toml"), "{stderr}");
}
