//! The list of capabilities: what a new one adds is one line here.

use dayfly_engine::Flavour;
use wasmtime::component::Linker;

use crate::HostState;

/// One capability, as the rest of Dayfly sees it.
pub struct Capability {
    /// Its name, as `dayfly check` and [`dayfly_model::Feature`] spell it.
    pub name: &'static str,
    /// The interfaces that it serves: a package, an interface or `*`, and a version. `0.2` stands
    /// for every release of that line; a complete version, or none, for exactly that.
    pub interfaces: &'static [&'static str],
    /// The keys of a component's table that grant it, each with the interfaces that give nothing
    /// without it; what no key stands for, every guest has.
    pub granted_by: &'static [(&'static str, &'static [&'static str])],
    /// Defines its interfaces.
    pub link: fn(&mut Linker<HostState>, Flavour) -> wasmtime::Result<()>,
}

impl Capability {
    /// The key of a component's table that grants one of its interfaces, named as a component
    /// imports it; `None` for what every guest has.
    pub fn key_of(&self, interface: &str) -> Option<&'static str> {
        let opens = |served: &[&str]| served.iter().any(|served| covers(served, interface));
        self.granted_by.iter().find(|(_, served)| opens(served)).map(|(key, _)| *key)
    }

    /// The same for all versions of an interface at once, named without one.
    pub(crate) fn key_of_any_version(&self, name: &str) -> Option<&'static str> {
        let opens = |served: &[&str]| served.iter().any(|it| covers_name(split(it).0, name));
        self.granted_by.iter().find(|(_, served)| opens(served)).map(|(key, _)| *key)
    }
}

/// Every capability that this build serves.
pub const CAPABILITIES: &[Capability] = &[
    crate::wasi::CAPABILITY,
    crate::http::CAPABILITY,
    crate::variables::CAPABILITY,
    crate::key_value::CAPABILITY,
    crate::llm::CAPABILITY,
    crate::redis::CAPABILITY,
    crate::mqtt::CAPABILITY,
    crate::blobstore::CAPABILITY,
    crate::messaging::CAPABILITY,
    crate::websocket::CAPABILITY,
    crate::postgres::CAPABILITY,
    crate::mysql::CAPABILITY,
    crate::sqlite::CAPABILITY,
    crate::otel::CAPABILITY,
    crate::logging::CAPABILITY,
];

/// The capability that serves an interface, named as a component imports it.
pub fn serving(interface: &str) -> Option<&'static Capability> {
    CAPABILITIES
        .iter()
        .find(|capability| capability.interfaces.iter().any(|served| covers(served, interface)))
}

/// Whether this build serves the capability of that name.
pub fn serves(name: &str) -> bool {
    CAPABILITIES.iter().any(|capability| capability.name == name)
}

fn covers(served: &str, interface: &str) -> bool {
    let (served_name, served_version) = split(served);
    let (name, version) = split(interface);
    covers_name(served_name, name) && covers_version(served_version, version)
}

fn covers_name(served: &str, name: &str) -> bool {
    match served.strip_suffix('*') {
        Some(package) => name.starts_with(package),
        None => name == served,
    }
}

/// The name and the version of an interface. Build metadata is no part of a version, as in linking:
/// release candidates that a release serves carry it.
fn split(interface: &str) -> (&str, Option<&str>) {
    match interface.split_once('@') {
        Some((name, version)) => (name, version.split('+').next()),
        None => (interface, None),
    }
}

fn covers_version(served: Option<&str>, version: Option<&str>) -> bool {
    let (Some(served), Some(version)) = (served, version) else { return served == version };
    if served == version {
        return true;
    }
    let is_line = served.split('.').count() == 2;
    let is_release = !version.contains('-');
    let patch = version.strip_prefix(served).and_then(|rest| rest.strip_prefix('.'));
    is_line && is_release && patch.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_served_in_all_patch_versions_but_no_candidate() {
        let name = |interface| serving(interface).map(|capability| capability.name);
        assert_eq!(name("wasi:http/types@0.2.0"), Some("http"));
        assert_eq!(name("wasi:http/types@0.2.12"), Some("http"));
        assert_eq!(name("wasi:http/types@0.3.0"), Some("http"));
        assert_eq!(name("wasi:http/types@0.20.0"), None);
        assert_eq!(name("wasi:http/types@0.2.0-rc-2023-11-10"), None);
        assert_eq!(name("wasi:http/types"), None);
        assert_eq!(name("wasi:config/store@0.2.0-rc.1"), Some("variables"));
        assert_eq!(name("fermyon:spin/key-value@2.0.0"), Some("key-value"));
        assert_eq!(name("fermyon:spin/key-value@2.1.0"), None);
    }

    #[test]
    fn a_candidate_that_its_release_serves_is_served() {
        let name = |interface| serving(interface).map(|capability| capability.name);
        assert_eq!(name("wasi:http/types@0.3.0+rc-2026-03-15"), Some("http"));
        assert_eq!(name("wasi:io/streams@0.2.0+rc-2023-11-10"), Some("wasi"));
    }

    #[test]
    fn a_key_stands_for_what_gives_nothing_without_it() {
        let key = |interface| serving(interface).and_then(|served| served.key_of(interface));
        assert_eq!(key("wasi:filesystem/types@0.2.3"), Some("files"));
        assert_eq!(key("wasi:sockets/tcp@0.2.0"), Some("allowed_outbound_hosts"));
        assert_eq!(key("wasi:http/outgoing-handler@0.2.0"), Some("allowed_outbound_hosts"));
        assert_eq!(key("wasi:http/client@0.3.0"), Some("allowed_outbound_hosts"));
        assert_eq!(key("wasi:config/store@0.2.0-rc.1"), Some("variables"));
        assert_eq!(key("wasi:http/types@0.2.0"), None);
        assert_eq!(key("wasi:clocks/wall-clock@0.2.0"), None);
    }
}
