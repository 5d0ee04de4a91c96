//! The score: what the database has of the cat, its treats and its friends.

use crate::click::{Click, TREATS, name_of, treat_called};
use crate::exchange::Failure;
use crate::mind;
use crate::store::{Row, Store, number, text};
use crate::whiskers::game::rules::{self, Cat, Reply, Verdict};

/// How hungry a cat is that nobody has fed yet.
const HUNGER: u8 = 3;

/// So many clicks are remembered, lest one that comes again counts again.
const CLICKS: u32 = 100_000;

/// So many friends are remembered: those with the most points.
const FRIENDS: u32 = 1_000;

/// What everybody may know of the cat, which is not what it wants. `news` grows with each change, so that who
/// hears of two knows which is newer; the clue is plainer after each refusal, and if the cat is hungry.
const STATE: &str = "SELECT json_object(\
    'news', news, 'clue', mind->>('$.clues[' || min(refused + (hunger >= 4), 2) || ']'), \
    'hunger', hunger, 'refused', refused, 'streak', streak, 'points', points, 'clicks', clicks, \
    'treats', json((SELECT json_group_object(name, taken) FROM treats)), \
    'friends', json((SELECT json_group_array(json_array(name, points)) FROM \
      (SELECT name, points FROM friends ORDER BY points DESC, name LIMIT 5)))) FROM cat";

/// What is told of a click, which is kept with its id and told alike when it comes again.
const REMEMBER: &str = "INSERT INTO clicks (id, told) VALUES (?1, json_object(\
    'offered', ?2, 'name', ?3, 'reply', ?4, 'points', ?5, 'taken', json(iif(?6, 'true', 'false')), \
    'whim', iif(?7, (SELECT mind->>'whim' FROM cat), NULL))) RETURNING told";

pub struct Score(Store);

impl Score {
    /// The score, and a cat that wants something.
    pub fn open() -> Result<Self, Failure> {
        let score = Self(Store::open()?);
        if score.0.first("SELECT 1 FROM cat", &[])?.is_none() {
            score.begin(&mind::wish(&score.0, None)?)?;
        }
        Ok(score)
    }

    pub fn store(&self) -> &Store {
        &self.0
    }

    fn begin(&self, mind: &str) -> Result<(), Failure> {
        self.0.at_once(|| {
            let sql = "INSERT OR IGNORE INTO cat VALUES (1, ?, ?, 0, 0, 0, 0, 0)";
            self.0.run(sql, &[text(mind), number(HUNGER)])?;
            TREATS.iter().try_for_each(|(name, _)| {
                let sql = "INSERT OR IGNORE INTO treats VALUES (?, 0)";
                self.0.run(sql, &[text(name)]).map(drop)
            })
        })
    }

    pub fn state(&self) -> Result<String, Failure> {
        let row = self.0.first(STATE, &[])?;
        row.map(|row| row.text(0).to_owned()).ok_or_else(no_cat)
    }

    /// What was told of a click that was counted.
    pub fn told(&self, id: &str) -> Result<Option<String>, Failure> {
        let row = self.0.first("SELECT told FROM clicks WHERE id = ?", &[text(id)])?;
        Ok(row.map(|row| row.text(0).to_owned()))
    }

    pub fn cat(&self) -> Result<Cat, Failure> {
        let sql = "SELECT mind->>'wish', hunger, refused, streak FROM cat";
        let row = self.0.first(sql, &[])?.ok_or_else(no_cat)?;
        let small = |row: &Row, column| row.count(column).try_into().unwrap_or(u8::MAX);
        let wish = treat_called(row.text(0)).ok_or_else(no_cat)?;
        Ok(Cat { wish, hunger: small(&row, 1), refused: small(&row, 2), streak: row.count(3) })
    }

    /// Judges a click and counts it, in one step: a click is there with all that came of it, or it is not.
    pub fn count(&self, click: &Click, next: &str) -> Result<String, Failure> {
        self.0.at_once(|| {
            // It may have come twice at once.
            if let Some(told) = self.told(&click.id)? {
                return Ok(told);
            }
            let verdict = rules::judge(self.cat()?, click.treat);
            self.change(&verdict)?;
            if verdict.changes_its_mind {
                self.0.run("UPDATE cat SET mind = ?", &[text(next)])?;
            }
            if verdict.taken {
                self.thank(click, verdict.points)?;
            }
            self.remember(click, &verdict)
        })
    }

    fn change(&self, verdict: &Verdict) -> Result<(), Failure> {
        let sql = "UPDATE cat SET hunger = ?, refused = ?, streak = ?, points = points + ?, \
                   clicks = clicks + 1, news = news + 1";
        let new = [verdict.hunger.into(), verdict.refused.into(), verdict.streak, verdict.points];
        self.0.run(sql, &new.map(number)).map(drop)
    }

    fn thank(&self, click: &Click, points: u32) -> Result<(), Failure> {
        let treat = text(name_of(click.treat));
        self.0.run("UPDATE treats SET taken = taken + 1 WHERE name = ?", &[treat])?;
        if !click.name.is_empty() {
            let sql = "INSERT INTO friends VALUES (?, ?) \
                       ON CONFLICT (name) DO UPDATE SET points = points + excluded.points";
            self.0.run(sql, &[text(&click.name), number(points)])?;
        }
        Ok(())
    }

    fn remember(&self, click: &Click, verdict: &Verdict) -> Result<String, Failure> {
        let parameters = [
            text(&click.id),
            text(name_of(click.treat)),
            text(&click.name),
            text(called(verdict.reply)),
            number(verdict.points),
            number(verdict.taken),
            number(verdict.changes_its_mind),
        ];
        let row = self.0.first(REMEMBER, &parameters)?;
        row.map(|row| row.text(0).to_owned()).ok_or_else(no_cat)
    }

    /// One meal later. Of clicks and friends only the newest and the best are remembered.
    pub fn meal(&self) -> Result<(), Failure> {
        self.0.at_once(|| {
            let hunger = rules::hungrier(self.cat()?.hunger, 1);
            let sql = "UPDATE cat SET hunger = ?, news = news + 1";
            self.0.run(sql, &[number(hunger)])?;
            let sql = "DELETE FROM clicks WHERE number <= (SELECT max(number) FROM clicks) - ?";
            self.0.run(sql, &[number(CLICKS)])?;
            let sql = "DELETE FROM friends WHERE name IN \
                       (SELECT name FROM friends ORDER BY points DESC, name LIMIT -1 OFFSET ?)";
            self.0.run(sql, &[number(FRIENDS)]).map(drop)
        })
    }
}

fn no_cat() -> Failure {
    Failure::host("there is no cat")
}

fn called(reply: Reply) -> &'static str {
    match reply {
        Reply::Purrs => "purrs",
        Reply::Gobbles => "gobbles",
        Reply::Sniffs => "sniffs",
        Reply::TurnsAway => "turns-away",
        Reply::Blinks => "blinks",
    }
}
