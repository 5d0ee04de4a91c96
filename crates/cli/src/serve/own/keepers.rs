//! The supervisor's part: a keeper for each tenant that is to have a process. Each has a task of its own, so that
//! none waits for another.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::board::Board;
use super::keeper::{Keeping, Order};
use super::launcher::Launcher;
use super::{LEFT, WANTED};

/// All tenants' processes.
pub(in crate::serve) struct Keepers {
    launcher: Arc<Launcher>,
    board: Arc<Board>,
    /// How many there may be.
    most: usize,
    all: BTreeMap<u64, Keeper>,
    /// Told when the process of a tenant takes no more events, that was kept before.
    former: BTreeMap<u64, oneshot::Receiver<()>>,
    tasks: JoinSet<()>,
}

/// One tenant's, as the others see it.
struct Keeper {
    orders: mpsc::UnboundedSender<Order>,
    freed: oneshot::Receiver<()>,
}

impl Keepers {
    pub(in crate::serve) fn new(launcher: &Arc<Launcher>, most: usize) -> Self {
        Self {
            launcher: launcher.clone(),
            board: Arc::default(),
            most,
            all: BTreeMap::new(),
            former: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// What nodes are told.
    pub(in crate::serve) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Does what the node says.
    pub(in crate::serve) fn obey(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(WANTED) => {
                let named = words.filter_map(|word| word.split_once('='));
                let numbered =
                    named.filter_map(|(number, name)| Some((number.parse().ok()?, name)));
                self.want(&numbered.collect());
            }
            Some(LEFT) => words
                .filter_map(|number| number.parse().ok())
                .for_each(|number| self.order(number, Order::Led)),
            _ => {}
        }
    }

    fn want(&mut self, wanted: &BTreeMap<u64, &str>) {
        let gone: Vec<_> = self.all.keys().filter(|it| !wanted.contains_key(it)).copied().collect();
        for number in gone {
            self.order(number, Order::Leave);
            if let Some(keeper) = self.all.remove(&number) {
                self.former.insert(number, keeper.freed);
            }
        }
        for (number, name) in wanted.iter().take(self.most) {
            if !self.all.contains_key(number) {
                self.keep(*number, name);
            }
        }
        // What has ended is let go of.
        while self.tasks.try_join_next().is_some() {}
    }

    fn keep(&mut self, number: u64, name: &str) {
        let (keeping, orders) = Keeping::new((number, name), &self.launcher, &self.board);
        let (frees, freed) = oneshot::channel();
        self.tasks.spawn(keeping.keep(self.former.remove(&number), frees));
        self.all.insert(number, Keeper { orders, freed });
    }

    /// Has each process followed by one of the program as it is now.
    pub(in crate::serve) fn replace(&self) {
        self.all.keys().for_each(|number| self.order(*number, Order::Replace));
    }

    fn order(&self, number: u64, order: Order) {
        if let Some(keeper) = self.all.get(&number) {
            // One that has ended does nothing any more.
            let _ = keeper.orders.send(order);
        }
    }

    /// Tells all to end, and waits for that.
    pub(in crate::serve) async fn end(mut self) {
        self.all.keys().for_each(|number| self.order(*number, Order::End));
        while self.tasks.join_next().await.is_some() {}
    }
}
