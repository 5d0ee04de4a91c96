//! Tenants whose guests run in a process of their own. The supervisor starts it as it does the node, and
//! connects the two by a channel: the node sends it each connection of a client that asks for an app of the
//! tenant, and answers what it asks the store, as far as that is the tenant's. It listens nowhere, and opens
//! neither the platform's records nor anything of another tenant's.

mod answers;
mod asking;
mod board;
mod channel;
mod environment;
mod keeper;
mod keepers;
mod launcher;
mod measures;
pub(crate) mod node;
mod owns;
mod pulse;

pub(super) use board::Board;
pub(super) use keepers::Keepers;
pub(crate) use launcher::Times;
pub(super) use launcher::{Launcher, Running};
pub(super) use owns::Owns;

/// What the supervisor says to a node of a tenant, each with the tenant's number behind it: here is the
/// channel to its process; that is ready; and it has ended, or takes no more events.
const COMES: &str = "own";
const READY: &str = "ready";
const FREE: &str = "free";

/// What a node says to the supervisor: which tenants are to have processes, all of them by number and name;
/// and that it takes no events of a tenant any more, and sends requests to the process that is ready.
const WANTED: &str = "own";
const LEFT: &str = "left";
