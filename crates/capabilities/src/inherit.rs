//! What opens the interfaces of a component that is composed into another one: it runs in the other's
//! instance, and has of the other's grants what its table lets it inherit.

use crate::registry;

/// Interfaces whose functions all want a handle of an interface that a key stands for. They give
/// nothing by themselves, and what they define may be passed from one part to another.
const HANDLES: &[&str] = &[
    "wasi:filesystem/types",
    "wasi:sockets/instance-network",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/udp",
];

/// The key that a part has to inherit for an interface, named as it imports it; `None` for what
/// everybody may use, and for what nobody serves.
///
/// The version does not count: linking takes compatible ones for each other.
pub fn opened_by(import: &str) -> Option<&'static str> {
    let name = import.split('@').next().unwrap_or_default();
    match name {
        "wasi:cli/environment" => Some("environment"),
        name if HANDLES.contains(&name) => None,
        name => registry::CAPABILITIES.iter().find_map(|it| it.key_of_any_version(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_grants_has_to_be_inherited() {
        for (import, key) in [
            ("wasi:cli/environment@0.2.0", "environment"),
            ("wasi:cli/environment@0.3.0", "environment"),
            ("wasi:filesystem/preopens@0.2.3", "files"),
            ("wasi:filesystem/preopens@0.3.0", "files"),
            ("wasi:http/outgoing-handler@0.2.0", "allowed_outbound_hosts"),
            ("wasi:http/client@0.3.0", "allowed_outbound_hosts"),
            ("wasi:sockets/tcp-create-socket@0.2.0", "allowed_outbound_hosts"),
            ("wasi:sockets/ip-name-lookup@0.2.0", "allowed_outbound_hosts"),
            ("wasi:sockets/types@0.3.0", "allowed_outbound_hosts"),
            ("wasi:config/store@0.2.0-rc.1", "variables"),
        ] {
            assert_eq!(opened_by(import), Some(key), "{import}");
        }
    }

    /// A new capability whose interfaces need no grant is added here, once somebody has thought
    /// about what parts of a composition do with it.
    #[test]
    fn what_is_served_to_everybody_is_known() {
        let served = registry::CAPABILITIES.iter().flat_map(|capability| capability.interfaces);
        let mut open: Vec<_> = served
            .map(|it| it.split('@').next().unwrap())
            .filter(|it| opened_by(it).is_none())
            .collect();
        open.sort_unstable();
        open.dedup();
        assert_eq!(
            open,
            [
                "fermyon:spin/http-types",
                "wasi:cli/*",
                "wasi:clocks/*",
                "wasi:http/*",
                "wasi:io/*",
                // What its instance tells is bounded, and told in the component's name.
                "wasi:logging/logging",
                "wasi:otel/*",
                "wasi:random/*",
            ]
        );
    }

    #[test]
    fn in_any_version() {
        for import in [
            "wasi:http/client@0.3.0+rc.2026.03.15",
            "wasi:http/client@0.3.99",
            "wasi:http/client@1.0.0",
            "wasi:http/client",
            "wasi:config/store@0.2.0",
        ] {
            assert!(opened_by(import).is_some(), "{import}");
        }
    }

    #[test]
    fn everybody_has_the_rest() {
        for import in [
            "wasi:clocks/wall-clock@0.2.0",
            "wasi:random/random@0.2.0",
            "wasi:io/streams@0.2.0",
            "wasi:cli/stdout@0.2.0",
            "wasi:http/types@0.2.0",
            "wasi:filesystem/types@0.2.0",
            "wasi:sockets/tcp@0.2.0",
            "a:b/c@1.0.0",
            "plain",
        ] {
            assert_eq!(opened_by(import), None, "{import}");
        }
    }
}
