//! What nodes are told of tenants' processes.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{COMES, FREE, READY};
use crate::serve::handing::Giver;

/// What nodes are told of tenants' processes: those that follow one another are told the same.
#[derive(Default)]
pub(in crate::serve) struct Board(Mutex<Posted>);

#[derive(Default)]
struct Posted {
    nodes: Vec<Arc<Giver>>,
    /// The nodes' ends of the channels, by tenant: of the process that is being started, and of the one
    /// that is ready.
    coming: BTreeMap<u64, OwnedFd>,
    ready: BTreeMap<u64, OwnedFd>,
}

impl Board {
    /// Tells a node of all that there are, and of what becomes of them from now on.
    ///
    /// # Errors
    /// If it has ended.
    pub(in crate::serve) fn introduce(&self, node: &Arc<Giver>) -> std::io::Result<()> {
        let mut posted = self.posted();
        for (number, channel) in &posted.ready {
            node.tell(&format!("{COMES} {number}"), &[channel.as_fd()])?;
            node.tell(&format!("{READY} {number}"), &[])?;
        }
        for (number, channel) in &posted.coming {
            node.tell(&format!("{COMES} {number}"), &[channel.as_fd()])?;
        }
        posted.nodes.push(node.clone());
        Ok(())
    }

    pub(super) fn comes(&self, number: u64, channel: OwnedFd) {
        let mut posted = self.posted();
        posted.tell(&format!("{COMES} {number}"), Some(&channel));
        posted.coming.insert(number, channel);
    }

    pub(super) fn is_ready(&self, number: u64) {
        let mut posted = self.posted();
        if let Some(channel) = posted.coming.remove(&number) {
            posted.ready.insert(number, channel);
        }
        posted.tell(&format!("{READY} {number}"), None);
    }

    pub(super) fn failed(&self, number: u64) {
        self.posted().coming.remove(&number);
    }

    pub(super) fn frees(&self, number: u64) {
        let mut posted = self.posted();
        posted.coming.remove(&number);
        posted.ready.remove(&number);
        posted.tell(&format!("{FREE} {number}"), None);
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posted {
    /// Those that have ended are told nothing any more.
    fn tell(&mut self, word: &str, channel: Option<&OwnedFd>) {
        let channel: Vec<_> = channel.iter().map(|it| it.as_fd()).collect();
        self.nodes.retain(|node| node.tell(word, &channel).is_ok());
    }
}
