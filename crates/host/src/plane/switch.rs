//! From what is to be served of an app to that it is: its releases are made ready, or laid asleep, and take the
//! places of those that were there.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::seat::{Asleep, Seat};
use super::slot::{Placed, Slot};
use super::{Changed, Inner};
use crate::activation::{Activation, Surroundings};
use crate::dispatch::{ActivateError, Lasting};
use crate::drain::Leaving;
use crate::events::Opened;
use crate::front::Door;
use crate::probe;
use crate::rollout::{AppKey, Part, Recipe};
use crate::routing::Routing;

/// What is being changed.
pub(super) struct Change<'a> {
    plane: &'a Arc<Inner>,
    key: &'a AppKey,
    slot: &'a Arc<Slot>,
    host: Option<&'a Arc<str>>,
    url: Option<String>,
    preload: bool,
}

/// A release that is ready, and how it is made again where it may sleep.
type Seated = (Arc<Seat>, Option<Arc<dyn Recipe>>);

/// What is to take the place of what is served.
pub(super) struct Placing {
    pub(super) releases: Vec<Placed>,
    pub(super) opened: Opened,
}

impl<'a> Change<'a> {
    pub(super) fn new(
        plane: &'a Arc<Inner>,
        (key, slot): (&'a AppKey, &'a Arc<Slot>),
        host: Option<&'a Arc<str>>,
        preload: bool,
    ) -> Self {
        let url = plane.url.clone().or_else(|| Some(format!("http://{}", host?)));
        Self { plane, key, slot, host, url, preload }
    }

    /// Makes releases ready and opens the sources of events; nothing has changed then.
    ///
    /// # Errors
    /// If one cannot be.
    pub(super) fn place(&self, parts: Vec<Part>) -> Result<(Placing, Changed), ActivateError> {
        let (mut releases, mut changed, mut recipe) = (Vec::new(), Changed::default(), None);
        let is_alone = parts.len() == 1;
        for part in parts {
            let (id, percent) = (part.id.clone(), part.percent);
            let (seat, its) = self.seat(part, &mut changed)?;
            recipe = its;
            if !is_alone {
                // They take turns, which those that sleep do not.
                seat.activated()?;
            }
            releases.push(Placed { id, percent, seat });
        }
        let opened = self.open(releases.first())?;
        if let ([only], Some(recipe)) = (&mut *releases, recipe)
            && is_alone
            && opened.is_nothing()
        {
            self.lay_down(only, recipe);
        }
        releases.shrink_to_fit();
        Ok((Placing { releases, opened }, changed))
    }

    /// Makes one part's release ready, and says how that is done again if the release may sleep.
    fn seat(&self, part: Part, changed: &mut Changed) -> Result<Seated, ActivateError> {
        let Part { id, release, health_path, recipe, .. } = part;
        let Some(release) = release else {
            let unknown = || ActivateError::UnknownRelease(id.to_string());
            let seat = self.slot.find(&id).ok_or_else(unknown)?;
            self.probe(&seat, health_path.as_deref())?;
            return Ok((seat, None));
        };
        let activation = {
            let lasting = &mut self.slot.kept().lasting;
            self.plane.activate(release, (self.key, self.slot), lasting, self.url.as_deref())?
        };
        if self.preload {
            let all = activation.components().preload(|_| {}).into_iter();
            changed.loaded.extend(all.collect::<Result<Vec<_>, _>>()?);
        }
        let seat = Arc::new(Seat::Awake(Arc::new(activation)));
        let is_asked = self.probe(&seat, health_path.as_deref())?;
        Ok((seat, recipe.filter(|_| !is_asked && !self.preload)))
    }

    /// Opens the sources of events, which are the first release's.
    fn open(&self, first: Option<&Placed>) -> Result<Opened, ActivateError> {
        let owner = self.slot.served().owner();
        let Some(first) = first else { return Ok(Opened::default()) };
        let opened = match first.seat.activation() {
            Some(first) => {
                let owner = (owner.as_ref(), self.plane.is_shared);
                first.open_events(owner, &self.slot.sources)?
            }
            None => Opened::nothing(owner),
        };
        opened.announce()?;
        Ok(opened)
    }

    /// Lays a release asleep that is ready, and that nobody can have asked for yet.
    fn lay_down(&self, placed: &mut Placed, recipe: Arc<dyn Recipe>) {
        let Some(activation) = placed.seat.activation() else { return };
        let seat = Seat::asleep(Asleep {
            recipe,
            plane: Arc::downgrade(self.plane),
            slot: Arc::downgrade(self.slot),
            key: self.key.clone(),
            url: self.url.as_deref().map(Box::from),
            components: activation.components().names().collect(),
            has_routes: !activation.stays().is_empty(),
            _presence: activation.components().presence(),
            failed: Mutex::default(),
        });
        placed.seat = seat;
        let mut kept = self.slot.kept();
        if kept.backends.upgrade().is_none() {
            // Nothing was counted that could go on.
            kept.lasting = Lasting::default();
        }
    }

