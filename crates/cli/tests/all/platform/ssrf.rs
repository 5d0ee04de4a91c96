//! What apps ask for and must not reach, whatever their manifests grant: the admin API, this machine, private
//! networks, and where a cloud tells its machines their secrets. All of them are really there: in a network of
//! the platform's own.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Dayfly, Ended, Running};
use tempfile::TempDir;

use super::{Platform, anywhere, numbered};
use crate::scripts::with_interpreters;

/// Where everybody may go; in this network it is the metadata server as well.
const PUBLIC: &str = "1.2.3.4";

/// Gives the loopback device addresses of everywhere.
const NETWORK: &str = "ip link set lo up \
    && for address in 1.2.3.4/32 10.1.1.1/32 100.100.100.200/32 168.63.129.16/32 169.254.169.254/32; \
       do ip address add $address dev lo; done \
    && { ip -6 address add fd00:ec2::254/128 dev lo || true; } \
    && mount --bind \"$HOSTS\" /etc/hosts && exec \"$0\" \"$@\"";

const HOSTS: &str = "127.0.0.1 localhost rebound.example\n::1 localhost\n1.2.3.4 public.example\n\
                     169.254.169.254 metadata.example\n10.1.1.1 private.example\n";

/// A server on every address of the network, which sends on whoever asks it to.
const METADATA: &str = r#"
import http.server, socket, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        to = self.path.partition('?to=')[2]
        self.send_response(302 if to else 200)
        if to:
            self.send_header('location', to)
        self.send_header('content-length', '6')
        self.end_headers()
        self.wfile.write(b'secret')

    do_POST = do_GET

    def log_message(self, *_):
        pass

class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request, _):
        print('reached', request.getsockname()[0].removeprefix('::ffff:'), flush=True)
        return True

server = Server(('::', 80), Handler)
print('http://1.2.3.4/', flush=True)
server.serve_forever()
"#;

/// A guest whose `fetch` follows redirects.
const FOLLOWS: &str = r#"
export default {
  async fetch(request) {
    const url = request.url.split("?url=")[1];
    try {
      const response = await fetch(url);
      return new Response(`reached ${await response.text()}`);
    } catch (error) {
      return new Response(`${error}`, { status: 502 });
    }
  },
};
"#;

/// A platform in a network of its own, with somebody who may use it there.
struct Secluded {
    platform: Platform,
    metadata: Running,
    folder: TempDir,
}

impl Secluded {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, HOSTS).unwrap();
        let words = ["--user", "--map-root-user", "--net", "--mount", "sh", "-c", NETWORK];
        let unshare = Dayfly::new("unshare").args(words).arg(env!("CARGO_BIN_EXE_dayfly"));
        let platform = Platform::serve(anywhere(unshare.env("HOSTS", &hosts))).await;
        let metadata = within(&platform, "python3").args(["-c", METADATA]).serve().await;
        let secluded = Self { platform, metadata, folder };
        let login = secluded.dayfly(&["login", &secluded.platform.admin, "--token-stdin"]);
        login.input(&secluded.platform.token()).ends().await.with(0);
        secluded
    }

    fn dayfly(&self, words: &[&str]) -> Dayfly {
        let dayfly = within(&self.platform, env!("CARGO_BIN_EXE_dayfly"));
        dayfly.env("HOME", self.platform.user.path()).env_remove("XDG_CONFIG_HOME").args(words)
    }

    async fn deploy(&self, app: &App, name: &str) -> Ended {
        let cache = dayfly_testing::workspace().join("target/interpreters");
        let deploy = self.dayfly(&["deploy", "--accept", "--app", name]).arg(app.folder());
        deploy.env("DAYFLY_SOURCE_CACHE_DIR", cache).ends().await
    }

    /// What an app answers: its status and its text.
    async fn ask(&self, app: &str, target: &str) -> (String, String) {
        let url = format!("{}{target}", self.platform.apps.base());
        let host = format!("Host: {app}.localhost");
        let curl = within(&self.platform, "curl");
        let curl = curl.args(["-sgw", "\n%{http_code}", "-H", &host, &url]);
        let said = curl.ends().await.with_stdout(0);
        let (text, status) = said.rsplit_once('\n').unwrap();
        (status.to_owned(), text.to_owned())
    }

    /// Checks that an app is kept from what it asks for.
    async fn refused(&self, app: &str, target: &str, words: &[&str]) {
        let (status, text) = self.ask(app, target).await;
        let is_refused = status == "502" && words.iter().any(|word| text.contains(word));
        assert!(is_refused, "{app} {target}: {status} {text}");
    }

    /// The addresses that the server was reached at, once there are so many.
    async fn reached(&self, least: usize) -> Vec<String> {
        let hosts = || {
            let lines = self.metadata.stdout().all();
            let hosts = lines.iter().filter_map(|line| line.strip_prefix("reached "));
            hosts.map(str::to_owned).collect::<Vec<_>>()
        };
        let since = Instant::now();
        while hosts().len() < least {
            assert!(since.elapsed() < Duration::from_secs(20), "{:?}", hosts());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        hosts()
    }

    /// What somebody in the network gets who is no guest.
    async fn reachable(&self, url: &str) -> String {
        within(&self.platform, "curl").args(["-sg", url]).ends().await.with_stdout(0)
    }
}

