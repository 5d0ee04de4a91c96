use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;

fn hosts(entries: &[&str]) -> OutboundHosts {
    OutboundHosts::parse(entries).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether `entries` grant `url` when its host resolves to `address`.
fn grants(entries: &[&str], scheme: &str, host: &str, port: u16, address: &str) -> bool {
    let scope = hosts(entries).check(scheme, host, port);
    scope.is_some_and(|scope| scope.permits(ip(address)))
}

const PUBLIC: &str = "93.184.215.14";

#[test]
fn schemes_and_ports() {
    let ok = |entry: &str, scheme: &str, port| {
        hosts(&[entry]).check(scheme, "example.com", port).is_some()
    };
    assert!(ok("https://example.com", "https", 443));
    assert!(ok("HTTPS://Example.COM.", "https", 443));
    assert!(!ok("https://example.com", "https", 8443));
    assert!(!ok("https://example.com", "http", 443));
    assert!(!ok("https://example.com", "http", 80));
    assert!(ok("{http,https}://example.com", "http", 80));
    assert!(ok("{http,https}://example.com", "https", 443));
    assert!(!ok("{http,https}://example.com", "https", 80));
    assert!(ok("*://example.com:*", "anything", 1));
    assert!(ok("redis://example.com", "redis", 6379));
    assert!(ok("http://example.com:8000..9000", "http", 8000));
    assert!(ok("http://example.com:8000..9000", "http", 8999));
    assert!(!ok("http://example.com:8000..9000", "http", 9000));
    assert!(ok("https://example.com/", "https", 443));
    assert!(ok("https://example.com:8443/", "https", 8443));
}

#[test]
fn names() {
    let ok = |entry: &str, host: &str| hosts(&[entry]).check("https", host, 443).is_some();
    assert!(ok("https://example.com", "EXAMPLE.com."));
    assert!(!ok("https://example.com", "a.example.com"));
    assert!(!ok("https://example.com", "example.com.evil.org"));
    assert!(ok("https://*.example.com", "a.b.example.com"));
    assert!(!ok("https://*.example.com", "example.com"));
    assert!(!ok("https://*.example.com", "evilexample.com"));
    assert!(!ok("https://example.com", "example.com.."));
    assert!(!ok("https://*", "exa mple.com"));
    assert!(!ok("https://*", "example.com/"));
    assert!(!ok("https://*", "user@example.com"));
    assert!(!ok("https://*", ""));
    assert!(!ok("https://*", "ex\u{0}ample.com"));
    assert!(ok("https://*.spin.internal", "cart.spin.internal"));
    assert_eq!(service_of("Cart.spin.internal."), Some("cart".to_owned()));
    assert_eq!(service_of("a.cart.spin.internal"), None);
    assert_eq!(service_of("spin.internal"), None);
}

#[test]
fn what_stays_within_the_app() {
    let inside = hosts(&["http://self", "http://cart.spin.internal", "https://*.spin.internal"]);
    assert!(inside.names_components() && !inside.leaves_the_app());
    assert!(!inside.may_resolve("cart.spin.internal"));
    assert!(!hosts(&["*://*:*"]).names_components());
    for entry in ["http://example.com", "*://*:*", "http://{{ host }}"] {
        assert!(hosts(&["http://self", entry]).leaves_the_app(), "{entry}");
    }
    assert!(is_self("self") && is_self("Self.Alt") && !is_self("self.example"));
}

#[test]
fn the_app_itself() {
    assert!(hosts(&["http://self"]).check_self("http"));
    assert!(!hosts(&["http://self"]).check_self("https"));
    assert!(hosts(&["*://*:*"]).check_self("https"));
    assert!(!hosts(&["http://example.com"]).check_self("http"));
    assert_eq!(hosts(&["http://self"]).check("http", "self", 80), None);
}

#[test]
fn wildcards_reach_public_addresses_only() {
    let any = &["*://*:*"];
    assert!(grants(any, "http", "example.com", 80, PUBLIC));
    for address in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "fec0::1",
        "100::1",
        "64:ff9b:1::1",
        // IPv4 in IPv6, of many kinds.
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    ] {
        assert!(!grants(any, "http", "example.com", 80, address), "{address}");
        assert!(
            !grants(&["http://*.example.com"], "http", "a.example.com", 80, address),
            "{address}"
        );
    }
    assert!(grants(any, "http", "example.com", 80, "2606:2800:21f::1"));
    assert!(grants(any, "http", "example.com", 80, "::ffff:93.184.215.14"));
    assert!(grants(any, "http", "example.com", 80, "2002:5db8:d70e::1"));
}

