//! Which release candidates of WASI are served by the release that followed them, and what of them
//! is called differently there.
//!
//! Compared interface by interface, function by function, with the WIT that Wasmtime 48 serves
//! (0.2.12 and 0.3.0).

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

const fn renamed(interface: &'static str, from: &'static str, to: &'static str) -> Function {
    Function { interface, from, to }
}

/// Every release candidate that is served under another name. `docs/release-candidates.md` compares
/// them with the release, function by function.
pub(crate) const CANDIDATES: &[Candidate] = &[
    Candidate { version: "0.3.0-rc-2026-03-15", served_as: "0.3.0+rc.2026.03.15", functions: &[] },
    Candidate {
        version: "0.2.0-rc-2023-11-10",
        served_as: "0.2.0+rc.2023.11.10",
        functions: NOVEMBER,
    },
    Candidate {
        version: "0.2.0-rc-2023-10-18",
        served_as: "0.2.0+rc.2023.10.18",
        functions: OCTOBER,
    },
];

const HTTP: &str = "wasi:http/types";

/// Of 2023-11-10: six functions under their final names, and one that differs.
const NOVEMBER: &[Function] = &[
    renamed(
        HTTP,
        "[method]request-options.connect-timeout-ms",
        "[method]request-options.connect-timeout",
    ),
    renamed(
        HTTP,
        "[method]request-options.set-connect-timeout-ms",
        "[method]request-options.set-connect-timeout",
    ),
    renamed(
        HTTP,
        "[method]request-options.first-byte-timeout-ms",
        "[method]request-options.first-byte-timeout",
    ),
    renamed(
        HTTP,
        "[method]request-options.set-first-byte-timeout-ms",
        "[method]request-options.set-first-byte-timeout",
    ),
    renamed(
        HTTP,
        "[method]request-options.between-bytes-timeout-ms",
        "[method]request-options.between-bytes-timeout",
    ),
    renamed(
        HTTP,
        "[method]request-options.set-between-bytes-timeout-ms",
        "[method]request-options.set-between-bytes-timeout",
    ),
    renamed(HTTP, "[method]future-trailers.get", "[method]future-trailers.get-rc1110"),
];

/// Of 2023-10-18: first those under their final names, then those that differ: a host that serves
/// the candidate defines them beside the release's own.
const OCTOBER: &[Function] = &[
    renamed("wasi:io/poll", "poll-list", "poll"),
    renamed(HTTP, "[method]outgoing-request.write", "[method]outgoing-request.body"),
    renamed(HTTP, "[method]outgoing-response.write", "[method]outgoing-response.body"),
    renamed(
        "wasi:sockets/tcp",
        "[method]tcp-socket.keep-alive",
        "[method]tcp-socket.keep-alive-enabled",
    ),
    renamed(
        "wasi:sockets/tcp",
        "[method]tcp-socket.set-keep-alive",
        "[method]tcp-socket.set-keep-alive-enabled",
    ),
    renamed(
        "wasi:sockets/tcp",
        "[method]tcp-socket.unicast-hop-limit",
        "[method]tcp-socket.hop-limit",
    ),
    renamed(
        "wasi:sockets/tcp",
        "[method]tcp-socket.set-unicast-hop-limit",
        "[method]tcp-socket.set-hop-limit",
    ),
    renamed(HTTP, "[constructor]fields", "[static]fields.new-rc1018"),
    renamed(HTTP, "[method]fields.append", "[method]fields.append-rc1018"),
    renamed(HTTP, "[method]fields.delete", "[method]fields.delete-rc1018"),
    renamed(HTTP, "[method]fields.set", "[method]fields.set-rc1018"),
    renamed(HTTP, "[constructor]outgoing-request", "[static]outgoing-request.new-rc1018"),
    renamed(HTTP, "[constructor]outgoing-response", "[static]outgoing-response.new-rc1018"),
    renamed(
        HTTP,
        "[method]future-incoming-response.get",
        "[method]future-incoming-response.get-rc1018",
    ),
    renamed(HTTP, "[method]future-trailers.get", "[method]future-trailers.get-rc1018"),
    renamed(HTTP, "[static]outgoing-body.finish", "[static]outgoing-body.finish-rc1018"),
    renamed(HTTP, "[static]response-outparam.set", "[static]response-outparam.set-rc1018"),
    renamed("wasi:http/outgoing-handler", "handle", "handle-rc1018"),
    renamed(
        "wasi:io/streams",
        "[method]output-stream.splice",
        "[method]output-stream.splice-rc1018",
    ),
    renamed(
        "wasi:io/streams",
        "[method]output-stream.blocking-splice",
        "[method]output-stream.blocking-splice-rc1018",
    ),
    renamed(
        "wasi:filesystem/types",
        "[method]descriptor.open-at",
        "[method]descriptor.open-at-rc1018",
    ),
    renamed("wasi:sockets/ip-name-lookup", "resolve-addresses", "resolve-addresses-rc1018"),
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
    let candidate = CANDIDATES.iter().find(|candidate| candidate.version == version)?;
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
