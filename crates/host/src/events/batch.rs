//! Events that go to their handler together, in CloudEvents' JSON batch format. They succeed together;
//! if their handler fails, each is handled by itself, so that only what fails is given up.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dayfly_capabilities::queue::{MESSAGE_BYTES, MOST_HOPS};
use dayfly_model::events::{Batch, Order};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::carry::{Attempt, HOST_FAILED, Load, NotCarried};
use super::courier::Errand;
use super::metrics::Settled;
use super::{Courier, Event, Parcel};

/// The media type of several events (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
const MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// How much may be taken in before more is, in bytes.
const HELD_BYTES: usize = 64 << 20;

/// Where events wait for others.
pub(super) struct Gather {
    sender: UnboundedSender<Errand>,
    held: Arc<Held>,
}

/// The other end of it.
pub(super) struct Gathered {
    receiver: UnboundedReceiver<Errand>,
    held: Arc<Held>,
    batch: Batch,
    running: Arc<Semaphore>,
}

/// What the events that are under way take of memory.
#[derive(Default)]
struct Held {
    bytes: AtomicUsize,
    freed: Notify,
}

/// Batches, of which so many are handled at once.
pub(super) fn gather(batch: Batch, concurrency: usize) -> (Gather, Gathered) {
    let (sender, receiver) = unbounded_channel();
    let held = Arc::new(Held::default());
    let running = Arc::new(Semaphore::new(concurrency));
    (Gather { sender, held: held.clone() }, Gathered { receiver, held, batch, running })
}

impl Gather {
    /// Waits until what is under way leaves room for more.
    pub(super) async fn has_room(&self) {
        loop {
            let freed = self.held.freed.notified();
            if self.held.bytes.load(Relaxed) < HELD_BYTES {
                return;
            }
            freed.await;
        }
    }

    /// Lets an event wait for others. How many do is bounded by their leaves.
    pub(super) fn add(&self, errand: Errand) {
        self.held.bytes.fetch_add(errand.parcel.event.data.len(), Relaxed);
        // The other end is dropped last of all.
        let _ = self.sender.send(errand);
    }
}

impl Gathered {
    /// Brings batches as they get full, or old.
    pub(super) async fn run(mut self, courier: Arc<Courier>) {
        let mut first = None;
        loop {
            let next = match first.take() {
                Some(next) => Some(next),
                None => self.receiver.recv().await,
            };
            let Some(next) = next else { return };
            let (errands, left) = self.fill(&courier, next).await;
            first = left;
            // Never closed.
            let Ok(permit) = self.running.clone().acquire_owned().await else { return };
            let (held, carrier) = (self.held.clone(), courier.clone());
            courier.workers.spawn(async move {
                let bytes: usize = errands.iter().map(|it| it.parcel.event.data.len()).sum();
                carrier.see_all_through(errands).await;
                held.bytes.fetch_sub(bytes, Relaxed);
                held.freed.notify_waiters();
                drop(permit);
            });
        }
    }

    /// Waits for events that go with the first, and for one that does not fit any more. One that is at
    /// its end goes alone: a batch is as far as the furthest of its events.
    async fn fill(&mut self, courier: &Courier, first: Errand) -> (Vec<Errand>, Option<Errand>) {
        let is_at_its_end = |errand: &Errand| errand.parcel.event.hops >= MOST_HOPS;
        if is_at_its_end(&first) {
            return (vec![first], None);
        }
        let until = Instant::now() + self.batch.wait;
        let ending = courier.ending();
        let mut bytes = first.parcel.event.data.len();
        let mut errands = vec![first];
        while errands.len() < usize::try_from(self.batch.most).unwrap_or(1) {
            let next = tokio::select! {
                biased;
                next = self.receiver.recv() => next,
                () = sleep_until(until) => None,
                // Nothing more comes.
                () = ending.came() => None,
            };
            let Some(next) = next else { break };
            bytes += next.parcel.event.data.len();
            if bytes > MESSAGE_BYTES || is_at_its_end(&next) {
                return (errands, Some(next));
            }
            errands.push(next);
        }
        (errands, None)
    }
}

