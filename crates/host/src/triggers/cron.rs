//! The cron trigger: events at times of a schedule. When the clock jumps, what it jumps over counts as
//! missed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use dayfly_model::EventSource;
use dayfly_model::events::CronSource;

use super::SourceType;
use super::consumer::folder_name;
use crate::dispatch::ActivateError;
use crate::events::{Courier, Event, Opening, Running, Settled, Source};

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "cron", open };

/// The longest sleep: a clock that jumps is noticed after so long.
const LOOK: Duration = Duration::from_secs(10);

/// What is due for longer was missed.
const LATE: Duration = Duration::from_secs(60);

struct Cron {
    source: CronSource,
    trigger: String,
    notes: Arc<Notes>,
}

/// Where it is noted when the last event was due that was handled, for schedules that make up for those
/// that were missed.
struct Notes {
    path: PathBuf,
    are_kept: bool,
}

fn open(
    id: &str,
    source: &EventSource,
    opening: &Opening<'_>,
) -> Result<Box<dyn Source>, ActivateError> {
    let EventSource::Cron(source) = source else {
        return Err(ActivateError::Event("no schedule".to_owned()));
    };
    let path = opening.backends.state.join("cron").join(folder_name(id));
    let notes = Arc::new(Notes { path, are_kept: source.makes_up });
    Ok(Box::new(Cron { source: source.clone(), trigger: id.to_owned(), notes }))
}

impl Source for Cron {
    fn describe(&self) -> String {
        format!("cron {}", self.source.schedule)
    }

    fn sample(&self) -> Event {
        let mut event = Event::new("/cron", "dayfly.cron", Bytes::new());
        event.subject = Some(self.trigger.clone());
        event
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move {
            let ending = courier.ending();
            tokio::select! {
                () = self.keep_time(&courier) => {}
                () = ending.came() => {}
            }
        })
    }
}

impl Cron {
    async fn keep_time(&self, courier: &Arc<Courier>) {
        let mut last = DateTime::<Utc>::from(courier.reached());
        if self.source.makes_up {
            match self.notes.noted() {
                Some(noted) => last = noted,
                None => self.notes.note(last),
            }
        }
        // Events of this trigger that are under way, if they may not overlap.
        let running = Arc::new(tokio::sync::Semaphore::new(1));
        while let Some(step) = step(&self.source, &mut last, Utc::now()) {
            let due = match step {
                Step::Wait(wait) => {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Step::PutBack => {
                    let trigger = &*self.trigger;
                    tracing::warn!(
                        trigger,
                        "the clock was put back: times are counted from it anew"
                    );
                    continue;
                }
                Step::Missed(due) => {
                    tracing::warn!(trigger = self.trigger, %due, "a scheduled event was missed");
                    courier.reach(last.into());
                    continue;
                }
                Step::Wake(due) => due,
            };
            let permit = match self.source.overlaps {
                true => None,
                false => match running.clone().try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_) => {
                        let trigger = &*self.trigger;
                        tracing::warn!(trigger, %due, "skipped: the handler of the last event still runs");
                        courier.reach(due.into());
                        continue;
                    }
                },
            };
            self.wake(courier, due, permit);
        }
        tracing::info!(trigger = self.trigger, "the schedule is over: nothing is due any more");
        std::future::pending().await
    }

    fn wake(
        &self,
        courier: &Arc<Courier>,
        due: DateTime<Utc>,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) {
        let mut event = self.sample();
        event.id = format!("{}@{}", self.trigger, due.to_rfc3339());
        event.time = SystemTime::from(due);
        let (courier, jitter, notes) = (courier.clone(), self.source.jitter, self.notes.clone());
        tokio::spawn(async move {
            let ending = courier.ending();
            if !jitter.is_zero() && ending.within(random_part(jitter)).await {
                return;
            }
            let Some(leave) = courier.leave_to_begin().await else { return };
            courier.reach(due.into());
            courier.bring(leave, event.into(), async move |settled| {
                if settled != Settled::Back {
                    notes.note(due);
                }
                drop(permit);
            });
        });
    }
}

/// What is next by a schedule.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is due yet.
    Wait(Duration),
    /// The clock was put back by more than what counts as late.
    PutBack,
    /// An event was due for too long.
    Missed(DateTime<Utc>),
    /// An event is due, or makes up for those that were.
    Wake(DateTime<Utc>),
}

/// What is next after what was due last; nothing if nothing is ever due again.
fn step(source: &CronSource, last: &mut DateTime<Utc>, now: DateTime<Utc>) -> Option<Step> {
    if (*last - now).to_std().unwrap_or_default() > LATE {
        // What was due meanwhile comes again: waiting for the old time might take for ever.
        *last = now;
        return Some(Step::PutBack);
    }
    let due = source.schedule.next_after(*last)?;
    if let Ok(wait) = (due - now).to_std()
        && !wait.is_zero()
    {
        return Some(Step::Wait(wait.min(LOOK)));
    }
    let late = (now - due).to_std().unwrap_or_default() > LATE;
    // One makes up for all.
    *last = if late { now } else { due };
    Some(if late && !source.makes_up { Step::Missed(due) } else { Step::Wake(*last) })
}

