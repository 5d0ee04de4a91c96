//! What a build did: for each component what each phase made of it, how long an instance takes to start
//! after it, and what it may touch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, anyhow};
use dayfly_capabilities::wasi::Folders;
use dayfly_engine::{Digest, Engine};
use dayfly_forge::fetch::Fetched;
use dayfly_forge::{Freezer, Job, Observer, Phase, PhaseReport, shape};
use dayfly_model::{App, Component, ComponentId, Executor, HandlerShape};
use serde_json::{Value, json};

use super::commands::Ran;
use super::{measure, touch};
use crate::app::{self, Target};
use crate::source::{self, freeze_terms, is_frozen, optimise_terms};
use crate::{oneshot, report};

/// What a build did.
pub(super) struct Summary {
    app: String,
    ran: Ran,
    pub(super) components: Vec<Made>,
    failed: bool,
}

/// What became of one component.
pub(super) struct Made {
    pub(super) id: String,
    /// How it takes events, if it does.
    pub(super) shape: Option<HandlerShape>,
    pub(super) phases: Vec<Step>,
    pub(super) touches: Vec<(&'static str, Vec<String>)>,
    /// Bytes of machine code.
    pub(super) code_bytes: u64,
}

/// A phase, and what an instance takes to start after it.
pub(super) struct Step {
    pub(super) report: PhaseReport,
    pub(super) start: Option<Duration>,
}

impl Summary {
    pub(super) fn new(app: &App, ran: Ran) -> Self {
        let failed = ran.works.iter().any(|(_, built)| !built.is_done());
        Self { app: app.name.clone(), ran, components: Vec::new(), failed }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Says that no component is made.
    pub(super) fn refuse(&mut self) {
        let failed = self.ran.works.iter().filter(|(_, built)| !built.is_done()).count();
        report::warn(format_args!(
            "{failed} of {} builds failed, so no component is made",
            self.ran.works.len()
        ));
    }

    pub(super) fn json(&self) -> Value {
        let builds = self.ran.works.iter().map(|(work, built)| {
            json!({
                "components": work.components.iter().map(|id| &id.0).collect::<Vec<_>>(),
                "commands": work.commands,
                "ok": built.is_done(),
                "outcome": built.outcome.to_string(),
                "took_ms": millis(built.took),
                "output": built.output,
            })
        });
        json!({
            "ok": !self.failed,
            "app": self.app,
            "builds": builds.collect::<Vec<_>>(),
            "components": self.components.iter().map(Made::json).collect::<Vec<_>>(),
        })
    }
}

impl Made {
    fn json(&self) -> Value {
        let phases = self.phases.iter().map(|Step { report, start }| {
            json!({
                "phase": report.phase.to_string(),
                "changed": report.changed,
                "bytes": report.bytes,
                "took_ms": millis(report.took),
                "start_us": start.map(|start| start.as_secs_f64() * 1e6),
                "note": report.note,
            })
        });
        let touches = self.touches.iter();
        json!({
            "id": self.id,
            "shape": self.shape.map(HandlerShape::interface),
            "phases": phases.collect::<Vec<_>>(),
            "code_bytes": self.code_bytes,
            "touches": touches.map(|(key, of)| ((*key).to_owned(), json!(of))).collect::<serde_json::Map<_, _>>(),
        })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What makes components.
pub(super) struct Forge<'a> {
    pub(super) app: &'a App,
    pub(super) fetched: &'a Fetched,
    pub(super) engine: &'a Engine,
}

impl Forge<'_> {
    /// Makes all components that are wanted. One that cannot be made is told, and the others go on.
    ///
    /// # Errors
    /// If there is no place to work in.
    pub(super) fn all(
        &self,
        summary: &mut Summary,
        wanted: impl Fn(&ComponentId) -> bool,
        measures: bool,
    ) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        for target in self.targets() {
            if !wanted(target.component) {
                continue;
            }
            match self.one(target, scratch.path(), measures) {
                Ok(made) => summary.components.push(made),
                Err(error) => {
                    report::print(&error);
                    summary.failed = true;
                }
            }
        }
        Ok(())
    }

