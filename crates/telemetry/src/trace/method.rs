//! The methods of HTTP whose names may stand in a span's.

/// Those of HTTP's registry that OpenTelemetry's conventions name.
const KNOWN: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A method's name, unless somebody made it up: a span's name has few values.
pub fn known_method(name: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| *known == name)
}
