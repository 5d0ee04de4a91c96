//! Lines that the host logs because of what a guest did, at its own pace for each kind and component.

use std::fmt;

use crate::account::Over;
use crate::{Grants, Paced};

/// How much of a guest's own words stands in a line, in bytes.
const WORDS: usize = 256;

/// What was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// An import that nobody granted.
    Import,
    /// A request or connection beyond `limits.outbound`.
    Outbound,
    /// A destination that `allowed_outbound_hosts` does not grant.
    Destination,
    /// A name that it does not grant.
    Name,
    /// A call of a component that is not there.
    Component,
    /// A call beyond `limits.depth`.
    Depth,
    /// A language model that `ai_models` does not grant.
    Model,
    /// An SQL database that it was not granted.
    Database,
    /// A connection beyond those that may be open.
    Connection,
    /// A store of another.
    Store,
    /// A file or socket beyond what all guests may hold open.
    Descriptor,
    /// A variable whose provider gave no answer.
    Variable,
    /// What its tenant has no quota left for.
    Quota,
}

impl Refusal {
    const KINDS: usize = Self::Quota as usize + 1;
}

/// The refusals of one component.
#[derive(Debug, Default)]
pub(crate) struct Refusals([Paced; Refusal::KINDS]);

impl Refusals {
    /// Lets `say` log a refusal if it is time for a line; it is given how many of the kind nothing
    /// was said about, if any.
    pub(crate) fn note(&self, refusal: Refusal, say: impl FnOnce(Option<u32>)) {
        if let Some(count) = self.0[refusal as usize].note() {
            say(count.checked_sub(1).filter(|unsaid| *unsaid > 0));
        }
    }
}

impl Grants {
    /// Takes one of the outbound requests and connections that the tenant may make; false if there is
    /// none now.
    pub(crate) fn spend_outbound(&self) -> bool {
        let Some(account) = &self.account else { return true };
        account.spend_outbound().inspect_err(|over| self.tell_over(over)).is_ok()
    }

    /// Takes room for what the component is about to keep.
    ///
    /// # Errors
    /// What the guest may be told, if its tenant's apps keep as much as they may.
    pub(crate) fn keep(&self, bytes: usize) -> Result<(), Over> {
        let Some(account) = &self.account else { return Ok(()) };
        account.keep(bytes as u64).inspect_err(|over| self.tell_over(over))
    }

    /// Says in the component's log which quota its tenant is over; the operator's has it from the
    /// account.
    pub(crate) fn tell_over(&self, over: &Over) {
        self.refusals.note(Refusal::Quota, |_| self.log.host(&format!("refused: {over}")));
    }

    /// Says that `allowed_outbound_hosts` does not grant a destination.
    pub(crate) fn refuse_destination(&self, scheme: &str, host: &str, port: u16) {
        self.refusals.note(Refusal::Destination, |unsaid| {
            let host = shortened(host);
            tracing::warn!(
                component = %self.component, scheme, host, port, unsaid,
                "refused: `allowed_outbound_hosts` does not grant this destination"
            );
            let colons = host.contains(':');
            let (open, close) = if colons { ("[", "]") } else { ("", "") };
            let entry = format!("{scheme}://{open}{host}{close}:{port}");
            self.tell_ungranted("allowed_outbound_hosts", format_args!("[{entry:?}]"));
        });
    }

    /// Says in the component's own log which value a key of its table would need to grant something.
    pub(crate) fn tell_ungranted(&self, key: &str, value: fmt::Arguments<'_>) {
        let component = &self.component;
        self.log.host(&format!(
            "dayfly refused this: `{key} = {value}` of component `{component}` would grant it"
        ));
    }
}

/// The beginning of a guest's own words.
pub(crate) fn shortened(words: &str) -> &str {
    &words[..words.floor_char_boundary(WORDS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line_of_its_own() {
        let refusals = Refusals::default();
        let said = |refusal| {
            let mut said = false;
            refusals.note(refusal, |_| said = true);
            said
        };
        assert!(said(Refusal::Import) && said(Refusal::Name));
        assert!(!said(Refusal::Import) && !said(Refusal::Name));
    }

    #[test]
    fn a_guests_words_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(1000)).len(), WORDS);
        assert_eq!(shortened(&format!("x{}", "é".repeat(1000))).len(), WORDS - 1);
    }
}
