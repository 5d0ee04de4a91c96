//! Whether what a step expects is there. What need not be there at once is looked for again and again.

use std::time::{Duration, Instant};

use dayfly_model::Output;
use dayfly_model::test_file::{Action, PassedOn, Query, Sent, Step};
use serde_json::Value;

use super::act::Outcome;
use super::content::shown;
use super::json::difference;
use super::matching::{Mismatch, fits, mismatches};
use super::recorder::{Left, Mark, matches};
use super::stage::Stage;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// How many rows of a query are looked at.
const ROWS: usize = 1000;

/// A step that was done.
pub(super) struct Looking<'s> {
    pub(super) stage: &'s Stage<'s>,
    pub(super) step: &'s Step,
    pub(super) outcome: &'s Outcome,
    /// When it began.
    pub(super) since: Mark,
}

impl Looking<'_> {
    /// All that is otherwise than expected.
    pub(super) async fn mismatches(&self) -> Vec<Mismatch> {
        let mut found = self.answered();
        let began = Instant::now();
        loop {
            let left = self.around().await;
            // What the answer lacks does not come any more.
            if left.is_empty() || !found.is_empty() || began.elapsed() >= self.step.expect.within {
                found.extend(left);
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is wrong with the answer.
    fn answered(&self) -> Vec<Mismatch> {
        let (outcome, expect) = (self.outcome, &self.step.expect);
        let mut found = outcome.mismatches.clone();
        match (&outcome.error, &expect.error) {
            (Some(error), None) => {
                let expected = "an answer".to_owned();
                found.push(Mismatch { what: "it".to_owned(), expected, got: error.clone() });
                return found;
            }
            (error, Some(expected)) => {
                let error = error.as_deref().map(str::as_bytes);
                found.extend(mismatches("error", expected, error));
            }
            (None, None) => {}
        }
        found.extend(self.status());
        for (name, matcher) in &expect.headers {
            let values = outcome.headers.get_all(name.as_str()).iter();
            let values: Vec<_> = values.map(http::HeaderValue::as_bytes).collect();
            let joined = values.join(&b", "[..]);
            let got = (!values.is_empty()).then_some(&joined[..]);
            found.extend(mismatches(&format!("header {name}"), matcher, got));
        }
        if let Some(matcher) = &expect.body {
            found.extend(mismatches("body", matcher, outcome.body.as_deref()));
        }
        found
    }

    fn status(&self) -> Option<Mismatch> {
        let status = self.outcome.status?;
        let (is_right, expected) = match (self.step.expect.status, &self.step.action) {
            (Some(wanted), _) => (status == wanted, wanted.to_string()),
            (None, Action::Command(_)) => (status == 0, "0".to_owned()),
            (None, Action::Websocket(_)) => (status == 101, "101".to_owned()),
            (None, _) => (status < 400, "below 400".to_owned()),
        };
        // What the body says explains the status, unless it is looked at itself.
        let body = match (&self.outcome.body, &self.step.expect.body) {
            (Some(body), None) if !body.is_empty() => format!(", with {}", shown(body).trim_end()),
            _ => String::new(),
        };
        let (what, got) = ("status".to_owned(), format!("{status}{body}"));
        (!is_right).then_some(Mismatch { what, expected, got })
    }

    /// What is not there yet.
    async fn around(&self) -> Vec<Mismatch> {
        let (stage, expect) = (self.stage, &self.step.expect);
        let mut found = Vec::new();
        if let Some(log) = &expect.log {
            found.extend(mismatches("log", log, Some(stage.seen.log(self.since).as_bytes())));
        }
        for (label, key, matcher) in &expect.key_values {
            let what = format!("key {key:?} of store `{label}`");
            match stage.key_values.get(label, key).await {
                Ok(value) => found.extend(mismatches(&what, matcher, value.as_deref())),
                Err(error) => found.push(Mismatch::error(&what, &error.into())),
            }
        }
        found.extend(expect.sqlite.iter().filter_map(|query| self.rows(query)));
        let requests = stage.seen.requests(self.since);
        found.extend(expect.requests.iter().filter_map(|sent| left(sent, &requests)));
        let outputs = &stage.seen.outputs(self.since);
        found.extend(expect.outputs.iter().filter_map(|it| {
            let of_output = outputs.iter().filter(|(to, _)| is_output(&it.to, to));
            let bodies: Vec<&[u8]> = of_output.map(|(_, content)| &content.data[..]).collect();
            passed_on(it, &bodies)
        }));
        found
    }

    fn rows(&self, query: &Query) -> Option<Mismatch> {
        let what = format!("`{}`", query.sql);
        let rows = match self.stage.sqlite.rows(&query.database, &query.sql, ROWS) {
            Ok(rows) => Value::from(rows.into_iter().map(Value::from).collect::<Vec<_>>()),
            Err(error) => return Some(Mismatch::error(&what, &error.into())),
        };
        let is_any = |wanted: &Value| wanted.as_object().is_some_and(serde_json::Map::is_empty);
        let same =
            |wanted: &Value, got: &Value| is_any(wanted) || difference(wanted, got).is_none();
        let (wanted, got) = (query.rows.as_array()?, rows.as_array()?);
        let is_right = wanted.len() == got.len()
            && wanted.iter().zip(got).all(|(wanted, got)| {
                let (Some(wanted), Some(got)) = (wanted.as_array(), got.as_array()) else {
                    return false;
                };
                wanted.len() == got.len() && wanted.iter().zip(got).all(|it| same(it.0, it.1))
            });
        let (expected, got) = (query.rows.to_string(), shown(rows.to_string().as_bytes()));
        (!is_right).then_some(Mismatch { what, expected, got })
    }
}

/// Whether an output that a test names is the one that got an answer.
fn is_output(named: &str, output: &str) -> bool {
    Output::parse(named).is_ok_and(|named| named.to_string() == output)
}

fn passed_on(expected: &PassedOn, bodies: &[&[u8]]) -> Option<Mismatch> {
    let what = format!("output {}", expected.to);
    let Some(first) = bodies.first() else {
        let (expected, got) = ("an answer".to_owned(), "nothing".to_owned());
        return Some(Mismatch { what, expected, got });
    };
    let matcher = expected.body.as_ref()?;
    match bodies.iter().any(|body| fits(matcher, Some(body))) {
        true => None,
        false => mismatches(&what, matcher, Some(first)).into_iter().next(),
    }
}

/// What is wrong with the requests that left the app, if none is as expected.
fn left(expected: &Sent, requests: &[Left]) -> Option<Mismatch> {
    let asked = &expected.request;
    let method = asked.method.as_deref().map(|method| format!("{method} ")).unwrap_or_default();
    let what = format!("request {method}{}", asked.url);
    let of_kind: Vec<_> =
        requests.iter().filter(|it| matches(asked, &it.method, &it.url)).collect();
    let Some(first) = of_kind.first() else {
        let others: Vec<_> =
            requests.iter().map(|it| format!("{} {}", it.method, it.url)).collect();
        let got = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        return Some(Mismatch { what, expected: "to leave the app".to_owned(), got });
    };
    let wrong = |it: &Left| {
        let body = expected.body.as_ref().map(|body| mismatches("body", body, Some(&it.body[..])));
        let headers = expected.headers.iter().flat_map(|(name, matcher)| {
            let value = it.headers.get(name).map(http::HeaderValue::as_bytes);
            mismatches(&format!("header {name}"), matcher, value)
        });
        body.unwrap_or_default().into_iter().chain(headers).next()
    };
    match of_kind.iter().any(|it| wrong(it).is_none()) {
        true => None,
        false => wrong(first).map(|it| Mismatch { what: format!("{what}, {}", it.what), ..it }),
    }
}
