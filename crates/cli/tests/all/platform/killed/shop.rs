//! Two apps of one tenant's: `test`, of which releases come and go back, and `keeps`, which writes. And all that
//! was acknowledged of them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use dayfly_testing::{App, Body, Client, Ended, Guest};
use http::Method;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::clients::{release, sql};
use super::weather::random;
use crate::platform::{Platform, numbered};

pub(super) struct Shop {
    tenant: &'static str,
    /// The releases that there are for certain: their digests by their numbers.
    made: BTreeMap<u32, String>,
    /// The number of the one that is active.
    pub(super) active: u32,
    /// The rows that are there for certain.
    pub(super) stored: HashSet<String>,
}

/// What becomes active: a new release, or one that was active before.
#[derive(Debug)]
pub(super) enum Change {
    Deploy(u32),
    Back(u32),
}

impl Change {
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Deploy(number) | Self::Back(number) => *number,
        }
    }
}

impl Shop {
    pub(super) fn of(tenant: &'static str) -> Self {
        Self { tenant, made: BTreeMap::new(), active: 0, stored: HashSet::new() }
    }

    /// The host of an app.
    fn host(&self, app: &str) -> String {
        match self.tenant {
            "default" => format!("{app}.localhost"),
            tenant => format!("{app}.{tenant}.localhost"),
        }
    }

    pub(super) fn test(&self) -> String {
        self.host("test")
    }

    pub(super) fn keeps(&self) -> String {
        self.host("keeps")
    }

    /// Puts the apps there.
    pub(super) async fn open(&mut self, platform: &Platform) {
        let keeps = App::new(
            "dayfly = 1\n[application]\nname = \"keeps\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
             [component.guest]\nsource = \"guest:rust-spin-5\"\nsqlite_databases = [\"default\"]\n",
        );
        platform.deploy(&keeps, &["--accept", "--tenant", self.tenant]).await.with(0);
        let first = Change::Deploy(0);
        let ended = self.begin(platform, &first).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        self.settle(platform, &first, &ended).await;
        self.asked(platform, "CREATE TABLE t (a TEXT)\n").await;
    }

    /// What is changed next, by a round's number: each third time something is active again.
    pub(super) fn next_change(&self, round: u32) -> Change {
        let former: Vec<u32> = self.made.keys().copied().filter(|it| *it != self.active).collect();
        let count = former.len() as u64;
        match count > 0 && random(3) == 0 {
            true => Change::Back(former[usize::try_from(random(count)).unwrap()]),
            false => Change::Deploy(round),
        }
    }

    /// Begins a change.
    pub(super) fn begin(&self, platform: &Platform, change: &Change) -> JoinHandle<Ended> {
        let words = ["--json", "--tenant", self.tenant];
        match change {
            Change::Deploy(number) => {
                // Other bytes each time, by a section of a name: they have to be sent, kept and compiled.
                let [.., high, low] = number.to_be_bytes();
                let more = [0, 4, 1, b'n', high, low];
                let bytes = [&*Guest::bytes("rust-http"), &more].concat();
                let app = numbered(*number, "", "").file("guest.wasm", bytes);
                let command = platform.dayfly(&["deploy", "--accept"]).args(words);
                let command = command.arg(app.folder());
                tokio::spawn(async move {
                    let _app = app;
                    command.ends().await
                })
            }
            Change::Back(number) => {
                let to = ["rollback", "test", "--to", &self.made[number]];
                let command = platform.dayfly(&to).args(words);
                tokio::spawn(command.ends())
            }
        }
    }

    /// Waits until what is active is served, which is what the change made active; where that was not
    /// acknowledged, or what was before.
    pub(super) async fn settle(&mut self, platform: &Platform, change: &Change, ended: &Ended) {
        let mut expected = vec![change.number()];
        if ended.code == Some(0) {
            if let Change::Deploy(number) = change {
                let said: Value = serde_json::from_str(&ended.stdout).unwrap();
                self.made.insert(*number, said["release"].as_str().unwrap().to_owned());
            }
        } else {
            expected.push(self.active);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let active = self.serving(platform).await;
            let served = release(&platform.apps, &self.test()).await.ok();
            if let (Some(digest), Some(number)) = (&active, served)
                && expected.contains(&number)
                && self.is(number, digest)
            {
                (self.active, _) = (number, self.made.insert(number, digest.clone()));
                return;
            }
            let of = self.tenant;
            let text = format!(
                "{of}: {expected:?} were to be active, and {active:?} is, served {served:?}"
            );
            assert!(Instant::now() < until, "{text}, after {change:?} {ended:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether a release may have this digest.
    fn is(&self, number: u32, digest: &String) -> bool {
        match self.made.get(&number) {
            Some(its) => its == digest,
            None => self.made.values().all(|other| other != digest),
        }
    }

    /// The one release that has all traffic, as the control plane says, once the node has taken it up.
    async fn serving(&self, platform: &Platform) -> Option<String> {
        let active = self.told(platform, "/activation").await?;
        let shares = active["shares"].as_array().unwrap();
        assert_eq!((shares.len(), &shares[0]["percent"]), (1, &Value::from(100)), "{active}");
        let is_served = active["state"] == "serving";
        is_served.then(|| shares[0]["release"].as_str().unwrap().to_owned())
    }

    /// What the control plane says of app `test`, if it is there.
    async fn told(&self, platform: &Platform, path: &str) -> Option<Value> {
        let path = format!("/v1/tenants/{}/apps/test{path}", self.tenant);
        let api = Client::http1(&platform.admin);
        let token = format!("Bearer {}", platform.token().trim());
        let request = api.request(Method::GET, &path).header("authorization", token);
        let answer = api.try_send(request.body(Body::empty())).await.ok()?;
        // What was acknowledged is never missing.
        assert_ne!(answer.status, 404, "{path}: {}", answer.text());
        (answer.status == 200).then(|| serde_json::from_slice(&answer.body).unwrap())
    }

    /// All that was acknowledged is there, and nothing is corrupt.
    pub(super) async fn check(&self, platform: &Platform) {
        let said = self.asked(platform, "PRAGMA integrity_check\n").await;
        assert_eq!(said, "integrity_check\nok\n");
        let there = self.asked(platform, "SELECT a FROM t\n").await;
        let there: HashSet<&str> = there.lines().collect();
        let lost: Vec<_> = self.stored.iter().filter(|row| !there.contains(row.as_str())).collect();
        assert!(lost.is_empty(), "{}: lost: {lost:?}", self.tenant);
        for digest in self.made.values() {
            let until = Instant::now() + PATIENCE;
            while self.told(platform, &format!("/releases/{digest}")).await.is_none() {
                assert!(Instant::now() < until, "there is no control plane");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// What `keeps` says of lines of SQL, once it is served.
    async fn asked(&self, platform: &Platform, lines: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match sql(&platform.apps, &self.keeps(), lines.to_owned()).await {
                Ok(said) => return said,
                Err(error) => assert!(Instant::now() < until, "it is not served again: {error}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
