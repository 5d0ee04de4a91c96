//! Keeps one tenant's process: starts it, starts it again when it dies, replaces it by a new one, and ends it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::board::Board;
use super::channel::{Channel, Message};
use super::environment::is_for_tenants;
use super::launcher::{Launcher, Running};
use super::pulse;
use crate::serve::supervisor::Watch;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The node leads requests to the process that is ready, and takes none of its events.
    Led,
    /// Another process takes this one's place.
    Replace,
    /// The tenant is to have none any more.
    Leave,
    /// The platform ends.
    End,
}

/// What looks after one tenant's process.
pub(super) struct Keeping {
    number: u64,
    /// What the tenant is called, for the log.
    name: String,
    launcher: Arc<Launcher>,
    board: Arc<Board>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Processes that others have followed.
    leaving: JoinSet<()>,
}

/// A process, and how it is spoken to.
struct Kept {
    running: Running,
    channel: Channel,
}

impl Keeping {
    /// What looks after the process of the tenant of this number, and by what it is told what to do.
    pub(super) fn new(
        (number, name): (u64, &str),
        launcher: &Arc<Launcher>,
        board: &Arc<Board>,
    ) -> (Self, mpsc::UnboundedSender<Order>) {
        let (told, orders) = mpsc::unbounded_channel();
        let (name, launcher, board) = (name.to_owned(), launcher.clone(), board.clone());
        (Self { number, name, launcher, board, orders, leaving: JoinSet::new() }, told)
    }

    /// Has a process until there is to be none, once a former one of the tenant's takes no more events; says
    /// when this one takes none.
    pub(super) async fn keep(
        mut self,
        former: Option<oneshot::Receiver<()>>,
        frees: oneshot::Sender<()>,
    ) {
        // One that was the tenant's before may still take events.
        if let Some(former) = former {
            let _ = former.await;
        }
        let mut kept = None;
        let order = self.serve(&mut kept).await;
        match (order, &mut kept) {
            (Order::End, Some(kept)) => kept.running.terminate(),
            (Order::End, None) => {}
            (_, Some(kept)) => {
                // Where it has ended already, there is nothing to wait for.
                let _ = kept.channel.send(&Message::Leave, None);
                kept.running.until_left().await;
                self.board.frees(self.number);
            }
            (_, None) => self.board.frees(self.number),
        }
        let _ = frees.send(());
        if let Some(mut kept) = kept {
            kept.running.ended_after(self.launcher.times.grace).await;
        }
        while self.leaving.join_next().await.is_some() {}
    }

    /// Keeps a process going until there is to be none; how that is to end. The process that is there then
    /// stays in `kept`.
    async fn serve(&mut self, kept: &mut Option<Kept>) -> Order {
        let mut watch = Watch::new();
        loop {
            let started = match self.start(kept, &mut watch).await {
                Ok(started) => started,
                Err(order) => return order,
            };
            if let Some(started) = started {
                if let Some(former) = kept.replace(started) {
                    self.part(former).await;
                }
                let begun = kept.as_ref().map(|kept| kept.channel.send(&Message::Begin, None));
                if let Some(Err(error)) = begun {
                    tracing::debug!(tenant = self.name, %error, "a tenant's process has ended");
                }
            }
            // Until another one is to be started.
            while let Some(Kept { running, channel }) = kept.as_mut() {
                tokio::select! {
                    ended = running.child.wait() => {
                        let status = ended.map(|status| status.to_string()).unwrap_or_default();
                        let pause = watch.dead();
                        tracing::error!(
                            tenant = self.name, status, ?pause,
                            "a tenant's process died, and is started again"
                        );
                        *kept = None;
                        if let Some(order) = self.pause(pause).await {
                            return order;
                        }
                    }
                    () = pulse::stops(channel, self.launcher.times.hung) => {
                        tracing::error!(
                            tenant = self.name,
                            "a tenant's process does not answer, and is ended"
                        );
                        // That it died is what is heard of next.
                        let _ = running.child.start_kill();
                    }
                    order = self.orders.recv() => match order.unwrap_or(Order::End) {
                        Order::Led => {}
                        Order::Replace => break,
                        order => return order,
                    },
                }
            }
        }
    }

    /// Starts a process, and waits until requests are led to it. Nothing, if it cannot be and there is one;
    /// otherwise it is tried again. An order, if there is to be none.
    async fn start(
        &mut self,
        kept: &mut Option<Kept>,
        watch: &mut Watch,
    ) -> Result<Option<Kept>, Order> {
        let (launcher, board, number) = (self.launcher.clone(), self.board.clone(), self.number);
        loop {
            let started = tokio::select! {
                started = begin(&launcher, &board, number) => started,
                order = self.last() => return Err(order),
            };
            let error = match started {
                Ok(mut started) => {
                    board.is_ready(number);
                    tokio::select! {
                        led = self.led() => {
                            watch.alive();
                            let Err(order) = led else {
                                tracing::info!(tenant = self.name, "a tenant's process serves");
                                return Ok(Some(started));
                            };
                            if let Some(former) = kept.replace(started) {
                                self.part(former).await;
                            }
                            return Err(order);
                        }
                        _ = started.running.child.wait() => {
                            // The node knows of no other one any more.
                            if let Some(former) = kept.take() {
                                self.part(former).await;
                            }
                            anyhow!("it ended as soon as it was ready")
                        }
                    }
                }
                Err(error) => {
                    board.failed(number);
                    error
                }
            };
            if kept.is_some() {
                let text = "a tenant's process is not replaced, and goes on";
                tracing::error!(tenant = self.name, "{text}: {error:#}");
                return Ok(None);
            }
            let pause = watch.dead();
            tracing::error!(
                tenant = self.name,
                ?pause,
                "a tenant's process does not start: {error:#}"
            );
            if let Some(order) = self.pause(pause).await {
                return Err(order);
            }
        }
    }

    /// Has a process end what it does, while another one has its requests. Returns once it takes no more
    /// events.
    async fn part(&mut self, mut former: Kept) {
        let _ = former.channel.send(&Message::Leave, None);
        former.running.until_left().await;
        let grace = self.launcher.times.grace;
        self.leaving.spawn(async move { former.running.ended_after(grace).await });
    }

    /// Waits until the node leads requests to the process that is ready.
    async fn led(&mut self) -> Result<(), Order> {
        loop {
            match self.orders.recv().await.unwrap_or(Order::End) {
                Order::Led => return Ok(()),
                Order::Replace => {}
                order => return Err(order),
            }
        }
    }

    /// Waits until there is to be no process.
    async fn last(&mut self) -> Order {
        loop {
            match self.orders.recv().await.unwrap_or(Order::End) {
                Order::Led | Order::Replace => {}
                order => return order,
            }
        }
    }

    /// Waits a while; an order, if there is to be no process before that is over.
    async fn pause(&mut self, pause: Duration) -> Option<Order> {
        tokio::select! {
            () = sleep(pause) => None,
            order = self.last() => Some(order),
        }
    }
}

/// Starts a tenant's process, and has the node answer it.
async fn begin(launcher: &Launcher, board: &Board, number: u64) -> Result<Kept> {
    let (channel, theirs) = Channel::new()?;
    let more = ["--tenant-number".into(), number.to_string().into()];
    let running = launcher.start(ROLE, &more, theirs, is_for_tenants)?;
    board.comes(number, channel.copy()?);
    let running = running.until_ready(ROLE).await?;
    Ok(Kept { running, channel })
}

/// What the role of a tenant's process is called.
const ROLE: &str = "own";
