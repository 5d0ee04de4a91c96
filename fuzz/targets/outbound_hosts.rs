//! Entries of `allowed_outbound_hosts`, and on the last line a destination: whatever they are, no
//! wildcard leads to an address that is not public.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use dayfly_model::outbound::{OutboundHosts, Protocol};
use libfuzzer_sys::fuzz_target;

const PRIVATE: [&str; 10] = [
    "127.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::a00:1",
    "fe80::1",
];

fuzz_target!(|text: &str| {
    let (entries, target) = text.rsplit_once('\n').unwrap_or(("*://*:*", text));
    let Ok(hosts) = OutboundHosts::parse(entries.lines().take(32)) else { return };
    let (scheme, rest) = target.split_once("://").unwrap_or(("https", target));
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "443"));
    let port = port.parse().unwrap_or(443);
    let scope = hosts.check(scheme, host, port);
    let _ = hosts.may_resolve(host);
    let is_wildcard =
        |entry: &str| entry.split_once("://").is_some_and(|(_, host)| host.starts_with('*'));
    let named = hosts.entries().any(|entry| !is_wildcard(&entry));
    for address in PRIVATE.map(|address| address.parse::<IpAddr>().unwrap()) {
        if named {
            break;
        }
        assert!(!scope.is_some_and(|scope| scope.permits(address)), "{text:?} to {address}");
        assert!(!hosts.check_socket(Protocol::Tcp, SocketAddr::new(address, port)), "{text:?}");
    }
    // What is printed means the same.
    let printed: Vec<String> = hosts.entries().collect();
    let again = OutboundHosts::parse(&printed).expect("an entry that was accepted is accepted");
    assert_eq!(again, hosts, "{printed:?}");
});