/// A program in the platform's network.
fn within(platform: &Platform, program: &str) -> Dayfly {
    let process = platform.server.process().id().to_string();
    let words = ["--target", &process, "--user", "--net", "--preserve-credentials", program];
    Dayfly::new("nsenter").args(words)
}

/// Spellings of this machine's own address.
const THIS_MACHINE: &[&str] = &[
    "127.0.0.1",
    "127.9.9.9",
    "localhost",
    "LocalHost",
    "rebound.example",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "0.0.0.0",
    "[::]",
    "127.1",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
];

/// Where clouds tell their machines their secrets, and what lies in private networks.
const METADATA_HOSTS: &[&str] = &[
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "metadata.example",
    "100.100.100.200",
    "168.63.129.16",
    "10.1.1.1",
    "private.example",
];

/// What a manifest may ask for: everything in general, and everything by name.
const GRANTS: [&str; 2] = [
    "\"*://*:*\"",
    "\"*://*:*\", \"*://127.0.0.0/8:*\", \"*://localhost:*\", \"*://rebound.example:*\", \
     \"*://[::1]:*\", \"*://0.0.0.0:*\", \"*://169.254.169.254:*\", \"*://metadata.example:*\", \
     \"*://100.100.100.200:*\", \"*://168.63.129.16:*\", \"*://10.0.0.0/8:*\", \
     \"*://private.example:*\", \"*://[fd00:ec2::254]:*\"",
];

#[tokio::test]
async fn the_admin_api_and_metadata_are_no_apps_to_reach() {
    let network = Secluded::start().await;
    let admin = network.platform.admin.rsplit_once(':').unwrap().1.to_owned();
    let api = format!("http://127.0.0.1:{admin}/v1/health");
    // They are there for everybody else.
    network.reachable(&api).await;
    let secret = |host: &str| format!("http://{host}/");
    assert_eq!(network.reachable(&secret("169.254.169.254")).await, "secret");
    for (number, grants) in GRANTS.iter().enumerate() {
        let name = format!("app{number}");
        let app = numbered(1, &format!("allowed_outbound_hosts = [{grants}]"), "");
        network.deploy(&app, &name).await.with(0);
        let denied = ["HttpRequestDenied", "DestinationIpProhibited"];
        for host in THIS_MACHINE {
            let target = format!("/fetch?url=http://{host}:{admin}/v1/health");
            network.refused(&name, &target, &denied).await;
        }
        for host in METADATA_HOSTS {
            network.refused(&name, &format!("/fetch?url={}", secret(host)), &denied).await;
        }
        for address in [
            format!("127.0.0.1:{admin}"),
            format!("[::1]:{admin}"),
            format!("[::ffff:127.0.0.1]:{admin}"),
            "169.254.169.254:80".to_owned(),
            "10.1.1.1:80".to_owned(),
        ] {
            let refusals = ["AccessDenied", "access-denied", "InvalidArgument", "invalid-argument"];
            network.refused(&name, &format!("/tcp?addr={address}"), &refusals).await;
            network.refused(&name, &format!("/udp?addr={address}"), &refusals).await;
        }
        for host in ["rebound.example", "metadata.example", "localhost"] {
            let (_, text) = network.ask(&name, &format!("/resolve?name={host}")).await;
            assert!(!text.contains("127.0.0.1") && !text.contains("169.254"), "{host}: {text}");
        }
        // What is everybody's is theirs, too, and where it sends them is not.
        for host in [PUBLIC, "public.example"] {
            let (_, text) = network.ask(&name, &format!("/fetch?url={}", secret(host))).await;
            assert_eq!(text, "status 200\nsecret", "{host}");
        }
    }
    assert_eq!(network.reached(5).await, [&["169.254.169.254"][..], &[PUBLIC; 4]].concat());
    network.platform.stop().await;
}

