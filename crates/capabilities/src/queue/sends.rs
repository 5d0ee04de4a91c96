//! Events that somebody sends to a trigger of an app that runs, and waits for: they lie in the file of
//! queues until the app has handled them, and then what became of them does.

use rusqlite::{OptionalExtension as _, params};

use super::table::{Table, content, written};
use super::{Content, MESSAGE_BYTES, QueueError};

/// An event waits, is under way, was handled, or was given up.
const ASKED: i64 = 0;
const UNDER_WAY: i64 = 1;
const HANDLED: i64 = 2;
const GIVEN_UP: i64 = 3;

/// A trigger that events can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its id.
    pub id: String,
    /// The component that it wakes.
    pub component: String,
    /// What it listens to, for people.
    pub source: String,
}

/// An event that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its number in the file.
    pub id: i64,
    /// The trigger that it was sent to.
    pub trigger: String,
    /// What it carries; attributes that it leaves open are the trigger's.
    pub content: Content,
}

/// What became of an event that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was handled, and its handler answered this.
    Answered(Content),
    /// It was given up, for the reason that the text tells.
    GivenUp(String),
}

impl Table {
    /// Says which triggers there are.
    pub(super) fn announce(&self, triggers: &[Announced]) -> Result<(), QueueError> {
        self.0.execute_batch("DELETE FROM triggers;")?;
        let mut insert = self.0.prepare("INSERT INTO triggers VALUES (?1, ?2, ?3)")?;
        for Announced { id, component, source } in triggers {
            insert.execute([id, component, source])?;
        }
        Ok(())
    }

    /// The triggers of the app that runs, or ran last.
    ///
    /// # Errors
    /// If the file fails.
    pub fn announced(&self) -> Result<Vec<Announced>, QueueError> {
        let mut all =
            self.0.prepare("SELECT id, component, source FROM triggers ORDER BY rowid")?;
        let trigger = |row: &rusqlite::Row<'_>| {
            Ok(Announced { id: row.get(0)?, component: row.get(1)?, source: row.get(2)? })
        };
        Ok(all.query_map([], trigger)?.collect::<Result<_, _>>()?)
    }

    /// Sends an event to a trigger; its number.
    ///
    /// # Errors
    /// If it is too large, or the file cannot take it.
    pub fn send(&self, trigger: &str, content: &Content) -> Result<i64, QueueError> {
        let Content { attributes, content_type, data } = content;
        if data.len() > MESSAGE_BYTES {
            return Err(QueueError::TooLarge);
        }
        let mut insert = self.0.prepare(
            "INSERT INTO sends (trigger, attributes, content_type, data) VALUES (?1, ?2, ?3, ?4)",
        )?;
        Ok(insert.insert(params![trigger, written(attributes), content_type, &data[..]])?)
    }

    /// What became of an event that was sent, if that is known yet.
    ///
    /// # Errors
    /// If the file fails, or does not know the event.
    pub fn outcome(&self, id: i64) -> Result<Option<Outcome>, QueueError> {
        let mut find = self.0.prepare_cached(
            "SELECT state, attributes, content_type, CASE state WHEN 2 THEN data ELSE x'' END, error
             FROM sends WHERE id = ?1",
        )?;
        let found = find.query_row([id], |row| {
            let state: i64 = row.get(0)?;
            Ok(match state {
                HANDLED => Some(Outcome::Answered(content(row, 1)?)),
                GIVEN_UP => Some(Outcome::GivenUp(row.get(4)?)),
                _ => None,
            })
        });
        let gone = || QueueError::Database("the app was started again".to_owned());
        found.optional()?.ok_or_else(gone)
    }

    /// Forgets an event that was sent.
    ///
    /// # Errors
    /// If the file fails.
    pub fn forget_sent(&self, id: i64) -> Result<(), QueueError> {
        self.0.execute("DELETE FROM sends WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Takes events that were sent, so many at most.
    pub(super) fn take_sent(&self, most: u32) -> Result<Vec<Sent>, QueueError> {
        let mut find = self.0.prepare_cached(
            "SELECT id, trigger, attributes, content_type, data FROM sends
             WHERE state = ?1 ORDER BY id LIMIT ?2",
        )?;
        let sent = |row: &rusqlite::Row<'_>| {
            Ok(Sent { id: row.get(0)?, trigger: row.get(1)?, content: content(row, 2)? })
        };
        let taken: Vec<Sent> =
            find.query_map(params![ASKED, most], sent)?.collect::<Result<_, _>>()?;
        let mut mark = self.0.prepare_cached("UPDATE sends SET state = ?2 WHERE id = ?1")?;
        taken.iter().try_for_each(|sent| mark.execute([sent.id, UNDER_WAY]).map(drop))?;
        Ok(taken)
    }

    /// Notes what became of an event that was sent. Whoever waited may be gone, and the event with it.
    pub(super) fn tell(&self, id: i64, outcome: &Outcome) -> Result<(), QueueError> {
        match outcome {
            Outcome::Answered(Content { attributes, content_type, data }) => {
                let mut tell = self.0.prepare_cached(
                    "UPDATE sends SET state = ?2, attributes = ?3, content_type = ?4, data = ?5
                     WHERE id = ?1",
                )?;
                tell.execute(params![id, HANDLED, written(attributes), content_type, &data[..]])?;
            }
            Outcome::GivenUp(error) => {
                let mut tell = self
                    .0
                    .prepare_cached("UPDATE sends SET state = ?2, error = ?3 WHERE id = ?1")?;
                tell.execute(params![id, GIVEN_UP, error])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_once_and_what_became_of_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("q.db")).unwrap();
        let trigger = |id: &str| Announced {
            id: id.to_owned(),
            component: "c".to_owned(),
            source: "queue a".to_owned(),
        };
        let triggers = [trigger("t"), trigger("a")];
        table.announce(&triggers).unwrap();
        assert_eq!(table.announced().unwrap(), triggers);
        let content = |data: &'static str| Content { data: data.into(), ..Content::default() };
        let id = table.send("t", &content("x")).unwrap();
        let sent = table.take_sent(9).unwrap().remove(0);
        assert_eq!((&*sent.trigger, sent.content), ("t", content("x")));
        assert!(table.take_sent(9).unwrap().is_empty());
        assert_eq!(table.outcome(id).unwrap(), None);
        let answered = Outcome::Answered(content("y"));
        table.tell(id, &answered).unwrap();
        assert_eq!(table.outcome(id).unwrap(), Some(answered));
        let given_up = Outcome::GivenUp("no".to_owned());
        table.tell(id, &given_up).unwrap();
        assert_eq!(table.outcome(id).unwrap(), Some(given_up));
        table.announce(&triggers).unwrap();
        assert!(table.outcome(id).is_ok(), "another release of the app that runs");
        table.recover().unwrap();
        assert!(table.outcome(id).is_err(), "another process");
        let large = Content { data: vec![0; MESSAGE_BYTES + 1].into(), ..Content::default() };
        assert!(matches!(table.send("t", &large), Err(QueueError::TooLarge)));
    }
}
