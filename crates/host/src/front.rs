//! Leads requests to apps by the hosts that they are for, and to one of an app's releases where two share
//! its requests. The table of hosts is replaced as a whole: a request finds the one from before or the one
//! after, and cores read it without writing to anything that they share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use arc_swap::ArcSwap;
use http::{Request, Response};

use crate::access_log::Unlogged;
use crate::away::Away;
use crate::challenges::{self, Challenges};
use crate::notice::Notice;
use crate::plane::Seat;
use crate::stay::Stay;
use crate::triggers::host_of;
use crate::{Body, ClientBody, Connection, EdgeError, Handler, Peer, Problem};

/// Where a node's requests come in.
pub(crate) struct Front {
    table: ArcSwap<Table>,
    challenges: Challenges,
    /// Where the node's own connections lead, by the names that they have.
    probes: ArcSwap<HashMap<Arc<str>, Arc<Door>>>,
    /// Whether its apps are told apart by their hosts, and must not be mistaken for one another.
    is_shared: bool,
}

/// What answers which host. It is in parts: a copy of it shares those that nothing changes in.
#[derive(Clone)]
pub(crate) struct Table {
    /// What answers hosts that are in no part.
    any: Option<Arc<Door>>,
    parts: Vec<Arc<Hosts>>,
}

type Hosts = HashMap<Arc<str>, Arc<Door>>;

/// How many parts: with thousands of hosts a copy and one of them cost about the same.
const PARTS: usize = 256;

/// The way into one app.
pub(crate) enum Door {
    /// To its release, which may have to be woken.
    Seat(Arc<Seat>),
    /// To releases that share its requests, by core.
    Shared(Box<[Core]>),
    /// To none: this is said instead.
    Closed(Notice),
    /// To another process.
    Away(Arc<Away>),
}

/// What one core has of it: requests count themselves where no other core writes.
#[repr(align(128))]
pub(crate) struct Core {
    turn: AtomicU32,
    /// Up to which of a hundred requests each release gets those that are left.
    releases: Vec<(u32, Arc<Stay>)>,
}

impl Default for Table {
    fn default() -> Self {
        Self { any: None, parts: vec![Arc::default(); PARTS] }
    }
}

impl Table {
    /// Leads these hosts to a door, or nowhere any more; all that are in no part, if none is named.
    pub(crate) fn lead(&mut self, hosts: &[Arc<str>], door: Option<&Arc<Door>>) {
        if hosts.is_empty() {
            self.any = door.cloned();
        }
        for host in hosts {
            let part = Arc::make_mut(&mut self.parts[part(host)]);
            match door {
                Some(door) => drop(part.insert(host.clone(), door.clone())),
                None => drop(part.remove(host)),
            }
        }
    }

    /// The door of a host.
    fn find(&self, host: &str) -> Option<&Arc<Door>> {
        self.parts[part(host)].get(host).or(self.any.as_ref())
    }
}

/// The number of the part that a host is in.
fn part(host: &str) -> usize {
    let mixed = |sum: usize, byte: u8| sum.wrapping_mul(31).wrapping_add(usize::from(byte));
    host.bytes().fold(0, mixed) % PARTS
}

impl Door {
    /// A way into releases that share an app's requests in percent, with a stay of each for each core.
    pub(crate) fn shared(releases: &[(u32, &[Arc<Stay>])], cores: usize) -> Arc<Self> {
        let core = |core| {
            let mut upto = 0;
            let releases = releases.iter().filter_map(|(percent, stays)| {
                upto += percent;
                // One without routes has none, and its part goes unanswered.
                Some((upto, Arc::clone(stays.get(core)?)))
            });
            Core { turn: AtomicU32::new(0), releases: releases.collect() }
        };
        Arc::new(Self::Shared((0..cores).map(core).collect()))
    }

    /// Who answers the next request on a core.
    fn next(&self, core: usize) -> Option<Found> {
        let core = match self {
            Self::Seat(seat) if seat.activation().is_none() => {
                return Some(Found::Asleep(seat.clone()));
            }
            Self::Seat(seat) => return seat.stay(core).map(Found::Stay),
            Self::Shared(cores) => cores.get(core)?,
            Self::Closed(notice) => return Some(Found::Notice(notice.clone())),
            Self::Away(away) => return Some(Found::Away(away.clone())),
        };
        let turn = mixed(core.turn.fetch_add(1, Relaxed));
        let found = core.releases.iter().find(|(upto, _)| turn < *upto);
        found.map(|(_, stay)| Found::Stay(stay.clone()))
    }
}

/// Who answers a request.
enum Found {
    Stay(Arc<Stay>),
    /// Somebody, once it is awake.
    Asleep(Arc<Seat>),
    Notice(Notice),
    Away(Arc<Away>),
}

/// The numbers below a hundred, each once in a hundred turns, in an order that spreads them.
const fn mixed(turn: u32) -> u32 {
    turn % 100 * 37 % 100
}

impl Front {
    pub(crate) fn new(is_shared: bool) -> Arc<Self> {
        let challenges = Challenges::default();
        let probes = ArcSwap::default();
        Arc::new(Self { table: ArcSwap::default(), challenges, probes, is_shared })
    }