#[test]
fn names_reach_private_addresses_too() {
    let named = &["http://db.example.com"];
    for address in [PUBLIC, "10.0.0.1", "127.0.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"] {
        assert!(grants(named, "http", "db.example.com", 80, address), "{address}");
    }
    for address in [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "::ffff:169.254.169.254",
    ] {
        assert!(!grants(named, "http", "db.example.com", 80, address), "{address}");
    }
    // The wider of two grants holds.
    assert!(grants(
        &["http://*", "http://db.example.com"],
        "http",
        "db.example.com",
        80,
        "10.0.0.1"
    ));
}

#[test]
fn localhost_is_loopback() {
    let local = &["http://localhost:8080"];
    assert!(grants(local, "http", "LocalHost.", 8080, "127.0.0.1"));
    assert!(grants(local, "http", "localhost", 8080, "::1"));
    assert!(!grants(local, "http", "localhost", 8080, "10.0.0.1"));
    assert!(!grants(local, "http", "localhost", 8080, PUBLIC));
    assert!(!grants(local, "http", "127.0.0.1", 8080, "127.0.0.1"));
    assert!(!grants(local, "http", "a.localhost", 8080, "127.0.0.1"));
}

#[test]
fn addresses_and_networks() {
    assert!(grants(&["http://169.254.169.254"], "http", "169.254.169.254", 80, "169.254.169.254"));
    assert!(grants(&["http://[::1]:80"], "http", "[::1]", 80, "::1"));
    assert!(grants(&["http://[::1]"], "http", "::1", 80, "::1"));
    assert!(!grants(&["http://*"], "http", "127.0.0.1", 80, "127.0.0.1"));
    assert!(!grants(&["http://*"], "http", "[::ffff:127.0.0.1]", 80, "127.0.0.1"));
    assert!(grants(&["http://10.0.0.0/8"], "http", "10.9.8.7", 80, "10.9.8.7"));
    assert!(grants(&["http://10.1.2.3/8:80"], "http", "[::ffff:10.9.8.7]", 80, "10.9.8.7"));
    assert!(grants(&["http://[fd00::]/8:443"], "http", "[fd12::1]", 443, "fd12::1"));
    assert!(grants(&["http://fd00::/8:443"], "http", "[fd12::1]", 443, "fd12::1"));
    assert!(grants(&["http://[::ffff:10.0.0.0]/104"], "http", "10.9.8.7", 80, "10.9.8.7"));
    assert!(!grants(&["http://10.0.0.0/8"], "http", "11.0.0.1", 80, "11.0.0.1"));
    // A name that resolves into a network is not an address of it.
    assert!(!grants(&["http://10.0.0.0/8"], "http", "db.example.com", 80, "10.0.0.1"));
    // The scope is for the address that was asked for.
    assert!(!grants(&["http://10.0.0.0/8"], "http", "10.0.0.1", 80, "10.0.0.2"));
}

#[test]
fn old_spellings_of_addresses_are_never_hosts() {
    for host in [
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0x7F.0.0.0x1",
        "1.2.3.4.5",
        "127.0.0.1..",
        "0",
        "0x",
        "010.0.0.1",
        "[127.0.0.1]",
        "[::1",
        "::1%eth0",
    ] {
        assert_eq!(hosts(&["*://*:*"]).check("http", host, 80), None, "{host}");
        assert!(OutboundHosts::parse([format!("http://{host}:80")]).is_err(), "{host}");
    }
    // A full stop at the end changes no address.
    assert!(grants(&["http://127.0.0.1"], "http", "127.0.0.1.", 80, "127.0.0.1"));
}

#[test]
fn sockets() {
    let check = |entries: &[&str], protocol, address: &str| {
        hosts(entries).check_socket(protocol, address.parse().unwrap())
    };
    assert!(check(&["tcp://127.0.0.1:5432"], Protocol::Tcp, "127.0.0.1:5432"));
    assert!(check(&["tcp://127.0.0.1:5432"], Protocol::Tcp, "[::ffff:127.0.0.1]:5432"));
    assert!(!check(&["tcp://127.0.0.1:5432"], Protocol::Udp, "127.0.0.1:5432"));
    assert!(!check(&["tcp://127.0.0.1:5432"], Protocol::Tcp, "127.0.0.1:5433"));
    assert!(check(&["*://*:*"], Protocol::Udp, "93.184.215.14:53"));
    assert!(!check(&["*://*:*"], Protocol::Tcp, "127.0.0.1:53"));
    assert!(!check(&["*://*:*"], Protocol::Tcp, "[64:ff9b::7f00:1]:53"));
    assert!(check(&["udp://10.0.0.0/8:*"], Protocol::Udp, "10.1.1.1:53"));
    assert!(!check(&[], Protocol::Tcp, "93.184.215.14:80"));
}

