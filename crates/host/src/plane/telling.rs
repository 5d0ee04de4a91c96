//! What a node tells of its apps.

use dayfly_telemetry::Source;
use dayfly_telemetry::metrics::{self, Families, Value};

use super::Plane;
use super::slot::Slot;
use crate::dispatch::{self, FEW_COMPONENTS, Telling};
use crate::events;

/// How many components of a node of many apps have series of their own: some 40 each.
const TOLD_COMPONENTS: usize = 2000;

impl Source for Plane {
    fn collect(&self, families: &mut Families) {
        let mut slots: Vec<_> =
            self.lock().iter().map(|(key, slot)| (key.clone(), slot.clone())).collect();
        // Who serves what is not served here tells of it.
        slots.retain(|(_, slot)| !slot.served().releases.is_empty());
        let count: usize = slots.iter().map(|(_, slot)| slot.components()).sum();
        let mut telling = Telling {
            untouched: !self.0.is_shared || count <= FEW_COMPONENTS,
            room: if self.0.is_shared { TOLD_COMPONENTS } else { usize::MAX },
            left_out: 0,
        };
        for (key, slot) in slots {
            let labels = [("tenant", &*key.tenant), ("app", &*key.app)];
            let labels: &[_] = if self.0.is_shared { &labels } else { &[] };
            families.add_with(labels, |families| slot.collect(&mut telling, families));
        }
        if self.0.is_shared {
            let left_out = Value::Integer(telling.left_out);
            families.add(&metrics::COMPONENTS_LEFT_OUT, &[], left_out);
        }
        self.0.resources.collect(families);
        if let Some(telemetry) = &self.0.telemetry {
            telemetry.collect(families);
        }
    }
}

impl Slot {
    /// How many components there are.
    fn components(&self) -> usize {
        let served = self.served();
        let count = served.releases.iter().map(|placed| match placed.seat.sleeping() {
            Some(asleep) => asleep.components.len(),
            None => placed.seat.activation().map_or(0, |it| it.components().count()),
        });
        count.sum()
    }

    fn collect(&self, telling: &mut Telling, families: &mut Families) {
        let seats: Vec<_> =
            self.served().releases.iter().map(|placed| placed.seat.clone()).collect();
        // Where several share an app's requests, all are awake.
        if let Some(asleep) = seats.iter().find_map(|seat| seat.sleeping()) {
            return dispatch::collect_untouched(&asleep.components, telling, families);
        }
        let activations = || seats.iter().filter_map(|seat| seat.activation());
        dispatch::collect(activations().map(|it| it.components()), telling, families);
        events::collect(&self.sources.now(), families);
        if let Some(first) = activations().next() {
            first.components().backends().websockets.collect(families);
        }
    }
}
