//! From a change of what is active to its being served: waits for the node, and puts back what was
//! active before where it cannot be.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use dayfly_api::{Activate, Activation, AppId, Rollback, ServingState};

use super::{Session, failed};
use crate::report;

/// How often is asked, at first and at last: the node is woken by what it is to serve.
const PACE: Duration = Duration::from_millis(10);
const SLOWEST: Duration = Duration::from_secs(1);

/// How long is waited where nobody says for how long.
const SETTLE: Duration = Duration::from_secs(60);

/// How a wait ended.
enum Outcome {
    /// It is served.
    Serving(Activation),
    /// It cannot be, for this reason.
    Failed(String),
    /// Nobody served it in time.
    Late(Duration),
    /// Somebody else has activated something else meanwhile.
    Superseded,
}

/// Waits until what is active is served.
///
/// # Errors
/// If the platform cannot be asked.
fn wait(
    session: &Session,
    app: &AppId,
    activation: Activation,
    patience: Duration,
) -> Result<Outcome> {
    let shares = activation.shares.clone();
    let (mut now, began, mut pace) = (activation, Instant::now(), PACE);
    loop {
        if now.shares != shares {
            return Ok(Outcome::Superseded);
        }
        match now.state {
            ServingState::Serving => return Ok(Outcome::Serving(now)),
            ServingState::Failed => {
                let reason = now.error.as_deref().unwrap_or("the node does not say why");
                return Ok(Outcome::Failed(reason.to_owned()));
            }
            ServingState::Pending | ServingState::Idle => {}
        }
        if began.elapsed() >= patience {
            return Ok(Outcome::Late(patience));
        }
        thread::sleep(pace);
        pace = (pace * 3 / 2).min(SLOWEST);
        now = session
            .client
            .activation(app)
            .map_err(|error| failed(error, format!("ask whether `{}` is served", app.app)))?;
    }
}

impl Outcome {
    /// What is served, or why nothing new is.
    ///
    /// # Errors
    /// If it is not served.
    fn served(self, app: &AppId) -> Result<Activation> {
        let name = &app.app;
        match self {
            Self::Serving(activation) => Ok(activation),
            Self::Failed(reason) => {
                Err(anyhow!("{reason}").context(format!("the node cannot serve `{name}`")))
            }
            Self::Late(patience) => Err(report::hint(
                anyhow!("the node does not serve `{name}` after {patience:?}"),
                Some("does it run? `--timeout` waits for longer"),
            )),
            Self::Superseded => Err(report::hint(
                anyhow!("somebody else has activated another release of `{name}` meanwhile"),
                Some(format!("`dayfly releases {name}` shows what is active")),
            )),
        }
    }
}

/// Waits until what is active is served; if that does not come, what was active before is again.
///
/// # Errors
/// If it is not served, with what came of that, or the platform cannot be asked.
pub(crate) fn take_effect(
    session: &Session,
    app: &AppId,
    active: Activation,
    before: &Activation,
    patience: Duration,
) -> Result<Activation> {
    let now = active.generation;
    let outcome = wait(session, app, active, patience)?;
    let does_not = matches!(outcome, Outcome::Failed(_) | Outcome::Late(_));
    match outcome.served(app) {
        Err(error) if does_not && now != before.generation => {
            Err(undone(session, app, before, now, error))
        }
        served => served,
    }
}

/// Puts back what was active before; the error with what came of that.
fn undone(
    session: &Session,
    app: &AppId,
    before: &Activation,
    now: u64,
    error: anyhow::Error,
) -> anyhow::Error {
    let name = &app.app;
    if before.shares.is_empty() {
        let hint = format!(
            "no release of `{name}` was active before, so this one stays, and is tried again when \
             anything changes: `dayfly env {name}` and `dayfly secrets {name}` set what it may lack"
        );
        return report::hint(error, Some(hint));
    }
    match put_back(session, app, before, now) {
        Ok(_) => {
            let text = format!("`{name}` was rolled back: what was active before is active again");
            error.context(text)
        }
        Err(failure) => {
            report::print(&failure);
            let hint = format!("`dayfly rollback {name}` activates the former release");
            report::hint(error.context(format!("`{name}` could not be rolled back")), Some(hint))
        }
    }
}

/// Waits until what is active is served, and leaves it active if it is not.
///
/// # Errors
/// If it is not served in time, or cannot be, or the platform cannot be asked.
pub(crate) fn served(
    session: &Session,
    app: &AppId,
    active: Activation,
    patience: Duration,
) -> Result<Activation> {
    wait(session, app, active, patience)?.served(app)
}

/// Waits until what an app is told is what its guests are told, if it is active.
///
/// # Errors
/// If it cannot be served so, or the platform cannot be asked.
pub(crate) fn settle(session: &Session, app: &AppId, activation: Activation) -> Result<Activation> {
    if activation.shares.is_empty() {
        return Ok(activation);
    }
    let settled = wait(session, app, activation, SETTLE)?.served(app);
    settled.map_err(|error| error.context("it is changed, and what was served before still is"))
}

/// Makes active again what was before, unless somebody has changed the app since. `now` is the
/// generation that does not do.
///
/// # Errors
/// If the platform does not.
fn put_back(session: &Session, app: &AppId, before: &Activation, now: u64) -> Result<Activation> {
    let doing = || format!("roll `{}` back", app.app);
    // All of the traffic for the first, and then of that the others' shares. They had what they ask
    // for, so nothing new is accepted.
    let mut shares = before.shares.iter();
    let to = Rollback { to: shares.next().map(|share| share.release.clone()), failed: true };
    let back = session.client.roll_back(app, &to, Some(now));
    let mut back = back.map_err(|error| failed(error, doing()))?;
    for share in shares {
        let (release, percent) = (share.release.clone(), share.percent);
        let share = Activate { release, percent, accept: true, health_path: None };
        let done = session.client.activate(app, &share, Some(back.generation));
        back = done.map_err(|error| failed(error, doing()))?;
    }
    Ok(back)
}
