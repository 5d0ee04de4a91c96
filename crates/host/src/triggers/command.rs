//! The command trigger: commands that run once when the app starts, in the manifest's order, on this
//! process's standard streams. The first that fails is the last that runs, and ends the app.

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::{App, TriggerKind};

use crate::dispatch::{ActivateError, ComponentHost, Ended, Index};
use crate::server::shutdown::Phase;
use crate::{Outcome, ServeError, Shutdown};

/// Its name behind `trigger.` in the manifest.
pub(super) const NAME: &str = "command";

/// What the process ends with when a command trapped or was stopped at a limit, as `dayfly run` has
/// it: what a shell says of a process that aborted.
const STOPPED: u8 = 134;

/// The commands of an app, ready to run.
pub(crate) struct Commands {
    commands: Vec<Command>,
    grace: Duration,
}

struct Command {
    host: Arc<ComponentHost>,
    /// The component's name first, as Spin's plugin has it.
    arguments: Vec<String>,
}

impl Commands {
    /// The commands of an app, behind whose own arguments come `arguments`; `None` if it has none.
    pub(crate) fn of(
        app: &App,
        components: &Index<'_>,
        (arguments, grace): (&[String], Duration),
    ) -> Result<Option<Self>, ActivateError> {
        let commands = app.triggers.iter().filter_map(|trigger| match &trigger.kind {
            TriggerKind::Command(command) => Some(command),
            _ => None,
        });
        let commands = commands.map(|command| {
            let host = components.find(&command.component, &command.executor, &[])?;
            let name = std::iter::once(&command.component.0);
            let arguments = name.chain(&command.arguments).chain(arguments).cloned().collect();
            Ok(Command { host, arguments })
        });
        let commands = commands.collect::<Result<Vec<_>, ActivateError>>()?;
        Ok((!commands.is_empty()).then_some(Self { commands, grace }))
    }

    /// Runs them until the last has ended or the shutdown is over; the calling thread waits.
    pub(crate) fn run(self, shutdown: &Shutdown) -> Result<Outcome, ServeError> {
        // A guest that computes comes back at each tick: what waits for time must be looked at then.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build();
        let runtime = runtime.map_err(ServeError::Start)?;
        let mut watch = shutdown.watch();
        let outcome = runtime.block_on(async {
            let stopped = async {
                watch.reached(Phase::Draining).await;
                let _ = tokio::time::timeout(self.grace, watch.reached(Phase::Ending)).await;
            };
            tokio::select! {
                status = self.in_turn(shutdown) => Outcome { unfinished: 0, status },
                () = stopped => Outcome { unfinished: 1, status: STOPPED },
            }
        });
        // A thread that still waits for standard input must not keep the process.
        runtime.shutdown_background();
        Ok(outcome)
    }

    /// Runs the commands one after the other; what the last ended with.
    async fn in_turn(&self, shutdown: &Shutdown) -> u8 {
        for Command { host, arguments } in &self.commands {
            if shutdown.is_started() {
                return STOPPED;
            }
            match host.run_once(arguments.clone()).await {
                Ended::Status(0) => {}
                Ended::Status(status) => return status,
                Ended::Stopped(error) => {
                    tracing::error!(component = host.name(), error, "the command was stopped");
                    return STOPPED;
                }
            }
        }
        0
    }
}
