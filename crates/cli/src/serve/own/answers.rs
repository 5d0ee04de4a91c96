//! What a node answers a tenant's process: what is the tenant's, and nothing else, whatever is asked. A guest
//! may have taken that process over.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

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

/// How many questions are answered in a second.
const QUESTIONS: u32 = 1000;
const SECOND: Duration = Duration::from_secs(1);

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
        let (mut second, mut asked) = (Instant::now(), 0);
        loop {
            match channel.receive() {
                Ok(Some((Message::Ask, Some(stream)))) => {
                    if second.elapsed() >= SECOND {
                        (second, asked) = (Instant::now(), 0);
                    }
                    asked += 1;
                    if asked > QUESTIONS {
                        thread::sleep(SECOND.saturating_sub(second.elapsed()));
                    }
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

#[cfg(test)]
mod tests {
    use dayfly_model::platform::{Usage, Used};
    use dayfly_store::{Actor, Key, Terms};

    use super::*;

    #[test]
    fn whatever_is_asked_is_the_tenant_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let store = Store::open(&state, Key::parse(&"07".repeat(32)).unwrap()).unwrap();
        let (by, counting) = (Actor::default(), Counting::default());
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        for name in ["acme", "other"] {
            store.make_tenant(&by, &tenant(name), Terms::default()).unwrap();
        }
        let shop = AppId { tenant: tenant("other"), app: "shop".parse().unwrap() };
        store.make_app(&by, &shop).unwrap();
        let answers = Answers { store: &store, counting: &counting, number: 1 };
        let own: Own = serde_json::from_value(answers.answer(Ask::Tenant).unwrap()).unwrap();
        assert_eq!(own.tenant, tenant("acme"));
        assert_eq!(own.states, [state.join("apps/t1")]);
        assert_eq!(own.releases, state.join("own/t1"));
        // An app of another tenant's is none, and what is said of it is said of nothing.
        assert_eq!(answers.answer(Ask::Activation(shop.app.clone())).unwrap(), Value::Null);
        let (app, generation) = (shop.app.clone(), store.app(&shop).unwrap().active.generation);
        let error = Some("it is broken".to_owned());
        answers.answer(Ask::Note { app, generation, error }).unwrap();
        let serving = store.app(&shop).unwrap().active.serving;
        assert_eq!(serving, dayfly_store::Serving::Pending);
        let used = Used { month: 682, cpu_us: 7, day: 20_787, log_bytes: 5, state_bytes: 11 };
        answers.answer(Ask::AddUsed(used)).unwrap();
        assert_eq!(store.used(&tenant("acme")).unwrap(), used);
        assert_eq!(store.used(&tenant("other")).unwrap(), Used::default());
        let row = |component: &str| Row {
            app: shop.app.clone(),
            release: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            component: component.to_owned(),
            usage: Usage { events: 1, ..Usage::default() },
        };
        answers.answer(Ask::Usage(vec![row("a")])).unwrap();
        assert!(answers.answer(Ask::Usage(vec![row(&"a".repeat(NAME_BYTES + 1))])).is_err());
        assert!(answers.answer(Ask::Usage((0..=ROWS).map(|_| row("a")).collect())).is_err());
        // One that is gone is nobody's.
        assert!(Answers { number: 7, ..answers }.answer(Ask::Tenant).is_err());
    }

    #[test]
    fn a_question_comes_and_goes_by_its_own_connection() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::parse(&"07".repeat(32)).unwrap();
        let store = Store::open(&folder.path().join("state"), key).unwrap();
        let acme = "acme".parse().unwrap();
        store.make_tenant(&Actor::default(), &acme, Terms::default()).unwrap();
        let counting = Counting::default();
        let (node, process) = Channel::new().unwrap();
        std::thread::scope(|scope| {
            let answers = Answers { store: &store, counting: &counting, number: 1 };
            scope.spawn(move || answers.run(&node));
            let process = std::sync::Arc::new(Channel::of(process));
            // What is no question is passed over.
            process.send(&Message::Begin, None).unwrap();
            let asking = super::super::asking::Asking::begin(process, 1).unwrap();
            assert_eq!(asking.own.tenant, acme);
            assert_eq!(asking.generation().unwrap(), store.generation().unwrap());
            assert_eq!(asking.stamps().unwrap().len(), 0);
        });
    }
}