    /// What certificate authorities are answered.
    pub(crate) const fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// Lets requests find other doors from now on.
    pub(crate) fn set(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// Leads the node's own connections of a name to a door, or nowhere any more.
    pub(crate) fn lead(&self, name: &str, door: Option<Arc<Door>>) {
        self.probes.rcu(|probes| {
            let mut probes = HashMap::clone(probes);
            match &door {
                Some(door) => drop(probes.insert(name.into(), door.clone())),
                None => drop(probes.remove(name)),
            }
            probes
        });
    }

    /// Finds who is to answer a request.
    fn find(
        &self,
        request: &Request<ClientBody>,
        connection: &Connection,
    ) -> Result<Found, Problem> {
        let table = self.table.load();
        if !self.is_shared {
            let door = table.any.as_ref();
            let found = door.and_then(|door| door.next(connection.worker));
            return found.ok_or(Problem::UnknownRoute);
        }
        if let Some(named) = connection.server_name.as_deref()
            && let Some(door) = self.probes.load().get(named)
        {
            return door.next(connection.worker).ok_or(Problem::UnknownHost);
        }
        let host = host_of(request);
        let host = name(&host);
        // Else the certificate that the client checked would be another app's than the answer.
        if connection.server_name.as_deref().is_some_and(|named| name(named) != host) {
            return Err(Problem::Misdirected);
        }
        table.find(&host).and_then(|door| door.next(connection.worker)).ok_or(Problem::UnknownHost)
    }
}

impl Handler for Front {
    async fn handle(
        &self,
        mut request: Request<ClientBody>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        if self.is_shared && challenges::is_asked(&request) {
            let host = host_of(&request);
            if let Some(answer) = self.challenges.answer(&name(&host), &request) {
                return answer;
            }
        }
        let stay = match self.find(&request, connection) {
            Ok(Found::Stay(stay)) => stay,
            // Boxed, or every request's future would be as large; and below.
            Ok(Found::Asleep(seat)) => match Box::pin(seat.wake(connection.worker)).await {
                Ok(stay) => stay,
                Err(error) => return error.respond(),
            },
            Ok(Found::Notice(notice)) => return notice.respond(request.headers()),
            Ok(Found::Away(away)) => return Box::pin(away.answer(request, connection)).await,
            Err(problem) => return refused(problem, &request, connection),
        };
        let answer = match stay.router().receive(&mut request) {
            Ok(behind) => stay.router().answer(request, connection, behind).await,
            Err(answer) => *answer,
        };
        stay.until_taken(answer)
    }
}

/// The answer to a request that no app gets.
fn refused(
    problem: Problem,
    request: &Request<ClientBody>,
    connection: &Connection,
) -> Response<Body> {
    // Whoever looks after the node asks it by its address.
    if problem != Problem::UnknownHost || request.uri().path() != HEALTH {
        return EdgeError::new(problem).respond();
    }
    let mut response = Response::new(Body::from("OK"));
    if connection.peer == Peer::Unix && host_of(request) == KEEPER.0 {
        response.extensions_mut().insert(Unlogged);
    }
    response
}

/// Where the node tells that it serves.
const HEALTH: &str = "/.well-known/dayfly/health";

/// The host and the path by which the keeper of a process asks it whether it serves. No app has that host
/// (RFC 2606, section 2), and no line of the access log is written.
pub const KEEPER: (&str, &str) = ("keeper.invalid", HEALTH);

/// A host without its port, in lower case, and without the dot that may end a name.
pub(crate) fn name(host: &str) -> Cow<'_, str> {
    let end = match host.starts_with('[') {
        true => host.find(']').map_or(host.len(), |end| end + 1),
        false => host.find(':').unwrap_or(host.len()),
    };
    let name = &host[..end];
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_as_names() {
        for (host, expected) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:80", "a.example"),
            ("[::1]:3000", "[::1]"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(name(host), expected, "{host}");
        }
    }

    #[test]
    fn a_host_that_changes_leaves_the_other_parts_as_they_are() {
        let hosts: Vec<Arc<str>> = (0..1000).map(|n| format!("a{n}.localhost").into()).collect();
        let (mut table, door) = (Table::default(), Door::shared(&[], 0));
        table.lead(&hosts, Some(&door));
        let before = table.clone();
        let other = Door::shared(&[], 0);
        table.lead(&hosts[..1], Some(&other));
        table.lead(&hosts[1..2], None);
        let pairs = before.parts.iter().zip(&table.parts);
        assert_eq!(pairs.filter(|(one, other)| !Arc::ptr_eq(one, other)).count(), 2);
        let leads = |table: &Table, host: usize, door: &Arc<Door>| {
            table.find(&hosts[host]).is_some_and(|found| Arc::ptr_eq(found, door))
        };
        assert!(leads(&table, 0, &other) && table.find(&hosts[1]).is_none());
        assert!((2..1000).all(|host| leads(&table, host, &door)));
        assert!((0..1000).all(|host| leads(&before, host, &door)), "a copy changed");
        // They are spread.
        let most = table.parts.iter().map(|part| part.len()).max();
        assert!(most.unwrap() < 20, "{most:?}");
    }

    #[test]
    fn a_hundred_turns_have_each_number_once() {
        let mut turns: Vec<u32> = (0..100).map(mixed).collect();
        let tenth = turns[..10].iter().filter(|turn| **turn < 50).count();
        assert!((4..=6).contains(&tenth), "{turns:?}");
        turns.sort_unstable();
        assert_eq!(turns, (0..100).collect::<Vec<_>>());
    }
}
