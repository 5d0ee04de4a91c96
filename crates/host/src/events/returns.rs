//! What comes back to an app's own triggers of what it sends as its data alone, by a channel or a list of
//! Redis, or a topic of MQTT: how many steps lie behind it and in which trace it is. A process knows what it
//! sent itself ([`Echoes`]); for other processes of the app it leaves a note at a server of Redis ([`Note`]),
//! if one of its triggers listens there.

use dayfly_capabilities::redis::note::{Leave, Note, Place};
use dayfly_capabilities::redis::server::{Server, ServerError};
use dayfly_model::events::RedisPlace;

use super::echoes::Echoes;
use super::{Event, Outlet};

/// A trigger whose messages are their data alone.
pub(super) struct Listened {
    pub(super) trigger: String,
    /// The host and port of its server.
    pub(super) server: String,
    pub(super) to: To,
}

/// What it listens to.
pub(super) enum To {
    Channel(String),
    /// Channels of a pattern; which those are the server says.
    Channels,
    List(String),
    Topics,
}

impl To {
    /// Whether it may hear what is sent there.
    fn hears(&self, place: Place<'_>) -> bool {
        match (self, place) {
            (Self::Channel(own), Place::Channel(name)) | (Self::List(own), Place::List(name)) => {
                own == name
            }
            (Self::Channels, Place::Channel(_)) => true,
            _ => false,
        }
    }
}

/// What is known of what comes back to the triggers of an app.
#[derive(Default)]
pub(super) struct Returns {
    triggers: Vec<Trigger>,
    leave: Leave,
}

struct Trigger {
    listened: Listened,
    echoes: Echoes,
    /// Whether an output of the app sends to where it listens, or its components may.
    is_sent_to: bool,
}

impl Returns {
    /// Of these triggers, where answers go to these outlets, and components publish to channels themselves
    /// or do not.
    pub(super) fn new<'a>(
        triggers: Vec<Listened>,
        outlets: impl Iterator<Item = &'a Outlet> + Clone,
        do_publish: bool,
    ) -> Self {
        let trigger = |listened: Listened| {
            let is_of_channels = matches!(listened.to, To::Channel(_) | To::Channels);
            let mut outlets = outlets.clone();
            let is_sent_to = (do_publish && is_of_channels)
                || outlets.any(|outlet| match outlet {
                    Outlet::Redis(server, place) => {
                        listened.server == server.name()
                            && noted(place).is_some_and(|place| listened.to.hears(place))
                    }
                    _ => false,
                });
            Trigger { listened, echoes: Echoes::default(), is_sent_to }
        };
        Self { triggers: triggers.into_iter().map(trigger).collect(), ..Self::default() }
    }

    /// Sends an event as its data alone to some place of a server, and remembers that.
    pub(super) async fn sending<T, E>(
        &self,
        (server, place): (&str, &str),
        event: &Event,
        sent: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let triggers = self.triggers.iter();
        let listening = triggers.filter(|trigger| trigger.listened.server == server);
        let listening: Vec<&Echoes> = listening.map(|trigger| &trigger.echoes).collect();
        listening.iter().for_each(|echoes| echoes.sent(place, event));
        let sent = sent.await;
        if sent.is_err() {
            listening.iter().for_each(|echoes| echoes.not_sent(place, event));
        }
        sent
    }

    /// Sends an event to a server of Redis by this command, behind a note where a trigger hears it.
    pub(super) async fn send_noted(
        &self,
        (server, place): (&Server, &RedisPlace),
        event: &Event,
        command: redis::Cmd,
    ) -> Result<(), ServerError> {
        let place = noted(place).filter(|place| self.is_noted(&server.name(), *place));
        let Some(place) = place else { return server.query(&command).await.map(drop) };
        let mut commands = redis::pipe();
        event.note().keep(place, &event.data, &mut commands);
        commands.add_command(command);
        let mut replies = server.query_all(&commands).await?;
        let sent = replies.pop();
        replies.iter().for_each(|noted| self.look_at(noted));
        sent.map_or(Ok(()), |sent| sent.map(drop))
    }

    fn is_noted(&self, server: &str, place: Place<'_>) -> bool {
        let mut triggers = self.triggers.iter().map(|trigger| &trigger.listened);
        self.leave.is_there()
            && triggers.any(|listened| listened.server == server && listened.to.hears(place))
    }

    /// Gives an event that came to a trigger from some place of its server what lies behind it, as far as
    /// this process has sent it; whether it has.
    pub(super) fn complete(&self, trigger: &str, place: &str, event: &mut Event) -> bool {
        let known = self.triggers.iter().find(|known| known.listened.trigger == trigger);
        let note = known.and_then(|trigger| trigger.echoes.take(place, &event.data));
        let is_known = note.is_some();
        if let Some(note) = note {
            event.recall(note);
        }
        is_known
    }

    /// The same for events that came from a server of Redis, of which others may have left notes.
    pub(super) async fn complete_all(
        &self,
        trigger: &str,
        (server, place): (&Server, Place<'_>),
        events: &mut [Event],
    ) {
        let name = match place {
            Place::Channel(name) | Place::List(name) => name,
        };
        let unknown = events.iter_mut().filter_map(|event| {
            let is_known = self.complete(trigger, name, event);
            // Of a list, the note goes with its message.
            let is_asked = !is_known || matches!(place, Place::List(_));
            is_asked.then_some(event)
        });
        let unknown: Vec<&mut Event> = unknown.collect();
        if self.is_asked(trigger) && !unknown.is_empty() {
            self.ask((server, place), unknown).await;
        }
    }

    /// Whether notes of what comes to a trigger may be there.
    pub(super) fn is_asked(&self, trigger: &str) -> bool {
        let known = self.triggers.iter().find(|known| known.listened.trigger == trigger);
        known.is_some_and(|known| known.is_sent_to) && self.leave.is_there()
    }

    async fn ask(&self, (server, place): (&Server, Place<'_>), events: Vec<&mut Event>) {
        let mut commands = redis::pipe();
        for event in &events {
            commands.add_command(Note::ask(place, &event.data));
        }
        let replies = match server.query_all(&commands).await {
            Ok(replies) => replies,
            Err(error) => {
                tracing::debug!(%error, "what lies behind messages cannot be asked for");
                return;
            }
        };
        for (event, reply) in events.into_iter().zip(replies) {
            self.look_at(&reply);
            if let Some(note) = reply.ok().and_then(|reply| Note::of_reply(&reply)) {
                event.recall(note);
            }
        }
    }

    fn look_at(&self, reply: &Result<redis::Value, ServerError>) {
        if let Err(error) = reply {
            self.leave.look_at(error.code());
        }
    }
}

/// A place whose messages are their data alone.
pub(super) fn noted(place: &RedisPlace) -> Option<Place<'_>> {
    match place {
        RedisPlace::Channel(name) => Some(Place::Channel(name)),
        RedisPlace::Queue(name) => Some(Place::List(name)),
        // It says itself what lies behind.
        RedisPlace::Stream(_) => None,
    }
}
