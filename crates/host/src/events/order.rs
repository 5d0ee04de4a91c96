//! Events with the same key are handled one after the other, those with different ones side by side.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dayfly_model::events::Order;

use super::courier::Errand;
use super::metrics::Settled;
use super::{Courier, Event};

/// The events that wait for one before them, by their keys. How many do is bounded by their leaves.
pub(super) struct Lanes {
    order: Order,
    waiting: Mutex<HashMap<String, VecDeque<Errand>>>,
}

impl Lanes {
    pub(super) fn new(order: Order) -> Self {
        Self { order, waiting: Mutex::default() }
    }

    /// Brings an event when those before it with the same key are settled.
    pub(super) fn add(&self, courier: &Arc<Courier>, errand: Errand) {
        let key = key(&self.order, &errand.parcel.event);
        match self.lock().entry(key.clone()) {
            Entry::Occupied(mut lane) => return lane.get_mut().push_back(errand),
            Entry::Vacant(lane) => drop(lane.insert(VecDeque::new())),
        }
        let bringer = courier.clone();
        courier.workers.spawn(async move {
            let mut next = Some(errand);
            while let Some(errand) = next {
                next = bringer.bring_in_turn(&key, errand).await;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Errand>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event of a lane, which ends when there is none.
    fn next(&self, key: &str) -> Option<Errand> {
        let mut waiting = self.lock();
        let next = waiting.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(key);
        }
        next
    }
}

impl Courier {
    /// Brings the first event of a lane; what comes after it.
    async fn bring_in_turn(&self, key: &str, errand: Errand) -> Option<Errand> {
        let super::courier::Manner::ByKey(lanes) = &self.manner else { return None };
        let Errand { leave, parcel, settle } = errand;
        let settled = self.see_surely_through(parcel).await.settled;
        if settled == Settled::Back {
            // The last first, so that the source has them in their order again.
            let rest = lanes.lock().remove(key).unwrap_or_default();
            for Errand { leave, settle, .. } in rest.into_iter().rev() {
                settle(settled).await;
                leave.settle(settled);
            }
        }
        settle(settled).await;
        leave.settle(settled);
        if settled == Settled::Back { None } else { lanes.next(key) }
    }
}

/// The key of an event. Those that have none have the same.
fn key(order: &Order, event: &Event) -> String {
    match order {
        Order::None | Order::All => String::new(),
        Order::Attribute(name) => {
            let attributes = event.attributes().into_iter();
            let mut found = attributes.filter(|(known, _)| known == name).map(|(_, value)| value);
            found.next().unwrap_or_default()
        }
        Order::Pointer(pointer) => {
            let data: Option<serde_json::Value> = serde_json::from_slice(&event.data).ok();
            let found = data.as_ref().and_then(|data| data.pointer(pointer));
            found.map(ToString::to_string).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_attributes_or_places_in_the_data() {
        let mut event = Event::new("/a", "t", r#"{"customer": {"id": 7}, "a/b": "x"}"#.into());
        event.subject = Some("s".to_owned());
        event.extend("region".to_owned(), "eu".to_owned());
        let of = |order: Order| key(&order, &event);
        let attribute = |name: &str| of(Order::Attribute(name.to_owned()));
        let pointer = |text: &str| of(Order::Pointer(text.to_owned()));
        assert_eq!((attribute("subject"), attribute("region")), ("s".into(), "eu".into()));
        assert_eq!((pointer("/customer/id"), pointer("/a~1b")), ("7".into(), "\"x\"".into()));
        assert_eq!((attribute("other"), pointer("/other")), (String::new(), String::new()));
        assert_eq!(key(&Order::Pointer("/a".into()), &Event::new("/", "t", "no".into())), "");
    }
}
