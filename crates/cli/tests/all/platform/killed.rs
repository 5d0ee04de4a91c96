//! `kill -9` of each process of a platform at any moment, while releases come and go back, apps write and
//! clients ask: what was acknowledged is there, and what serves is one release or the other. The same on a
//! disk that fills and under a clock that jumps, at any moment too.

mod clients;
mod shop;
mod weather;

use std::time::Duration;

use dayfly_testing::{Ended, Process};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Addresses, Platform};
use clients::{Written, ask_on, write};
use shop::{Change, Shop};
use weather::{Weather, random};

/// How often a process is killed; `DAYFLY_TEST_KILLS` asks for more than every run can wait for.
const KILLS: u32 = 25;
const KILLS_IN_BAD_WEATHER: u32 = 12;

/// How long a platform may take to be itself again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it is still written and asked after a kill.
const AFTER: Duration = Duration::from_millis(300);

fn kills(usual: u32) -> u32 {
    let asked = std::env::var("DAYFLY_TEST_KILLS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual)
}

/// Which process is killed, one after the other.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Supervisor,
    Node,
    Control,
    Worker,
    /// The process of a tenant.
    Own,
}

impl Victim {
    const ALL: [Self; 5] = [Self::Node, Self::Own, Self::Control, Self::Worker, Self::Supervisor];

    fn find(self, supervisor: Process) -> Option<Process> {
        let child = |of: Process, word: &str| {
            let mut children = of.children().into_iter();
            Some(children.find(|(_, words)| words.contains(word))?.0)
        };
        let control = || child(supervisor, "--role control");
        match self {
            Self::Supervisor => Some(supervisor),
            Self::Node => child(supervisor, "--role node"),
            Self::Control => control(),
            Self::Own => child(supervisor, "--role own"),
            // There is one only while something is compiled.
            Self::Worker => child(control()?, " prepare ").or_else(control),
        }
    }
}

/// A platform whose processes are killed.
struct Storm {
    weather: Weather,
    addresses: Addresses,
    platform: Platform,
    /// Of a tenant that the node serves, and of one with a process of its own.
    shops: [Shop; 2],
    /// How many changes were acknowledged, how many processes killed, and how many rows refused.
    acknowledged: u32,
    killed: u32,
    refused: usize,
}

impl Storm {
    async fn begin(weather: Weather) -> Self {
        let addresses = Addresses::free();
        let platform = weather.platform(&addresses).await;
        platform.done(&["tenants", "make", "acme", "--isolation", "own-process"]).await;
        let mut shops = [Shop::of("default"), Shop::of("acme")];
        for shop in &mut shops {
            shop.open(&platform).await;
        }
        Self { weather, addresses, platform, shops, acknowledged: 0, killed: 0, refused: 0 }
    }

    /// Changes one of the shops, and kills a process on the way.
    async fn round(mut self, number: u32) -> Self {
        let victim = Victim::ALL[number as usize % Victim::ALL.len()];
        let moment = Duration::from_micros(random(1_200_000));
        let until = Instant::now() + moment + AFTER;
        let changed = usize::from(random(2) == 0);
        let change = self.shops[changed].next_change(number);
        let changing = self.shops[changed].begin(&self.platform, &change);
        let clients = self.clients(number, (changed, &change), until);
        let bad_weather = self.weather.begins();
        sleep(moment).await;
        if let Some(process) = victim.find(self.platform.server.process()) {
            process.kill_if_running();
            self.killed += 1;
        }
        if !matches!(victim, Victim::Supervisor) {
            sleep_until(until).await;
        }
        bad_weather.ends();
        if matches!(victim, Victim::Supervisor) {
            assert_eq!(self.platform.server.ended().await.code, None);
            self.platform = self.weather.platform_again(&self.addresses).await;
        }
        for (shop, clients) in self.shops.iter_mut().zip(clients) {
            let written = clients.await.unwrap();
            shop.stored.extend(written.stored);
            self.refused += written.refused;
        }
        let ended = changing.await.unwrap();
        eprintln!("{number}: {victim:?} after {moment:?}, {change:?}: {:?}", ended.code);
        self.acknowledged += u32::from(ended.code == Some(0));
        self.shops[changed].settle(&self.platform, &change, &ended).await;
        for shop in &self.shops {
            shop.check(&self.platform).await;
        }
        self
    }

    /// Who writes and asks until then; with what is stored.
    fn clients(
        &self,
        round: u32,
        (changed, change): (usize, &Change),
        until: Instant,
    ) -> Vec<JoinHandle<Written>> {
        let may_refuse = self.weather.fills_the_disk();
        let shops = self.shops.iter().enumerate();
        let clients = shops.map(|(place, shop)| {
            let new = (place == changed).then_some(change.number());
            let expected: Vec<u32> = [shop.active].into_iter().chain(new).collect();
            let asks = ask_on(self.platform.apps.base(), shop.test(), expected, until);
            let writes = write(self.platform.apps.base(), shop.keeps(), round, until, may_refuse);
            tokio::spawn(async move { tokio::join!(asks, writes).1 })
        });
        clients.collect()
    }
}

/// Kills so many times, or as often as is asked for.
async fn what_was_acknowledged_is_there(weather: Weather, usual: u32) {
    let mut storm = Storm::begin(weather).await;
    for number in 1..=kills(usual) {
        storm = storm.round(number).await;
    }
    let Storm { weather, platform, mut shops, acknowledged, killed, refused, .. } = storm;
    let counts = shops.each_ref().map(|shop| shop.stored.len());
    assert!(!counts.contains(&0) && acknowledged > 0, "{acknowledged} changes, {counts:?} rows");
    assert!(killed > kills(usual) / 2, "{killed} were killed");
    eprintln!("{killed} killed, {acknowledged} acknowledged, {counts:?} rows, {refused} refused");
    weather.was_felt(&platform, refused).await;
    // Nothing is in the way of what comes next.
    for shop in &mut shops {
        let (change, ended) = (Change::Deploy(9999), shop.begin(&platform, &Change::Deploy(9999)));
        let ended: Ended = ended.await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        shop.settle(&platform, &change, &ended).await;
    }
    platform.stop().await;
}

#[tokio::test]
async fn whatever_is_killed_what_was_acknowledged_is_there() {
    what_was_acknowledged_is_there(Weather::fair(), KILLS).await;
}

#[tokio::test]
async fn whatever_is_killed_on_a_disk_that_fills_what_was_acknowledged_is_there() {
    let weather = Weather::filling_disk(kills(KILLS_IN_BAD_WEATHER));
    what_was_acknowledged_is_there(weather, KILLS_IN_BAD_WEATHER).await;
}

#[tokio::test]
async fn whatever_is_killed_under_a_clock_that_jumps_what_was_acknowledged_is_there() {
    what_was_acknowledged_is_there(Weather::jumping_clock(), KILLS_IN_BAD_WEATHER).await;
}
