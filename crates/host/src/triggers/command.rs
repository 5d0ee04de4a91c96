//! The command trigger: commands that run once when the app starts, in the manifest's order, on this
//! process's standard streams. The first that fails is the last that runs, and ends the app.

use std::sync::Arc;
use std::time::Duration;

use dayfly_model::TriggerKind;

use super::{Setting, Trigger, TriggerType};
use crate::dispatch::{ActivateError, ComponentHost, Ended};
use crate::server::shutdown::Phase;
use crate::{Outcome, ServeError, Shutdown};

/// This trigger's line in the registry.
pub(super) const TRIGGER: TriggerType = TriggerType { name: "command", start };

/// What the process ends with when a command trapped or was stopped at a limit, as `dayfly run` has
/// it: what a shell says of a process that aborted.
const STOPPED: u8 = 134;

struct Commands {
    commands: Vec<Command>,
    grace: Duration,
}

struct Command {
    host: Arc<ComponentHost>,
    /// The component's name first, as Spin's plugin has it.
    arguments: Vec<String>,
}

fn start(setting: &Setting<'_>) -> Result<Option<Box<dyn Trigger>>, ActivateError> {
    let Setting { app, components, config, .. } = *setting;
    let commands = app.triggers.iter().filter_map(|trigger| match &trigger.kind {
        TriggerKind::Command(command) => Some(command),
        _ => None,
    });
    let commands = commands.map(|command| {
        let host = components.find(&command.component, &command.executor, &[])?;
        let name = std::iter::once(&command.component.0);
        let arguments = name.chain(&command.arguments).chain(&config.arguments).cloned().collect();
        Ok(Command { host, arguments })
    });
    let commands = commands.collect::<Result<Vec<_>, ActivateError>>()?;
    let grace = config.http.grace;
    let is_there = !commands.is_empty();
    Ok(is_there.then(|| Box::new(Commands { commands, grace }) as Box<dyn Trigger>))
}

impl Trigger for Commands {
    /// Nothing: standard output is the commands'.
    fn describe(&self) -> Vec<String> {
        Vec::new()
    }

    fn run(self: Box<Self>, shutdown: Shutdown) -> Result<Outcome, ServeError> {
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
                status = self.in_turn(&shutdown) => Outcome { unfinished: 0, status },
                () = stopped => Outcome { unfinished: 1, status: STOPPED },
            }
        });
        // A thread that still waits for standard input must not keep the process.
        runtime.shutdown_background();
        Ok(outcome)
    }
}

impl Commands {
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
