//! How many files the process may have open, and who may have how many of them: clients, guests and
//! resident components. None of them can take what is set aside for another.

/// Descriptors of the process itself: listeners, the runtime's own, what is open for a moment.
const OWN: u64 = 512;

/// The log files of one component.
const LOGS_EACH: u64 = 2;

/// What the runtime holds for one resident component.
const RESIDENT_EACH: u64 = 1;

/// Resident components that are wanted where it is not known how many there will be.
const MANY: u64 = 16_384;

/// What guests have in any case, where a quarter of all is not less.
const FEW: u64 = 1024;

/// What is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Clients' connections.
    pub(crate) connections: u64,
    /// Connections by which those of clients are passed on.
    pub(crate) onward: u64,
    /// Files, sockets and connections of all guests together.
    pub(crate) guests: u64,
    /// Resident components.
    pub(crate) components: u64,
}

/// The components that are served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Served {
    /// Those of one app, with log files of their own.
    Known(usize),
    /// As many as come.
    Many,
}

impl Served {
    /// How many there can be of them.
    pub(crate) fn count(self) -> u64 {
        match self {
            Self::Known(count) => count as u64,
            Self::Many => MANY,
        }
    }

    /// What the process itself has open for them.
    fn own(self) -> u64 {
        match self {
            Self::Known(count) => OWN + count as u64 * LOGS_EACH,
            Self::Many => OWN,
        }
    }
}

impl Descriptors {
    /// What there is of what is wanted. The soft limit of open files is raised for it.
    pub(crate) fn share_out(&self, served: Served) -> Self {
        let clients = self.connections.saturating_add(self.onward);
        let wanted = served.own().saturating_add(clients).saturating_add(self.guests);
        self.within(served.own(), raise(wanted.saturating_add(self.components * RESIDENT_EACH)))
    }

    /// Where there is too little, guests get what clients leave, but some in any case. So does what
    /// passes on.
    fn within(&self, own: u64, limit: u64) -> Self {
        let left = limit - own.min(limit / 2);
        let components = self.components.min(left / 4 / RESIDENT_EACH);
        let few = self.onward.min(self.connections / 8);
        let unclaimed = left.saturating_sub(self.connections + few + components * RESIDENT_EACH);
        let guests = self.guests.min(unclaimed.max(FEW.min(left / 4)));
        let rest = left - guests - components * RESIDENT_EACH;
        let connections = self.connections.min(rest - few.min(rest / 8)).max(1);
        Self {
            connections,
            onward: self.onward.min(rest.saturating_sub(connections)),
            guests: guests.max(1),
            components: components.max(1),
        }
    }
}

/// Raises the soft limit of open files to what is wanted, as far as the hard one allows, and tells
/// what it is then.
#[cfg(unix)]
fn raise(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current: Some(current), maximum } = getrlimit(Resource::Nofile) else {
        return u64::MAX;
    };
    if current >= wanted {
        return current;
    }
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => current,
    }
}

#[cfg(not(unix))]
fn raise(_wanted: u64) -> u64 {
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Descriptors =
        Descriptors { connections: 16_384, onward: 0, guests: 8000, components: 100 };

    const OWN_AND_LOGS: u64 = 712;

    #[test]
    fn many_are_resident_where_their_number_is_not_known() {
        assert_eq!(Served::Known(100).own(), OWN_AND_LOGS);
        let wanted = Descriptors { components: Served::Many.count(), ..WANTED };
        assert_eq!(wanted.within(Served::Many.own(), 1 << 20).components, MANY);
        let few = wanted.within(Served::Many.own(), 20_000);
        assert_eq!((few.connections, few.guests, few.components), (13_592, 1024, 4872));
    }

    #[test]
    fn what_is_wanted_is_had_where_there_is_enough() {
        assert_eq!(WANTED.within(OWN_AND_LOGS, 1 << 20), WANTED);
        assert_eq!(WANTED.within(OWN_AND_LOGS, u64::MAX), WANTED);
    }

    #[test]
    fn what_is_lacking_is_lacking_to_all() {
        for limit in [0, 1, 64, 256, 1024, 4096, 20_000] {
            let Descriptors { connections, guests, components, .. } =
                WANTED.within(OWN_AND_LOGS, limit);
            assert!(connections.min(guests).min(components) >= 1);
            assert!(connections + guests + components <= limit.max(3), "{limit}");
            assert!(connections >= guests, "{limit}: clients come first");
        }
        assert_eq!(WANTED.within(OWN_AND_LOGS, 20_000), Descriptors { guests: 2804, ..WANTED });
        // As many as a login often has.
        let few = Descriptors { connections: 256, onward: 0, guests: 128, components: 100 };
        assert_eq!(WANTED.within(OWN_AND_LOGS, 1024), Descriptors { connections: 284, ..few });
    }

    #[test]
    fn what_passes_on_has_what_is_left_and_some_in_any_case() {
        let wanted = Descriptors { onward: 8192, ..WANTED };
        assert_eq!(wanted.within(OWN_AND_LOGS, 1 << 20), wanted);
        let some = wanted.within(OWN_AND_LOGS, 20_000);
        assert_eq!((some.connections, some.onward), (16_116, 2048));
        let few = wanted.within(OWN_AND_LOGS, 1024);
        assert_eq!((few.connections, few.onward), (249, 35));
    }
}