    /// Looks whether a release is healthy, if that can be asked: not before the node has begun. Whether it
    /// was asked.
    fn probe(&self, seat: &Arc<Seat>, path: Option<&str>) -> Result<bool, ActivateError> {
        let Inner { front, connector, has_begun, .. } = &**self.plane;
        let (Some(host), Some(path), Some(connector)) = (self.host, path, connector) else {
            return Ok(false);
        };
        if !has_begun.load(Relaxed) || seat.activated()?.stays().is_empty() {
            return Ok(false);
        }
        let door = Arc::new(Door::Seat(seat.clone()));
        let probed = probe::probe((front, connector), door, (host, path));
        probed.map(|()| true).map_err(ActivateError::Unhealthy)
    }
}

impl Inner {
    pub(super) fn routing(&self) -> MutexGuard<'_, Routing> {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a release ready to answer.
    pub(super) fn activate(
        &self,
        release: crate::Release,
        (key, slot): (&AppKey, &Slot),
        lasting: &mut Lasting,
        url: Option<&str>,
    ) -> Result<Activation, ActivateError> {
        if self.is_shared && release.app.runs_commands() {
            return Err(ActivateError::Rollout("commands that run once are run by `dayfly up`"));
        }
        Activation::new(
            release,
            Surroundings {
                resources: &self.resources,
                lasting,
                sources: &slot.sources,
                telemetry: self.telemetry.as_ref(),
                number: self.activations.fetch_add(1, Relaxed),
                owner: self.is_shared.then_some(key),
                url,
                max_websockets: self.max_websockets,
                cores: self.cores,
            },
        )
    }

    /// Lets releases, or who else answers, take the place of those of an app that are served: first its
    /// events, then its requests.
    pub(super) fn switch(
        &self,
        key: &AppKey,
        slot: &Arc<Slot>,
        (hosts, releases, other): (Vec<Arc<str>>, Vec<Placed>, Option<Arc<Door>>),
        (opened, takes_events): (Opened, bool),
    ) -> Result<(), ActivateError> {
        let door = other.or_else(|| self.door(&releases));
        let first = releases.first().and_then(|placed| placed.seat.activation().cloned());
        let mut routing = self.routing();
        routing.check(key, &hosts)?;
        let mut served = slot.served();
        let metrics = opened.metrics();
        let aims = match self.has_begun.load(Relaxed) && takes_events {
            true => {
                served.waiting = None;
                served.events.take_over(opened, &self.crew)?
            }
            false => {
                served.waiting = Some(opened);
                Vec::new()
            }
        };
        served.is_held = !takes_events;
        slot.sources.set(metrics);
        routing.set(key, hosts, door);
        drop(routing);
        let former = std::mem::replace(&mut served.releases, releases);
        let stays =
            |it: &Placed| served.releases.iter().any(|new| Arc::ptr_eq(&new.seat, &it.seat));
        // Events were the first one's.
        let mut aims = Some(aims);
        let gone: Vec<_> = former.into_iter().map(|it| (stays(&it), it, aims.take())).collect();
        drop(served);
        if let Some(first) = first {
            slot.kept().backends = Arc::downgrade(first.components().backends());
        }
        for (_, Placed { seat, .. }, aims) in gone.into_iter().filter(|(stays, ..)| !stays) {
            let (app, since, slot) = (key.to_string().into(), Instant::now(), slot.clone());
            let aims = aims.unwrap_or_default();
            self.drains.add(Leaving { seat, aims, since, app, _slot: slot });
        }
        Ok(())
    }

    /// The way into releases, if any of them has routes.
    fn door(&self, releases: &[Placed]) -> Option<Arc<Door>> {
        if !releases.iter().any(|placed| placed.seat.has_routes()) {
            return None;
        }
        if let [only] = releases {
            return Some(Arc::new(Door::Seat(only.seat.clone())));
        }
        let awake = |placed: &Placed| Some((placed.percent, placed.seat.activation()?.clone()));
        let awake: Vec<_> = releases.iter().filter_map(awake).collect();
        let stays: Vec<_> = awake.iter().map(|(percent, it)| (*percent, it.stays())).collect();
        Some(Door::shared(&stays, self.cores))
    }
}
