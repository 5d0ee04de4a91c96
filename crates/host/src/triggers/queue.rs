//! The queue trigger: messages of a queue that Dayfly itself keeps. A message is gone from the file
//! once its handler succeeded; what this process leaves behind is taken again by the next.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dayfly_capabilities::queue::{Message, Owner};
use dayfly_model::EventSource;

use super::SourceType;
use crate::dispatch::ActivateError;
use crate::events::{Courier, Event, Leave, Opening, Parcel, Running, Settled, Source, is_ours};

/// This trigger's line in the registry.
pub(super) const SOURCE: SourceType = SourceType { name: "queue", open };

/// How often is looked for what other processes put.
const LOOK: Duration = Duration::from_millis(500);

/// How many messages are taken at once.
const TOGETHER: usize = 64;

/// How long to wait after the file failed.
const FAILED: Duration = Duration::from_secs(1);

struct Queue {
    name: String,
    owner: Arc<Owner>,
}

fn open(
    _: &str,
    source: &EventSource,
    opening: &Opening<'_>,
) -> Result<Box<dyn Source>, ActivateError> {
    let (EventSource::Queue(name), Some(owner)) = (source, opening.owner) else {
        return Err(ActivateError::Event("the queues of the app are not ours".to_owned()));
    };
    Ok(Box::new(Queue { name: name.clone(), owner: owner.clone() }))
}

impl Source for Queue {
    fn describe(&self) -> String {
        format!("queue {}", self.name)
    }

    fn sample(&self) -> Event {
        let mut event =
            Event::new(format!("/queues/{}", self.name), "dayfly.queue.message", Bytes::new());
        event.subject = Some(self.name.clone());
        event
    }

    fn run(self: Box<Self>, courier: Arc<Courier>) -> Running {
        Box::pin(async move { self.take(&courier).await })
    }
}

impl Queue {
    /// Takes messages until the end is asked for; none is taken and not brought.
    async fn take(&self, courier: &Arc<Courier>) {
        let (mut puts, ending) = (self.owner.puts(), courier.ending());
        if !is_ours(&self.owner, &ending).await {
            return;
        }
        while let Some((leave, most)) = courier.leave_for_some(TOGETHER).await {
            puts.mark_unchanged();
            let most = u32::try_from(most).unwrap_or(1);
            let (messages, due) = match self.owner.take(self.name.clone(), most).await {
                Ok(taken) => taken,
                Err(error) => {
                    let queue = &*self.name;
                    tracing::error!(queue, %error, "messages cannot be taken");
                    drop(leave);
                    ending.within(FAILED).await;
                    continue;
                }
            };
            if messages.is_empty() {
                drop(leave);
                let until = due.and_then(|due| due.duration_since(SystemTime::now()).ok());
                let until = until.unwrap_or(LOOK).min(LOOK);
                tokio::select! {
                    _ = tokio::time::timeout(until, puts.changed()) => {}
                    () = ending.came() => {}
                }
                continue;
            }
            let mut leave = Some(leave);
            for message in messages {
                let leave = match leave.take() {
                    Some(leave) => leave,
                    None => courier.leave().await,
                };
                self.bring(courier, leave, message);
            }
        }
    }

    fn bring(&self, courier: &Arc<Courier>, leave: Leave, message: Message) {
        let Message { id, attempts, content } = message;
        let mut default = self.sample();
        default.id = id.to_string();
        let event = Event::of_content(content, default);
        let owner = self.owner.clone();
        let parcel = Parcel { attempts, taken: Some(id), ..event.into() };
        courier.bring(leave, parcel, async move |settled| {
            loop {
                let noted = match settled {
                    Settled::Done | Settled::Dead => owner.done(id).await,
                    Settled::Back | Settled::Later(_) => owner.back(id).await,
                };
                let Err(error) = noted else { return };
                tracing::error!(%error, message = id, "what became of a message cannot be noted");
                tokio::time::sleep(FAILED).await;
            }
        });
    }
}
