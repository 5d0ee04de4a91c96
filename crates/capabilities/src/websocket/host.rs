//! The host's side of `dayfly:websocket`.

use dayfly_engine::Flavour;
use dayfly_telemetry::Capability;
use wasmtime::component::{HasSelf, Linker};

use super::bindings::dayfly::websocket::connections::{self, Error as Failure};
use super::{Error, Hub, Message};
use crate::HostState;
use crate::refusals::Refusal;

pub(super) fn link(linker: &mut Linker<HostState>, _: Flavour) -> wasmtime::Result<()> {
    connections::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotGranted => Self::AccessDenied,
            Error::Gone => Self::Gone,
            Error::Full => Self::Full,
            Error::TooLarge => Self::TooLarge,
            Error::TooManyTopics => Self::TooManyTopics,
            Error::Topic | Error::Code | Error::Reason => Self::Invalid(error.to_string()),
        }
    }
}

impl From<connections::Message> for Message {
    fn from(message: connections::Message) -> Self {
        match message {
            connections::Message::Text(text) => Self::Text(text.into()),
            connections::Message::Binary(bytes) => Self::Binary(bytes.into()),
        }
    }
}

impl HostState {
    /// Does something with the app's connections, if the component may.
    fn with_hub<T>(
        &self,
        function: &'static str,
        does: impl FnOnce(&Hub) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let grants = self.grants();
        let call = grants.call(Capability::Websocket, function);
        let done = grants.websocket.hub().and_then(|hub| does(hub));
        if done.as_ref().is_err_and(|error| *error == Error::NotGranted) {
            grants.refusals.note(Refusal::Import, |unsaid| {
                let component = &grants.component;
                tracing::warn!(
                    %component, function, unsaid,
                    "refused: `websockets` does not grant the app's WebSockets"
                );
                grants.tell_ungranted("websockets", format_args!("true"));
            });
        }
        Ok(call.end_with(done, |error| *error == Error::NotGranted)?)
    }
}

impl connections::Host for HostState {
    fn send(&mut self, connection: String, message: connections::Message) -> Result<(), Failure> {
        self.with_hub("send", |hub| hub.send(&connection, message.into()))
    }

    fn publish(&mut self, topic: String, message: connections::Message) -> Result<u32, Failure> {
        self.with_hub("publish", |hub| hub.publish(&topic, message.into()))
    }

    fn join(&mut self, connection: String, topic: String) -> Result<(), Failure> {
        self.with_hub("join", |hub| hub.join(&connection, &topic))
    }

    fn leave(&mut self, connection: String, topic: String) -> Result<(), Failure> {
        self.with_hub("leave", |hub| hub.leave(&connection, &topic))
    }

    fn close(&mut self, connection: String, code: u16, reason: String) -> Result<(), Failure> {
        self.with_hub("close", |hub| hub.close(&connection, code, reason))
    }
}
