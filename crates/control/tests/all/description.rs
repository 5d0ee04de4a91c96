//! The description of the API that is checked in is what the API is.

use bytes::Bytes;
use http::Method;

use crate::{Platform, description};

#[test]
fn the_description_that_is_checked_in_is_true() {
    let actual = dayfly_control::openapi();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(description(), &actual).unwrap();
    }
    let expected = std::fs::read_to_string(description()).unwrap_or_default();
    assert!(expected == actual, "docs/openapi.json differs: rewrite it with UPDATE_GOLDEN=1");
}

#[test]
fn the_platform_describes_itself() {
    let platform = Platform::new();
    let answer = platform.ask(Method::GET, "/openapi.json", &[], Bytes::new());
    assert_eq!((answer.status, answer.text()), (200, dayfly_control::openapi()));
    assert_eq!(platform.ask(Method::GET, "/v1/health", &[], Bytes::new()).status, 204);
}
