//! Which release candidates of WASI are served by the release that followed them, and what of them
//! is called differently there.
//!
//! Compared interface by interface, function by function, with the WIT that Wasmtime 48 serves
//! (0.2.12 and 0.3.0); `docs/decisions` has the list.

/// A release candidate whose interfaces are those of a release.
pub(crate) struct Candidate {
    /// The version in the guest's names.
    pub(crate) version: &'static str,
    /// The version that links: the release, the candidate kept as build metadata. Linking ignores
    /// build metadata but looks at it when it asks whether two names are the same, so that a guest
    /// may import the candidate and the release side by side.
    pub(crate) served_as: &'static str,
    /// Functions that the release calls differently, or that differ and must not be mistaken for
    /// the release's.
    pub(crate) functions: &'static [Function],
}

/// A function of a release candidate that needs another name.
pub(crate) struct Function {
    /// The interface, without version.
    pub(crate) interface: &'static str,
    /// Its name in the release candidate.
    pub(crate) from: &'static str,
    /// Its name for the linker.
    pub(crate) to: &'static str,
}

const fn http_types(from: &'static str, to: &'static str) -> Function {
    Function {
        interface: "wasi:http/types",
        from,
        to,
    }
}

/// Every release candidate that is served under another name.
pub(crate) const CANDIDATES: &[Candidate] = &[
    // All 26 interfaces are those of 0.3.0.
    Candidate {
        version: "0.3.0-rc-2026-03-15",
        served_as: "0.3.0+rc-2026-03-15",
        functions: &[],
    },
    // As 0.2.0 but for these, and for `ipv6-only` and `set-ipv6-only` of TCP and UDP sockets,
    // which 0.2.0 dropped.
    Candidate {
        version: "0.2.0-rc-2023-11-10",
        served_as: "0.2.0+rc-2023-11-10",
        functions: &[
            http_types(
                "[method]request-options.connect-timeout-ms",
                "[method]request-options.connect-timeout",
            ),
            http_types(
                "[method]request-options.set-connect-timeout-ms",
                "[method]request-options.set-connect-timeout",
            ),
            http_types(
                "[method]request-options.first-byte-timeout-ms",
                "[method]request-options.first-byte-timeout",
            ),
            http_types(
                "[method]request-options.set-first-byte-timeout-ms",
                "[method]request-options.set-first-byte-timeout",
            ),
            http_types(
                "[method]request-options.between-bytes-timeout-ms",
                "[method]request-options.between-bytes-timeout",
            ),
            http_types(
                "[method]request-options.set-between-bytes-timeout-ms",
                "[method]request-options.set-between-bytes-timeout",
            ),
            // 0.2.0 wraps the result once more. No host function has this name: it links to
            // whatever the engine gives to imports that it does not know.
            http_types(
                "[method]future-trailers.get",
                "[method]future-trailers.get-rc",
            ),
        ],
    },
];

/// The packages of WASI whose candidates are served. `wasi:config`, `wasi:keyvalue` and others
/// have versions and drafts of their own.
const PACKAGES: &[&str] = &[
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:http",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// The candidate that `name` (`wasi:http/types@0.3.0-rc-2026-03-15`) belongs to, and the
/// interface without its version.
pub(crate) fn candidate(name: &str) -> Option<(&'static Candidate, &str)> {
    let (interface, version) = name.split_once('@')?;
    let (package, _) = interface.split_once('/')?;
    if !PACKAGES.contains(&package) {
        return None;
    }
    let candidate = CANDIDATES
        .iter()
        .find(|candidate| candidate.version == version)?;
    Some((candidate, interface))
}

impl Candidate {
    /// The new name of a function of one of the candidate's interfaces, if it needs one.
    pub(crate) fn function(&self, interface: &str, name: &str) -> Option<&'static str> {
        self.functions
            .iter()
            .find(|function| function.interface == interface && function.from == name)
            .map(|function| function.to)
    }
}
