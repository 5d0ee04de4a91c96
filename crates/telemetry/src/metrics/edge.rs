//! Requests that no component got: answered by the host itself, or refused before a route was found.
//! They are the process's, whatever it serves.

use super::component::{Requests, collect_requests, request};
use super::{Counter, Families, Status};
use crate::Fault;

static REQUESTS: Requests = [const { [const { Counter::new() }; 6] }; 5];

/// Counts a request.
pub fn count(status: u16, fault: Option<Fault>) {
    request(&REQUESTS, Status::of(status), fault);
}

pub(super) fn collect(families: &mut Families) {
    collect_requests("", &REQUESTS, families);
}
