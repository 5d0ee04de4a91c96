//! An event of a trigger, the way that `dayfly send` gives one.

use std::time::Duration;

use anyhow::{Result, bail};
use dayfly_capabilities::queue;
use dayfly_model::TriggerKind;
use dayfly_model::test_file::Event;

use super::Outcome;
use crate::rehearsal::content;
use crate::rehearsal::stage::Stage;

/// How often is looked for what became of it.
const LOOK: Duration = Duration::from_millis(2);

/// Sends an event, and waits until it is handled or given up.
pub(super) async fn send(stage: &Stage<'_>, event: &Event) -> Result<Outcome> {
    let trigger = find(stage, &event.trigger)?;
    let data = event.data.as_ref().map(content::bytes).transpose()?.unwrap_or_default();
    let content = queue::Content {
        attributes: event.attributes.clone(),
        content_type: event.content_type.clone(),
        data: data.into(),
    };
    let id = stage.queues.send(trigger, content).await?;
    loop {
        match stage.queues.outcome(id).await? {
            Some(queue::Outcome::Answered(answer)) => {
                let body = Some(answer.data.to_vec());
                return Ok(Outcome { body, ..Outcome::default() });
            }
            Some(queue::Outcome::GivenUp(error)) => bail!("{error}"),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The id of the trigger of that name, or of the one that alone wakes the component of that name.
fn find(stage: &Stage<'_>, name: &str) -> Result<String> {
    let triggers = &stage.app.triggers;
    let events = || triggers.iter().filter(|it| matches!(it.kind, TriggerKind::Event(_)));
    if events().any(|trigger| trigger.id == name) {
        return Ok(name.to_owned());
    }
    let wakes = |kind: &TriggerKind| kind.component().is_some_and(|component| component.0 == name);
    let mut woken = events().filter(|trigger| wakes(&trigger.kind));
    match (woken.next(), woken.next()) {
        (Some(one), None) => Ok(one.id.clone()),
        (Some(_), Some(_)) => {
            let ids: Vec<_> = events().filter(|it| wakes(&it.kind)).map(|it| &*it.id).collect();
            bail!("several triggers wake `{name}`: {}", ids.join(", "))
        }
        (None, _) => {
            let ids: Vec<_> = events().map(|trigger| &*trigger.id).collect();
            let has = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
            bail!("no trigger of events has the id `{name}`, or wakes `{name}`; the app has {has}")
        }
    }
}