impl Courier {
    /// Sees events through together, and settles each.
    async fn see_all_through(&self, errands: Vec<Errand>) {
        let mut parcels = Vec::new();
        let mut ends = Vec::new();
        for Errand { leave, parcel, settle } in errands {
            parcels.push(parcel);
            ends.push((leave, settle));
        }
        let events: Vec<_> = parcels.iter().map(|it| (it.event.clone(), it.letter)).collect();
        let settled = AssertUnwindSafe(self.carry_all(parcels)).catch_unwind();
        let settled = self.cut.run_until_cancelled(settled).await;
        let settled = match settled.unwrap_or_else(|| Ok(vec![Settled::Back; events.len()])) {
            Ok(settled) => settled,
            Err(_) => self.bury_all(&events, 1, HOST_FAILED).await,
        };
        for ((leave, settle), settled) in ends.into_iter().zip(settled) {
            settle(settled).await;
            leave.settle(settled);
        }
    }

    async fn carry_all(&self, parcels: Vec<Parcel>) -> Vec<Settled> {
        let events: Vec<Event> = parcels.iter().map(|parcel| parcel.event.clone()).collect();
        if events.len() == 1 {
            return self.carry_each(parcels).await;
        }
        let taken: Vec<i64> = parcels.iter().filter_map(|parcel| parcel.taken).collect();
        let event = Event::batch(&events);
        let answered = match self.deliver(&event).await {
            Ok(answered) => answered,
            Err(Attempt::Ended | Attempt::Done) => return vec![Settled::Back; parcels.len()],
            Err(Attempt::Failed(error) | Attempt::Hopeless(error)) => {
                self.metrics.failed();
                let (trigger, aim) = (&*self.trigger, self.aim());
                let component = aim.host.name();
                let events = parcels.len();
                tracing::warn!(
                    trigger,
                    component,
                    events,
                    error,
                    "a batch was not handled: each of its events is handled by itself"
                );
                return self.carry_each(parcels).await;
            }
        };
        let load = Load { event: &event, taken: &taken, comes_again: false };
        match self.carry(load, Some(answered), 0).await {
            Ok(_) => vec![Settled::Done; parcels.len()],
            Err(NotCarried::Ended | NotCarried::Later(..)) => vec![Settled::Back; parcels.len()],
            Err(NotCarried::GivenUp { attempts, error }) => {
                let events: Vec<_> =
                    parcels.into_iter().map(|parcel| (parcel.event, parcel.letter)).collect();
                self.bury_all(&events, attempts, &error).await
            }
        }
    }

    /// Handles events each by itself.
    async fn carry_each(&self, parcels: Vec<Parcel>) -> Vec<Settled> {
        let each = parcels.into_iter().map(|parcel| self.see_surely_through(parcel));
        if self.delivery.order == Order::None {
            return join_all(each).await.into_iter().map(|seen| seen.settled).collect();
        }
        let mut settled = Vec::new();
        for one in each {
            // What comes after one that is given back is not handled before it.
            let is_over = settled.last() == Some(&Settled::Back);
            settled.push(if is_over { Settled::Back } else { one.await.settled });
        }
        settled
    }

    async fn bury_all(&self, events: &[(Event, i64)], attempts: u32, error: &str) -> Vec<Settled> {
        let mut settled = Vec::new();
        for (event, letter) in events {
            settled.push(self.bury((event, *letter), attempts, error.to_owned()).await);
        }
        settled
    }
}

