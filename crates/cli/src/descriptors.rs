//! How many files the process may have open, connections among them.

/// Descriptors that serving takes beside its clients' connections and resident components: files
/// and connections of guests, the runtime's own.
pub(crate) const OTHER_DESCRIPTORS: u64 = 1024;

/// Raises the soft limit of open files to what is wanted, as far as the hard one allows, and tells
/// what it is then.
#[cfg(unix)]
pub(crate) fn raise(wanted: u64) -> u64 {
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
pub(crate) fn raise(_wanted: u64) -> u64 {
    u64::MAX
}