    /// What triggers wake, and components that none does, unless they are parts of others.
    fn targets(&self) -> Vec<Target<'_>> {
        let mut targets = app::targets(self.app);
        let idle = self.app.components.keys().filter(|id| {
            targets.iter().all(|it| it.component != *id) && self.app.composed().all(|it| it != *id)
        });
        let alone =
            |component| Target { component, executor: &Executor::Detected, middleware: &[] };
        let idle: Vec<_> = idle.map(alone).collect();
        targets.extend(idle);
        targets
    }

    fn one(&self, target: Target<'_>, scratch: &std::path::Path, measures: bool) -> Result<Made> {
        let Target { component: id, executor, middleware } = target;
        let component = self.app.components.get(id).ok_or_else(|| {
            anyhow!("a trigger names component `{id}`, which the app does not have")
        })?;
        report::note("Making", id);
        let folders = Folders::of(component, &self.app.root, scratch)?;
        let freezing = is_frozen(component).then(|| freeze_terms(component, &folders));
        let optimising = optimise_terms(component);
        let steps = Steps::new(self.engine, component, measures);
        let observe = |report: &PhaseReport, wasm: &[u8]| steps.take(report, wasm);
        let job = source::job(self.app, component, executor, middleware, self.fetched);
        let job = Job {
            freezer: freezing.as_ref().map(|terms| Freezer { engine: self.engine, terms, scratch }),
            optimiser: optimising
                .as_ref()
                .map(|terms| source::optimiser(self.engine, terms, self.fetched)),
            observer: Some(Observer(&observe)),
            ..job
        };
        let made = dayfly_forge::prepare_unshaped(&job).map_err(|error| {
            let hint = error.hint();
            report::hint(error, hint)
        })?;
        let shape = match executor {
            Executor::Wagi { .. } => shape::detect_command(&made.world),
            Executor::Detected => shape::detect_shape(&made.world),
        };
        let code = oneshot::load(self.engine, &made.wasm, &component.limits)?;
        Ok(Made {
            id: id.to_string(),
            shape: shape.ok(),
            phases: steps.finish(),
            touches: touch::of(component, &made.world),
            code_bytes: code.artifact_bytes(),
        })
    }
}

/// The phases of one component, as they are done.
struct Steps<'a> {
    engine: &'a Engine,
    component: &'a Component,
    measures: bool,
    steps: RefCell<Vec<Step>>,
    /// What was measured, by what was.
    measured: RefCell<HashMap<Digest, Option<Duration>>>,
}

impl<'a> Steps<'a> {
    fn new(engine: &'a Engine, component: &'a Component, measures: bool) -> Self {
        Self {
            engine,
            component,
            measures,
            steps: RefCell::default(),
            measured: RefCell::default(),
        }
    }

    fn take(&self, report: &PhaseReport, wasm: &[u8]) {
        let mut steps = self.steps.borrow_mut();
        let is_before_freezing =
            is_frozen(self.component) && steps.iter().all(|it| it.report.phase != Phase::Freeze);
        if let Some(spared) = report.spared {
            // What is frozen away: until here it was part of each start.
            for step in steps.iter_mut() {
                step.start = Some(spared);
            }
        }
        let is_measured = self.measures
            && is_component(wasm)
            && (!is_before_freezing || report.phase == Phase::Freeze);
        let start = if is_measured { self.start(wasm) } else { None };
        steps.push(Step { report: report.clone(), start });
    }

    fn start(&self, wasm: &[u8]) -> Option<Duration> {
        let measure = || measure::start(self.engine, wasm, &self.component.limits).ok();
        *self.measured.borrow_mut().entry(Digest::of(wasm)).or_insert_with(measure)
    }

    fn finish(self) -> Vec<Step> {
        self.steps.into_inner()
    }
}

/// Whether the bytes are those of a component rather than of a core module.
fn is_component(wasm: &[u8]) -> bool {
    wasm.get(4..8) == Some(&[0x0d, 0, 1, 0])
}
