//! Tests of an app, as `dayfly test` runs them: each with a host, a state folder and a world outside of its
//! own. What they say is read by the model; here it happens, and is looked at.

mod act;
pub(crate) mod causes;
mod content;
mod expect;
mod json;
mod matching;
mod models;
mod recorder;
mod stage;
pub(crate) mod verdict;

use std::time::Instant;

use anyhow::{Context as _, Result};
use dayfly_model::test_file::{Setup, Test};
use tokio::net::TcpListener;
use tokio::time::{Instant as Deadline, timeout_at};

use act::Actor;
use expect::Looking;
use matching::Mismatch;
use stage::Stage;
pub(crate) use stage::{Company, INSTANCES};
use verdict::{Failure, Verdict};

/// Runs a test to its end, on this thread and those of its host.
pub(crate) fn run(company: &Company, file: &str, test: &Test) -> Verdict {
    let began = Instant::now();
    let mut verdict = Verdict::new(file, test);
    match perform(company, test, &mut verdict) {
        Ok(()) => {}
        Err(error) => verdict.failures.push(Failure {
            title: "setup".to_owned(),
            place: test.place.clone(),
            mismatches: vec![Mismatch::error("it", &error)],
        }),
    }
    verdict.took = began.elapsed();
    verdict
}

fn perform(company: &Company, test: &Test, verdict: &mut Verdict) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let models = match test.setup.llm.is_empty() {
        true => None,
        false => Some(runtime.block_on(TcpListener::bind("127.0.0.1:0"))?),
    };
    let address = models.as_ref().map(TcpListener::local_addr).transpose()?;
    let stage = Stage::set(company, &test.setup, address)?;
    runtime.block_on(async {
        if let Some(listener) = models {
            tokio::spawn(models::serve(listener, test.setup.llm.clone()));
        }
        steps(&stage, test, verdict).await;
    });
    // A look-up of a name may hang.
    runtime.shutdown_background();
    verdict.log = stage.seen.lines();
    Ok(())
}

/// Does one step after the other, until one does not bring what is expected.
async fn steps(stage: &Stage<'_>, test: &Test, verdict: &mut Verdict) {
    let until = Deadline::now() + test.timeout;
    let mut actor = Actor::new(stage);
    for step in &test.steps {
        let since = stage.seen.mark();
        let done = async {
            let outcome = actor.act(step).await;
            Looking { stage, step, outcome: &outcome, since }.mismatches().await
        };
        let mismatches = match timeout_at(until, done).await {
            Ok(mismatches) => mismatches,
            Err(_) => vec![Mismatch {
                what: "time".to_owned(),
                expected: format!("the test to end within {:?}", test.timeout),
                got: "it was still in this step".to_owned(),
            }],
        };
        if !mismatches.is_empty() {
            let (title, place) = (act::title(step), step.place.clone());
            verdict.failures.push(Failure { title, place, mismatches });
            return;
        }
    }
}

/// Stores what a test begins with.
async fn store(setup: &Setup, stores: &dayfly_capabilities::key_value::Stores) -> Result<()> {
    for (label, pairs) in &setup.key_values {
        for (key, value) in pairs {
            let stored = stores.set(label, key, content::bytes(value)?).await;
            stored.with_context(|| format!("failed to store key `{key}`"))?;
        }
    }
    Ok(())
}
