//! Brings the certificates that the node serves, and what it answers certificate authorities, to what is in
//! the store. What cannot be read leaves the former certificate of its host.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dayfly_host::{Certificates, Certified, Challenges};
use dayfly_model::platform::Generation;
use dayfly_store::{Challenge, Store, StoreError};

use crate::report;

/// Follows the certificates of a store.
pub(super) struct Certifying {
    store: Arc<Store>,
    /// Nothing, where no TLS is spoken.
    certificates: Option<Certificates>,
    challenges: Challenges,
    /// What is served, and since which generation of its host's certificate.
    served: BTreeMap<String, (Generation, Option<Certified>)>,
    asked: Vec<Challenge>,
}

impl Certifying {
    pub(super) fn new(
        store: Arc<Store>,
        certificates: Option<Certificates>,
        challenges: Challenges,
    ) -> Self {
        Self { store, certificates, challenges, served: BTreeMap::new(), asked: Vec::new() }
    }

    /// Looks once, after anything has changed.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        self.answer()?;
        let Some(certificates) = self.certificates.clone() else { return Ok(()) };
        let stamps = self.store.certificate_stamps()?;
        let same = |(host, generation): (&String, &Generation)| {
            self.served.get(host).is_some_and(|(served, _)| served == generation)
        };
        if stamps.len() == self.served.len() && stamps.iter().all(same) {
            return Ok(());
        }
        self.served.retain(|host, _| stamps.contains_key(host));
        for (host, generation) in stamps {
            let former = self.served.get(&host);
            if former.is_some_and(|(served, _)| *served == generation) {
                continue;
            }
            let former = former.and_then(|(_, certified)| certified.clone());
            let certified = self.read(&host)?.or(former);
            self.served.insert(host, (generation, certified));
        }
        let table = self.served.iter();
        let table = table.filter_map(|(host, (_, it))| Some((host.as_str().into(), it.clone()?)));
        certificates.set(table.collect());
        Ok(())
    }

    /// Reads the certificate of a host; nothing, if it cannot be served.
    fn read(&self, host: &str) -> Result<Option<Certified>, StoreError> {
        let Some((chain, key)) = self.store.certificate_of(host)? else { return Ok(None) };
        match Certified::of_pem(&chain, &key.0) {
            Ok(certified) => Ok(Some(certified)),
            Err(error) => {
                let text = report::text(&error.into());
                tracing::warn!(host, "a certificate cannot be served: {text}");
                Ok(None)
            }
        }
    }

    /// Answers the challenges that there are, and notes that it does.
    fn answer(&mut self) -> Result<(), StoreError> {
        let asked = self.store.challenges()?;
        if asked == self.asked {
            return Ok(());
        }
        let answers =
            asked.iter().map(|it| ((it.host.clone(), it.token.clone()), it.answer.clone()));
        self.challenges.set(answers.collect::<HashMap<_, _>>());
        self.store.note_challenges(&asked)?;
        self.asked = asked;
        Ok(())
    }
}