impl Event {
    /// Several events as one, whose data they are. It is where the first of them is in a trace.
    pub(super) fn batch(events: &[Self]) -> Self {
        let data: Vec<String> = events.iter().map(structured).collect();
        let first = events.first();
        let source = first.map(|event| event.source.clone()).unwrap_or_default();
        let mut batch = Self::new(source, "dayfly.batch", format!("[{}]", data.join(",")).into());
        let mut id = blake3::Hasher::new();
        for event in events {
            id.update(event.id.as_bytes()).update(b"\0");
        }
        batch.id = id.finalize().to_hex()[..32].to_owned();
        batch.subject = first.and_then(|event| event.subject.clone());
        batch.content_type = Some(MEDIA_TYPE.to_owned());
        batch.hops = events.iter().map(|event| event.hops).max().unwrap_or_default();
        if let Some(first) = first {
            let of_trace =
                |(name, _): &&(String, String)| name == "traceparent" || name == "tracestate";
            batch.extensions = first.extensions.iter().filter(of_trace).cloned().collect();
        }
        batch.is_batch = true;
        batch
    }
}

/// An event in CloudEvents' JSON format, as a text: what is JSON already stays as it is, to the byte,
/// because numbers may have more digits than any type of ours, and keys may come twice.
fn structured(event: &Event) -> String {
    // CloudEvents has no attribute `data`.
    let attributes = event.attributes().into_iter().filter(|(name, _)| *name != "data");
    let mut object: Map<String, Value> =
        attributes.map(|(name, value)| (name.to_owned(), value.into())).collect();
    if let Some(content_type) = &event.content_type {
        object.insert("datacontenttype".to_owned(), content_type.clone().into());
    }
    let (name, data) = data(event.content_type.as_deref(), &event.data);
    let mut text = Value::Object(object).to_string();
    // It has members, so only its end is left open.
    text.pop();
    text + ",\"" + name + "\":" + &data + "}"
}

/// Data as a member, and its JSON: JSON as it is, text as a string, anything else in Base64.
fn data<'a>(content_type: Option<&str>, data: &'a Bytes) -> (&'static str, Cow<'a, str>) {
    let quoted = |text: &str| Cow::Owned(Value::from(text).to_string());
    let media_type = content_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
    let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
    match std::str::from_utf8(data) {
        Ok(text) if !is_json => ("data", quoted(text)),
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => ("data", text.into()),
        _ => ("data_base64", quoted(&BASE64.encode(data))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content_type: Option<&str>, data: &'static [u8]) -> Event {
        let mut event = Event::new("/a", "dayfly.test", Bytes::from_static(data));
        event.id = "7".to_owned();
        event.content_type = content_type.map(str::to_owned);
        event
    }

    #[test]
    fn data_is_told_as_what_it_is() {
        for (content_type, bytes, name, expected) in [
            (Some("application/json"), &b"{\"a\":1}"[..], "data", serde_json::json!({"a": 1})),
            (Some("a/b+json; charset=utf-8"), b"[1]", "data", serde_json::json!([1])),
            (Some("application/json"), b"no json", "data_base64", "bm8ganNvbg==".into()),
            (Some("text/plain"), b"text", "data", "text".into()),
            (None, b"text", "data", "text".into()),
            (None, b"\xff", "data_base64", "/w==".into()),
        ] {
            let told: Value =
                serde_json::from_str(&structured(&event(content_type, bytes))).unwrap();
            assert_eq!(told[name], expected, "{content_type:?}");
            assert_eq!((&told["id"], &told["specversion"]), (&"7".into(), &"1.0".into()));
        }
    }

    #[test]
    fn data_that_are_json_stay_as_they_are() {
        let data = r#"{ "n": 1.10, "large": 123456789012345678901234567890, "a": 1, "a": 2 }"#;
        let batch = Event::batch(&[event(Some("application/json"), data.as_bytes())]);
        let text = std::str::from_utf8(&batch.data).unwrap();
        assert!(text.ends_with(&format!(",\"data\":{data}}}]")), "{text}");
    }

    #[test]
    fn a_batch_has_no_headers_of_events() {
        let batch = Event::batch(&[event(None, b"1"), event(None, b"2")]);
        let headers = batch.own_headers();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["content-type"], MEDIA_TYPE);
        let data: Vec<Value> = serde_json::from_slice(&batch.data).unwrap();
        assert_eq!(data.len(), 2);
    }
}
