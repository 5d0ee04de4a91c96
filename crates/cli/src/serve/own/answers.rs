//! What a node answers a tenant's process: what is the tenant's, and nothing else, whatever is asked. A guest
//! may have taken that process over.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use dayfly_model::platform::{
    AppId, AppName, ArtifactStore as _, ReleaseStore as _, TenantId, UsedStore as _,
};
use dayfly_store::{Store, UsageKey};
use serde_json::{Value, to_value};

use super::asking::{Active, Ask, Own, PATIENCE, QUESTION_BYTES, ROWS, Row};
use super::channel::{Channel, Message};
use crate::report;
use crate::serve::usage::Counting;

/// The longest text of why a release cannot be served, and the longest name of a component, in bytes.
const TEXT_BYTES: usize = 16 << 10;
const NAME_BYTES: usize = 256;

/// Answers the process of one tenant.
pub(super) struct Answers<'a> {
    pub(super) store: &'a Store,
    pub(super) counting: &'a Counting,
    /// The tenant's number.
    pub(super) number: u64,
}

impl Answers<'_> {
    /// Answers until the process has ended.
    pub(super) fn run(&self, channel: &Channel) {
        loop {
            match channel.receive() {
                Ok(Some((Message::Ask, Some(stream)))) => {
                    if let Err(error) = self.converse(stream) {
                        tracing::debug!(
                            tenant = self.number,
                            "a question was not answered: {error:#}"
                        );
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
                Err(error) => {
                    tracing::debug!(tenant = self.number, %error, "a tenant's process has ended");
                    return;
                }
            }
        }
    }

    fn converse(&self, mut stream: UnixStream) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut question = Vec::new();
        BufReader::new(&stream).take(QUESTION_BYTES).read_to_end(&mut question)?;
        let answer = serde_json::from_slice(&question).map_err(anyhow::Error::from);
        let answer = answer.and_then(|question| self.answer(question));
        // It tells no more of the platform than the tenant's people may read.
        let answer: Result<Value, String> = answer.map_err(|error| {
            tracing::debug!(tenant = self.number, "a question has no answer: {error:#}");
            "the platform's store cannot say".to_owned()
        });
        stream.write_all(&serde_json::to_vec(&answer)?)?;
        Ok(())
    }

    fn answer(&self, question: Ask) -> Result<Value> {
        let Self { store, number, .. } = *self;
        let tenant = store.tenant_of(number)?;
        let id = |app: AppName| AppId { tenant: tenant.clone(), app };
        Ok(match question {
            Ask::Tenant => to_value(self.own(tenant)?)?,
            Ask::Generation => to_value(store.generation()?)?,
            Ask::Stamps => {
                let all = store.stamps()?.into_iter().filter(|(app, _)| app.tenant == tenant);
                to_value(all.map(|(app, at)| (app.app, at)).collect::<BTreeMap<_, _>>())?
            }
            Ask::Activation(app) => {
                let Some(activation) = store.activation(&id(app))? else { return Ok(Value::Null) };
                for share in &activation.shares {
                    store.lend(number, &share.release)?;
                }
                let state = store.state_folder(number, activation.number);
                to_value(Active::of(activation, state))?
            }
            Ask::Note { app, generation, error } => {
                let error = error.map(|text| report::harmless(bounded(&text)));
                let noted = error.as_deref().map_or(Ok(()), Err);
                to_value(store.note(&id(app), generation, noted)?)?
            }
            Ask::Used => to_value(store.used(&tenant)?)?,
            Ask::AddUsed(used) => to_value(store.add_used(&[(tenant, used)])?)?,
            Ask::Usage(rows) => to_value(self.count(rows)?)?,
        })
    }

    fn own(&self, tenant: TenantId) -> Result<Own> {
        let Self { store, number, .. } = *self;
        let states: Vec<PathBuf> = store.state_folders(number)?;
        let (platform, releases) = (store.folder().to_owned(), store.own_releases(number)?);
        Ok(Own { tenant, platform, releases, states })
    }

    fn count(&self, rows: Vec<Row>) -> Result<()> {
        let is_legal = |row: &Row| row.component.len() <= NAME_BYTES;
        if rows.len() > ROWS || !rows.iter().all(is_legal) {
            return Err(anyhow!("that is no usage"));
        }
        rows.into_iter().try_for_each(|Row { app, release, component, usage }| {
            let (app, release) = (app.to_string(), release.to_string());
            let key = UsageKey { tenant: self.number, app, release, component };
            self.counting.tell(key, &usage).then_some(()).context("too much waits to be written")
        })
    }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}