#[tokio::test]
async fn a_redirect_leads_nowhere_else() {
    let network = Secluded::start().await;
    let admin = network.platform.admin.rsplit_once(':').unwrap().1.to_owned();
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"script\"\n\
         [component.script]\nsource = \"app.js\"\nallowed_outbound_hosts = [{}]\n",
        GRANTS[1]
    ))
    .file("app.js", FOLLOWS);
    // The interpreter is fetched where there is a network.
    let packed = with_interpreters().arg("package").arg(app.folder()).arg("-o");
    packed.arg(network.folder.path().join("packed.tar")).ends().await.with(0);
    network.deploy(&app, "test").await.with(0);
    let via = |to: &str| format!("/?url=http://{PUBLIC}/?to={to}");
    for to in [
        format!("http://127.0.0.1:{admin}/v1/health"),
        format!("http://localhost:{admin}/v1/health"),
        format!("http://[::ffff:127.0.0.1]:{admin}/v1/health"),
        format!("http://2130706433:{admin}/v1/health"),
        "http://169.254.169.254/".to_owned(),
        "http://metadata.example/".to_owned(),
    ] {
        let (status, text) = network.ask("test", &via(&to)).await;
        assert!(status == "502" && !text.contains("reached"), "{to}: {status} {text}");
    }
    let (status, text) = network.ask("test", &via("http://public.example/")).await;
    assert_eq!((&*status, &*text), ("200", "reached secret"));
    // By the guest each time, and once by where it was sent.
    assert_eq!(network.reached(8).await, [PUBLIC; 8]);
    network.platform.stop().await;
}

#[tokio::test]
async fn servers_of_triggers_and_outputs_are_no_way_there_either() {
    let network = Secluded::start().await;
    let (metadata, admin) =
        ("169.254.169.254:80", network.platform.admin.rsplit_once('/').unwrap().1);
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/in\"\nqueue = \"in\"\n\
         [[trigger.http]]\nroute = \"/out\"\nqueue = \"out\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"guest\"\noutput = \"http://{metadata}/\"\n\
         [[trigger.queue]]\nqueue = \"out\"\ncomponent = \"guest\"\noutput = \"http://{PUBLIC}/\"\n\
         [[trigger.redis]]\nqueue = \"jobs\"\naddress = \"redis://{metadata}\"\ncomponent = \"guest\"\n\
         [[trigger.mqtt]]\ntopic = \"jobs\"\naddress = \"mqtt://{metadata}\"\ncomponent = \"guest\"\n\
         [[trigger.nats]]\nsubject = \"jobs\"\naddress = \"nats://{admin}\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-command\"\nallowed_outbound_hosts = [{}]\n",
        GRANTS[1]
    ));
    network.deploy(&app, "test").await.with(0);
    for path in ["/in", "/out"] {
        let url = format!("{}{path}", network.platform.apps.base());
        let words = ["-s", "-H", "Host: test.localhost", "-d", "a message", &url];
        within(&network.platform, "curl").args(words).ends().await.with(0);
    }
    // What may go out does, while the others are tried again and again.
    assert_eq!(network.reached(1).await, [PUBLIC]);
    for words in [
        "error=\"its output: `169.254.169.254` may not be reached\"",
        "trigger=\"guest-redis-trigger\" server=\"169.254.169.254:80\" error=the server is not granted",
        "trigger=\"guest-mqtt-trigger\" server=\"169.254.169.254:80\" error=the broker is not granted",
        "error=every address of the host is one that its grant does not cover",
    ] {
        network.platform.server.stderr().containing(words).await;
    }
    assert_eq!(network.reached(1).await, [PUBLIC]);
    network.platform.stop().await;
}