#[test]
fn lookups_reveal_only_what_may_be_reached() {
    assert!(!hosts(&[]).may_reach(ip(PUBLIC)));
    assert!(hosts(&["tcp://*:80"]).may_reach(ip(PUBLIC)));
    assert!(!hosts(&["tcp://*:80"]).may_reach(ip("10.0.0.1")));
    assert!(hosts(&["tcp://10.0.0.0/8:80"]).may_reach(ip("::ffff:10.0.0.1")));
}

#[test]
fn only_granted_names_are_looked_up() {
    let may = |entries: &[&str], name: &str| hosts(entries).may_resolve(name);
    assert!(may(&["https://api.example.com"], "API.example.com."));
    assert!(!may(&["https://api.example.com"], "example.com"));
    assert!(!may(&["https://api.example.com"], "data.attacker.example"));
    assert!(may(&["tcp://*.example.com:5432"], "db.example.com"));
    assert!(may(&["*://*:*"], "anything.example"));
    assert!(may(&["tcp://10.0.0.0/8:*"], "db.internal"));
    assert!(!may(&["http://self"], "self.example"));
    assert!(!may(&[], "localhost"));
    assert!(!may(&["*://*:*"], "0x7f.1"));
}

#[test]
fn malformed_entries_are_refused() {
    for entry in [
        "",
        "*",
        ":",
        "?",
        "example.com",
        "insecure:allow-all",
        "http://",
        "http://:80",
        "*://example.com",
        "tcp://example.com",
        "http://example.com/path",
        "http://example.com:80/path",
        "http://example.com:99999",
        "http://example.com:http",
        "http://example.com:9000..8000",
        "http://example.com:80..80",
        "http://exam*ple.com",
        "http://*.*.com",
        "http://a..b",
        "ht-tp://example.com",
        "http://exämple.com",
        "http://user@example.com",
        "http://[::1",
        "http://10.0.0.0/33",
        "http://{a,b}.com",
        "{http,}://example.com",
        "http://+80:80",
        "http://a:+80",
    ] {
        assert!(OutboundHosts::parse([entry]).is_err(), "{entry}");
    }
}

#[test]
fn templates_grant_nothing_until_they_are_resolved() {
    let unresolved = hosts(&["https://{{ host }}:443", "https://a.example.com"]);
    assert_eq!(unresolved.variables().collect::<Vec<_>>(), ["host"]);
    assert_eq!(unresolved.check("https", "b.example.com", 443), None);
    let mut values = BTreeMap::from([("host".to_owned(), "b.example.com".to_owned())]);
    let resolved = unresolved.resolve(&values).unwrap();
    assert!(resolved.check("https", "b.example.com", 443).is_some());
    assert!(resolved.check("https", "a.example.com", 443).is_some());
    values.insert("host".to_owned(), "b/c".to_owned());
    let error = unresolved.resolve(&values).unwrap_err().to_string();
    assert!(error.contains("`https://{{ host }}:443`") && !error.contains("b/c"), "{error}");
    assert!(unresolved.resolve(&BTreeMap::new()).is_err());
}

#[test]
fn legacy_entries() {
    let legacy = |entry: &str| from_allowed_http_hosts(entry).unwrap();
    assert_eq!(legacy("example.com"), ["http://example.com", "https://example.com"]);
    assert_eq!(legacy("https://example.com/"), ["http://example.com", "https://example.com"]);
    assert_eq!(legacy("localhost:3001"), ["http://localhost:3001", "https://localhost:3001"]);
    assert_eq!(legacy("[::1]"), ["http://[::1]", "https://[::1]"]);
    assert_eq!(legacy("self"), ["http://self"]);
    assert_eq!(legacy("insecure:allow-all").len(), 3);
    for entry in
        ["", "ftp://example.com", "http://example.com/a", "*", "*.example.com", "a:b", "127.1"]
    {
        assert!(from_allowed_http_hosts(entry).is_err(), "{entry}");
    }
}
