//! From a change of what is active to its being served: waits for the node, and puts back what was
//! active before where it cannot be.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use dayfly_api::{Activate, Activation, AppId, Rollback, ServingState};

use super::{Session, failed};
use crate::report;

/// How often is asked, at first and at last.
const PACE: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_secs(1);

/// How long is waited where nobody says for how long.
const SETTLE: Duration = Duration::from_secs(60);

/// How a wait ended.
pub(crate) enum Outcome {
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
pub(crate) fn wait(
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
    pub(crate) fn served(self, app: &AppId) -> Result<Activation> {
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
pub(crate) fn put_back(
    session: &Session,
    app: &AppId,
    before: &Activation,
    now: u64,
) -> Result<Activation> {
    let doing = || format!("roll `{}` back", app.app);
    if let [share] = &*before.shares {
        let to = Rollback { to: Some(share.release.clone()) };
        let back = session.client.roll_back(app, &to, Some(now));
        return back.map_err(|error| failed(error, doing()));
    }
    // All of the traffic for the first, and then of that the others' shares. They had what they ask
    // for, so nothing new is accepted.
    let (mut back, mut generation) = (before.clone(), now);
    for (index, share) in before.shares.iter().enumerate() {
        let percent = if index == 0 { 100 } else { share.percent };
        let share = Activate { release: share.release.clone(), percent, accept: true };
        let done = session.client.activate(app, &share, Some(generation));
        back = done.map_err(|error| failed(error, doing()))?;
        generation = back.generation;
    }
    Ok(back)
}
