//! A click as it comes, which is to say hostile.

use crate::exchange::{Failure, Request};
use crate::store::{Store, text};
use crate::whiskers::game::rules::Treat;

/// How long a name may be, in characters.
const NAME: usize = 20;

/// How long an id may be, in bytes: a UUID has 36.
const ID: std::ops::RangeInclusive<usize> = 8..=64;

/// All treats, in the order of the rules, as they are called outside.
pub const TREATS: [(&str, Treat); 4] = [
    ("sardine", Treat::Sardine),
    ("cream", Treat::Cream),
    ("chicken", Treat::Chicken),
    ("shrimp", Treat::Shrimp),
];

pub fn treat_called(name: &str) -> Option<Treat> {
    TREATS.iter().find(|(called, _)| *called == name).map(|(_, treat)| *treat)
}

pub fn name_of(treat: Treat) -> &'static str {
    TREATS[treat as usize].0
}

/// A click that may be counted.
pub struct Click {
    /// Made by the page: the same id is the same click.
    pub id: String,
    pub treat: Treat,
    /// Empty if the visitor has none.
    pub name: String,
}

impl Click {
    pub fn read(request: &Request, store: &Store) -> Result<Self, Failure> {
        // Pages of other sites cannot send this type without asking first.
        if request.header("content-type") != "application/json" {
            return Err(Failure::new(415, "a click is application/json"));
        }
        let parts = store.first(
            "SELECT body->>'id', body->>'treat', ifnull(body->>'name', '') \
             FROM (SELECT iif(json_valid(?1), ?1, '{}') AS body)",
            &[text(&request.text()?)],
        )?;
        let parts = parts.ok_or_else(|| Failure::host("no parts of a click"))?;
        let (id, treat, name) = (parts.text(0), parts.text(1), parts.text(2));
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !ID.contains(&id.len()) || !id.bytes().all(letters) {
            return Err(Failure::new(
                400,
                "a click has an id of 8 to 64 letters, digits and dashes",
            ));
        }
        let treat = treat_called(treat)
            .ok_or(Failure::new(400, "the treats are sardine, cream, chicken and shrimp"))?;
        Ok(Self { id: id.to_owned(), treat, name: cleaned(name)? })
    }
}

/// A name as others will see it: spaces joined, and nothing that is unseen or turns the text around.
fn cleaned(name: &str) -> Result<String, Failure> {
    let visible: String = name.chars().filter(|c| c.is_whitespace() || !is_hidden(*c)).collect();
    let name = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match name.chars().count() {
        0..=NAME => Ok(name),
        _ => Err(Failure::new(400, "a name has 20 characters at most")),
    }
}

/// Control characters, marks of direction, what has no width, and marks that pile up on a letter.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        || matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}')
}
