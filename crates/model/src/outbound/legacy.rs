//! `allowed_http_hosts`, which `allowed_outbound_hosts` replaced: each old entry as new ones.

use super::pattern::PatternError;
use super::{HostPattern, OutboundError};

/// The entries of `allowed_outbound_hosts` that say what one entry of `allowed_http_hosts` says:
/// HTTP and HTTPS to the same host and port.
///
/// # Errors
/// The entry is neither a host, a `host:port`, an HTTP URL without a path, `self`, nor
/// `insecure:allow-all`.
pub fn from_allowed_http_hosts(entry: &str) -> Result<Vec<String>, OutboundError> {
    let owned = |entries: &[&str]| entries.iter().map(|&e| e.to_owned()).collect();
    if entry == "insecure:allow-all" {
        return Ok(owned(&["http://*:*", "https://*:*", "http://self"]));
    }
    let host = match entry.split_once("://") {
        Some(("http" | "https", host)) => host,
        Some(_) => return Err(malformed(entry)),
        None => entry,
    };
    let host = host.strip_suffix('/').unwrap_or(host);
    if host == "self" {
        return Ok(owned(&["http://self"]));
    }
    // No patterns: a `*` in an old entry never matched anything.
    if host.is_empty() || host.contains(['*', '/', '{', '@', '?', '#']) {
        return Err(malformed(entry));
    }
    let entries = [format!("http://{host}"), format!("https://{host}")];
    for entry in &entries {
        HostPattern::parse(entry)?;
    }
    Ok(entries.into())
}

fn malformed(entry: &str) -> OutboundError {
    OutboundError::Pattern(PatternError::legacy(entry))
}
