//! What a node answers a tenant's process: what is the tenant's, and nothing else, whatever is asked. A guest
//! may have taken that process over.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use chrono::Datelike as _;
use dayfly_model::platform::{
    AppId, AppName, ArtifactStore as _, ReleaseStore as _, TenantId, Used, UsedStore as _,
};
use dayfly_store::{Store, UsageKey};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use serde_json::{Value, to_value};

use super::asking::{Active, Ask, Own, PATIENCE, QUESTION_BYTES, ROWS, Row};
use super::channel::{Channel, Message};
use crate::report;
use crate::serve::usage::Counting;

/// The longest text of why a release cannot be served, and the longest name of a component, in bytes.
const TEXT_BYTES: usize = 16 << 10;
const NAME_BYTES: usize = 256;

/// How many messages are taken in a second, and how many of those that write to the disk; behind the number
/// is how many may come at once.
const MESSAGES: (u32, u32) = (1000, 1000);
const WRITES: (u32, u32) = (50, 500);

/// Answers the process of one tenant.
pub(super) struct Answers<'a> {
    pub(super) store: &'a Store,
    pub(super) counting: &'a Counting,
    /// The tenant's number.
    pub(super) number: u64,
}

/// How fast something may come: who is faster waits.
struct Pace {
    each: Duration,
    /// As long as all may take that come at once.
    ahead: Duration,
    /// When all that came would have come at this pace.
    due: Instant,
}

/// A connection with one end of time for all that is said by it.
pub(super) struct Until<'a> {
    pub(super) stream: &'a UnixStream,
    pub(super) end: Instant,
}

impl Pace {
    fn new((a_second, at_once): (u32, u32)) -> Self {
        let each = Duration::from_secs(1) / a_second;
        Self { each, ahead: each * at_once, due: Instant::now() }
    }

    /// One more; how long it has to wait.
    fn one(&mut self) -> Duration {
        let now = Instant::now();
        self.due = self.due.max(now) + self.each;
        self.due.saturating_duration_since(now + self.ahead)
    }
}

