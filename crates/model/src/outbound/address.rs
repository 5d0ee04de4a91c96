//! Addresses behind names: what class an address is of, and which classes a grant covers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What an address is for, as far as isolation is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// On the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network: RFC 1918, RFC 6598, RFC 4193.
    Private,
    /// Link-local, cloud metadata, unspecified, multicast, broadcast, reserved: reached only by
    /// someone who wrote the address itself.
    Restricted,
}

/// Which addresses a grant covers, to be asked after name resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressScope {
    /// A wildcard granted it: public addresses.
    Public,
    /// `localhost` granted it: this machine.
    Loopback,
    /// A name granted it: public, private and loopback addresses.
    Named,
    /// An address or a network granted it: this address, whatever it is for.
    Exactly(IpAddr),
}

impl AddressScope {
    /// Whether the scope covers `address`. IPv4 addresses that are wrapped in IPv6 are unwrapped
    /// first.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        match self {
            Self::Public => AddressClass::of(address) == AddressClass::Public,
            Self::Loopback => AddressClass::of(address) == AddressClass::Loopback,
            Self::Named => AddressClass::of(address) != AddressClass::Restricted,
            Self::Exactly(exact) => *exact == address,
        }
    }

    /// The wider of two scopes that cover the same host.
    pub(super) fn wider(self, other: Self) -> Self {
        let width = |scope: &Self| match scope {
            Self::Public => 0,
            Self::Loopback => 1,
            Self::Named => 2,
            Self::Exactly(_) => 3,
        };
        if width(&other) > width(&self) { other } else { self }
    }
}

impl AddressClass {
    /// The class of a canonical address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        // Metadata services of Alibaba and Azure: the first lies in a private range, the second
        // in a public one.
        let metadata = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
        if metadata.contains(&address) {
            return Self::Restricted;
        }
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            (10, ..)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (100, 64..=127, _)
            | (198, 18..=19, _) => Self::Private,
            (0 | 224..=255, ..)
            | (169, 254, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113) => Self::Restricted,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let s = address.segments();
        match s {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // Metadata services of Amazon and Google lie in the private range.
            [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => Self::Restricted,
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Self::Private,
            // Protocol assignments (Teredo among them), documentation, the 6to4 range is
            // unwrapped before.
            [0x2001, 0..=0x1ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => {
                Self::Restricted
            }
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Restricted,
        }
    }
}

/// The address that a packet to `address` really reaches: IPv4 wrapped in IPv6 (mapped,
/// compatible, NAT64 of RFC 6052, 6to4 of RFC 3056) is unwrapped.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Whether `net` holds `address`, both in canonical form.
pub(super) fn holds(net: &IpNet, address: IpAddr) -> bool {
    net.contains(&address)
}