impl Notes {
    /// What was noted last, by whichever process.
    fn noted(&self) -> Option<DateTime<Utc>> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        Some(DateTime::parse_from_rfc3339(text.trim()).ok()?.with_timezone(&Utc))
    }

    fn note(&self, due: DateTime<Utc>) {
        // A note of the future is of a clock that was put back.
        let is_later = |noted: DateTime<Utc>| noted > due && noted <= Utc::now();
        if !self.are_kept || self.noted().is_some_and(is_later) {
            return;
        }
        let written = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
        // No trigger's own name begins so.
        let hash = blake3::hash(self.path.as_os_str().as_encoded_bytes()).to_hex();
        let new = self.path.with_file_name(format!("%n{hash}"));
        let written = written
            .and_then(|()| std::fs::write(&new, due.to_rfc3339()))
            .and_then(|()| std::fs::rename(&new, &self.path));
        if let Err(error) = written {
            tracing::warn!(%error, "when an event came cannot be noted");
        }
    }
}

/// A random part of a time.
fn random_part(time: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u64_pair().0 >> 32;
    time.mul_f64(f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dayfly_model::events::Schedule;

    use super::*;

    #[test]
    fn a_random_part_is_a_part() {
        let most = Duration::from_secs(10);
        let drawn: Vec<Duration> = (0..100).map(|_| random_part(most)).collect();
        assert!(drawn.iter().all(|part| *part <= most));
        assert!(drawn.iter().any(|part| *part < most / 2));
        assert!(drawn.iter().any(|part| *part > most / 2));
        assert!(drawn.iter().collect::<BTreeSet<_>>().len() > 90);
    }

    #[test]
    fn notes_of_triggers_lie_apart() {
        let folder = tempfile::tempdir().unwrap();
        let notes = |id: &str| Notes { path: folder.path().join(folder_name(id)), are_kept: true };
        let (hours, day) = ([1, 2, 3], "2026-01-01");
        for (id, hour) in ["a.b", "a_b", "a/b"].into_iter().zip(hours) {
            notes(id).note(at(hour, 0));
        }
        for (id, hour) in ["a.b", "a_b", "a/b"].into_iter().zip(hours) {
            let noted = notes(id).noted().unwrap().to_rfc3339();
            assert_eq!(noted, format!("{day}T0{hour}:00:00+00:00"), "{id}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    fn hourly(makes_up: bool) -> CronSource {
        let schedule = Schedule::parse("0 * * * *", None).unwrap();
        CronSource { schedule, jitter: Duration::ZERO, makes_up, overlaps: false }
    }

    fn at(hour: u32, minute: u32) -> DateTime<Utc> {
        let time = format!("2026-01-01T{hour:02}:{minute:02}:00Z");
        DateTime::parse_from_rfc3339(&time).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn an_event_is_due_once() {
        let (source, mut last) = (hourly(false), at(8, 30));
        assert_eq!(step(&source, &mut last, at(8, 59)), Some(Step::Wait(LOOK)));
        assert_eq!(step(&source, &mut last, at(9, 0)), Some(Step::Wake(at(9, 0))));
        assert_eq!(step(&source, &mut last, at(9, 0)), Some(Step::Wait(LOOK)));
    }

    #[test]
    fn what_a_clock_jumps_over_was_missed() {
        let (source, mut last) = (hourly(false), at(8, 30));
        assert_eq!(step(&source, &mut last, at(12, 30)), Some(Step::Missed(at(9, 0))));
        assert_eq!(step(&source, &mut last, at(12, 30)), Some(Step::Wait(LOOK)));
        assert_eq!(step(&source, &mut last, at(13, 0)), Some(Step::Wake(at(13, 0))));
        let (source, mut last) = (hourly(true), at(8, 30));
        assert_eq!(step(&source, &mut last, at(12, 30)), Some(Step::Wake(at(12, 30))));
        assert_eq!(step(&source, &mut last, at(12, 30)), Some(Step::Wait(LOOK)));
    }

    #[test]
    fn a_clock_that_is_put_back_stops_nothing() {
        let (source, mut last) = (hourly(false), at(9, 0));
        // By a little: what came does not come again.
        let little = at(9, 0) - Duration::from_secs(30);
        assert_eq!(step(&source, &mut last, little), Some(Step::Wait(LOOK)));
        assert_eq!(step(&source, &mut last, at(9, 0)), Some(Step::Wait(LOOK)));
        assert_eq!(step(&source, &mut last, at(3, 30)), Some(Step::PutBack));
        assert_eq!(step(&source, &mut last, at(4, 0)), Some(Step::Wake(at(4, 0))));
    }
}