impl Until<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Answers<'_> {
    /// Answers until the process has ended.
    pub(super) fn run(&self, channel: &Channel) {
        let (mut messages, mut writes) = (Pace::new(MESSAGES), Pace::new(WRITES));
        loop {
            let received = channel.receive();
            // Whatever it is: who says nonsense is as slow as who asks.
            thread::sleep(messages.one());
            match received {
                Ok(Some((Message::Ask, Some(stream)))) => {
                    if let Err(error) = self.converse(&stream, &mut writes) {
                        tracing::debug!(
                            tenant = self.number,
                            "a question was not answered: {error:#}"
                        );
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => {
                    tracing::debug!(tenant = self.number, %error, "a tenant's process has ended");
                    return;
                }
            }
        }
    }

    fn converse(&self, stream: &UnixStream, writes: &mut Pace) -> Result<()> {
        expected(stream)?;
        stream.set_nonblocking(false)?;
        let mut until = Until { stream, end: Instant::now() + PATIENCE };
        let mut question = Vec::new();
        BufReader::new(&mut until).take(QUESTION_BYTES).read_to_end(&mut question)?;
        let answer = serde_json::from_slice(&question).map_err(anyhow::Error::from);
        let answer = answer.and_then(|question| {
            if matches!(question, Ask::Note { .. } | Ask::Want { .. } | Ask::AddUsed(_)) {
                thread::sleep(writes.one());
            }
            self.answer(question)
        });
        // It tells no more of the platform than the tenant's people may read.
        let answer: Result<Value, String> = answer.map_err(|error| {
            tracing::debug!(tenant = self.number, "a question has no answer: {error:#}");
            "the platform's store cannot say".to_owned()
        });
        until.end = Instant::now() + PATIENCE;
        until.write_all(&serde_json::to_vec(&answer)?)?;
        Ok(())
    }

    fn answer(&self, question: Ask) -> Result<Value> {
        let Self { store, number, .. } = *self;
        let tenant = store.tenant_of(number)?;
        let id = |app: AppName| AppId { tenant: tenant.clone(), app };
        Ok(match question {
            Ask::Tenant => to_value(self.own(tenant)?)?,
            Ask::Generation => to_value(store.generation()?)?,
            Ask::Stamps => {
                let all = store.stamps()?.into_iter().filter(|(app, _)| app.tenant == tenant);
                to_value(all.map(|(app, at)| (app.app, at)).collect::<BTreeMap<_, _>>())?
            }
            Ask::Activation(app) => {
                let Some(activation) = store.activation(&id(app))? else { return Ok(Value::Null) };
                for share in &activation.shares {
                    store.lend(number, &share.release)?;
                }
                let state = store.state_folder(number, activation.number);
                to_value(Active::of(activation, state))?
            }
            Ask::Note { app, generation, error } => {
                let error = error.map(|text| report::harmless(bounded(&text)));
                let noted = error.as_deref().map_or(Ok(()), Err);
                to_value(store.note(&id(app), generation, noted)?)?
            }
            Ask::Want { app, release } => to_value(store.want(&id(app), &release)?)?,
            Ask::Used => to_value(store.used(&tenant)?)?,
            Ask::AddUsed(used) => to_value(store.add_used(&[(tenant, until_now(used))])?)?,
            Ask::Usage(rows) => to_value(self.count(rows)?)?,
        })
    }

    fn own(&self, tenant: TenantId) -> Result<Own> {
        let Self { store, number, .. } = *self;
        let states: Vec<PathBuf> = store.state_folders(number)?;
        let (platform, releases) = (store.folder().to_owned(), store.own_releases(number)?);
        Ok(Own { tenant, platform, releases, states })
    }

    fn count(&self, rows: Vec<Row>) -> Result<()> {
        let is_legal = |row: &Row| row.component.len() <= NAME_BYTES;
        if rows.len() > ROWS || !rows.iter().all(is_legal) {
            return Err(anyhow!("that is no usage"));
        }
        rows.into_iter().try_for_each(|Row { app, release, component, usage }| {
            let (app, release) = (app.to_string(), release.to_string());
            let key = UsageKey { tenant: self.number, app, release, component };
            self.counting.tell(key, &usage).then_some(()).context("too much waits to be written")
        })
    }
}

/// Checks that a connection is one of a pair, as each is by which something is asked. Others may be waited
/// for longer than the process lives.
fn expected(stream: &UnixStream) -> Result<()> {
    let is_pair = socket_domain(stream)? == AddressFamily::UNIX
        && socket_type(stream)? == SocketType::STREAM
        && stream.peer_addr()?.is_unnamed();
    is_pair.then_some(()).context("that is another kind of socket")
}

/// Nothing is used in times to come: what is used then would not be counted.
fn until_now(used: Used) -> Used {
    let now = chrono::Utc::now();
    let month = (now.year() - 1970) * 12 + now.month0().cast_signed();
    let most = |most: i64, of: u16| of.min(u16::try_from(most).unwrap_or(u16::MAX));
    let (month, day) = (most(month.into(), used.month), most(now.timestamp() / 86_400, used.day));
    Used { month, day, ..used }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use dayfly_model::platform::Usage;
    use dayfly_store::{Actor, Key, Terms};

    use super::*;

    #[test]
    fn whatever_is_asked_is_the_tenant_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let store = Store::open(&state, Key::parse(&"07".repeat(32)).unwrap()).unwrap();
        let (by, counting) = (Actor::default(), Counting::default());
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        for name in ["acme", "other"] {
            store.make_tenant(&by, &tenant(name), Terms::default()).unwrap();
        }
        let shop = AppId { tenant: tenant("other"), app: "shop".parse().unwrap() };
        store.make_app(&by, &shop).unwrap();
        let answers = Answers { store: &store, counting: &counting, number: 1 };
        let own: Own = serde_json::from_value(answers.answer(Ask::Tenant).unwrap()).unwrap();
        assert_eq!(own.tenant, tenant("acme"));
        assert_eq!(own.states, [state.join("apps/t1")]);
        assert_eq!(own.releases, state.join("own/t1"));
        // An app of another tenant's is none, and what is said of it is said of nothing.
        assert_eq!(answers.answer(Ask::Activation(shop.app.clone())).unwrap(), Value::Null);
        let (app, generation) = (shop.app.clone(), store.app(&shop).unwrap().active.generation);
        let error = Some("it is broken".to_owned());
        answers.answer(Ask::Note { app, generation, error }).unwrap();
        let serving = store.app(&shop).unwrap().active.serving;
        assert_eq!(serving, dayfly_store::Serving::Pending);
        let (month, day) = (u16::MAX, u16::MAX);
        let used = Used { month, cpu_us: 7, day, log_bytes: 5, state_bytes: 11 };
        let used = until_now(used);
        answers.answer(Ask::AddUsed(used)).unwrap();
        assert_eq!(store.used(&tenant("acme")).unwrap(), used);
        assert_eq!(store.used(&tenant("other")).unwrap(), Used::default());
        // What is said to be more than a number can be, or of times to come, is as much as is counted.
        let all = Used { month, cpu_us: u64::MAX, day, log_bytes: 1, state_bytes: 0 };
        for _ in 0..3 {
            answers.answer(Ask::AddUsed(all)).unwrap();
        }
        let counted = store.used(&tenant("acme")).unwrap();
        assert!(counted.cpu_us > 1 << 60 && counted.month < u16::MAX, "{counted:?}");
        let both = ["acme", "other"].map(|name| (tenant(name), Used { state_bytes: 3, ..counted }));
        store.add_used(&both).unwrap();
        assert_eq!(store.used(&tenant("other")).unwrap().state_bytes, 3);
        let row = |component: &str| Row {
            app: shop.app.clone(),
            release: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            component: component.to_owned(),
            usage: Usage { events: 1, ..Usage::default() },
        };
        answers.answer(Ask::Usage(vec![row("a")])).unwrap();
        assert!(answers.answer(Ask::Usage(vec![row(&"a".repeat(NAME_BYTES + 1))])).is_err());
        assert!(answers.answer(Ask::Usage((0..=ROWS).map(|_| row("a")).collect())).is_err());
        // One that is gone is nobody's.
        assert!(Answers { number: 7, ..answers }.answer(Ask::Tenant).is_err());
    }

    #[test]
    fn a_question_comes_and_goes_by_its_own_connection() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::parse(&"07".repeat(32)).unwrap();
        let store = Store::open(&folder.path().join("state"), key).unwrap();
        let acme = "acme".parse().unwrap();
        store.make_tenant(&Actor::default(), &acme, Terms::default()).unwrap();
        let counting = Counting::default();
        let (node, process) = Channel::new().unwrap();
        std::thread::scope(|scope| {
            let answers = Answers { store: &store, counting: &counting, number: 1 };
            scope.spawn(move || answers.run(&node));
            let process = std::sync::Arc::new(Channel::of(process));
            // What is no question is passed over.
            process.send(&Message::Begin, None).unwrap();
            let asking = super::super::asking::Asking::begin(process, 1).unwrap();
            assert_eq!(asking.own.tenant, acme);
            assert_eq!(asking.generation().unwrap(), store.generation().unwrap());
            assert_eq!(asking.stamps().unwrap().len(), 0);
        });
    }

    #[test]
    fn who_is_too_fast_waits_and_who_was_slow_gets_no_more_for_it() {
        let mut pace = Pace::new((10, 5));
        assert!((0..5).all(|_| pace.one().is_zero()));
        let waits = (0..20).map(|_| pace.one()).last().unwrap();
        assert!(waits > Duration::from_millis(1500) && waits < Duration::from_secs(3), "{waits:?}");
        pace.due -= Duration::from_secs(60);
        assert_eq!((0..10).filter(|_| pace.one().is_zero()).count(), 5);
    }

    #[test]
    fn a_conversation_ends_in_time_and_is_by_nothing_but_a_pair() {
        let (own, mut theirs) = UnixStream::pair().unwrap();
        expected(&own).unwrap();
        let end = Instant::now() + Duration::from_millis(300);
        let dripping = thread::spawn(move || {
            // A byte each 20 ms is never too late for a deadline of each byte.
            while theirs.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let read = Until { stream: &own, end }.read_to_end(&mut Vec::new());
        assert!(matches!(
            read.unwrap_err().kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        ));
        assert!(end.elapsed() < Duration::from_secs(5));
        drop(own);
        dripping.join().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        expected(&UnixStream::from(std::os::fd::OwnedFd::from(tcp))).unwrap_err();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&place).unwrap();
        expected(&UnixStream::connect(&place).unwrap()).unwrap_err();
        let (packets, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
        expected(&UnixStream::from(std::os::fd::OwnedFd::from(packets))).unwrap_err();
    }
}
