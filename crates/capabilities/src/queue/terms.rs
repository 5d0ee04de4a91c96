//! What a message that is to be put says of itself beside its content: two attributes tell when it may
//! be taken and what is taken before it, whoever puts it. A third counts the steps behind it.

use std::time::Duration;

use super::{Content, New, QueueError};

/// The attribute that says how long a message is not taken, such as `10s`.
pub const DELAY: &str = "dayflydelay";

/// The attribute that says which messages are taken first: those of a higher number; 0 is usual.
pub const PRIORITY: &str = "dayflypriority";

/// The attribute that counts the steps of a topology that an event has behind it.
pub const HOPS: &str = "dayflyhops";

/// How many steps that may be: more are a cycle.
pub const MOST_HOPS: u32 = 16;

/// The longest delay.
pub(super) const MOST_DELAY: Duration = Duration::from_hours(24 * 3650);

impl New {
    /// A message as its attributes say, which are not kept then.
    ///
    /// # Errors
    /// If an attribute means nothing.
    pub fn of_content(queue: String, mut content: Content) -> Result<Self, QueueError> {
        let delay = match take(&mut content, DELAY) {
            Some(text) => read_delay(&text)?,
            None => Duration::ZERO,
        };
        let priority = match take(&mut content, PRIORITY) {
            Some(text) => text.parse().map_err(|_| QueueError::Priority)?,
            None => 0,
        };
        Ok(Self { queue, delay, priority, content })
    }
}

/// Notes that a message has so many steps behind it, unless it says of more itself; `name` is what the
/// attribute is called where it goes.
///
/// # Errors
/// If it has too many.
pub fn note_hops(
    attributes: &mut Vec<(String, String)>,
    name: &str,
    hops: u32,
) -> Result<(), QueueError> {
    let is_it = |(known, _): &(String, String)| known.eq_ignore_ascii_case(name);
    let stated =
        attributes.iter().filter(|it| is_it(it)).filter_map(|(_, value)| value.parse().ok());
    let hops = stated.max().unwrap_or(0).max(hops);
    if hops > MOST_HOPS {
        return Err(QueueError::Cycle);
    }
    attributes.retain(|it| !is_it(it));
    if hops > 0 {
        attributes.push((name.to_owned(), hops.to_string()));
    }
    Ok(())
}

fn take(content: &mut Content, attribute: &str) -> Option<String> {
    let at = content.attributes.iter().position(|(name, _)| name == attribute)?;
    Some(content.attributes.remove(at).1)
}

fn read_delay(text: &str) -> Result<Duration, QueueError> {
    if text == "0s" {
        return Ok(Duration::ZERO);
    }
    dayfly_model::manifest::parse_duration(text).map_err(|_| QueueError::Delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attributes: &[(&str, &str)]) -> Result<New, QueueError> {
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let content = Content { attributes: attributes.collect(), ..Content::default() };
        New::of_content("a".to_owned(), content)
    }

    #[test]
    fn attributes_say_when_and_before_what() {
        let new = of(&[("id", "1"), (DELAY, "10s"), (PRIORITY, "-5")]).unwrap();
        assert_eq!((new.delay, new.priority), (Duration::from_secs(10), -5));
        assert_eq!(new.content.attributes, [("id".to_owned(), "1".to_owned())]);
        let new = of(&[(DELAY, "0s")]).unwrap();
        assert_eq!((new.delay, new.priority), (Duration::ZERO, 0));
    }

    #[test]
    fn steps_are_counted_whatever_a_message_says_and_bounded() {
        let noted = |stated: &[(&str, &str)], hops| {
            let stated = stated.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let mut attributes: Vec<(String, String)> = stated.collect();
            note_hops(&mut attributes, HOPS, hops).map(|()| attributes)
        };
        assert_eq!(noted(&[], 0).unwrap(), []);
        let of = |hops: &str| vec![(HOPS.to_owned(), hops.to_owned())];
        assert_eq!(noted(&[], 3).unwrap(), of("3"));
        assert_eq!(noted(&[("DayflyHops", "2"), (HOPS, "x")], 3).unwrap(), of("3"));
        assert_eq!(noted(&[(HOPS, "5")], 3).unwrap(), of("5"));
        assert_eq!(noted(&[], MOST_HOPS).unwrap(), of("16"));
        assert!(matches!(noted(&[], MOST_HOPS + 1), Err(QueueError::Cycle)));
        assert!(matches!(noted(&[(HOPS, "17")], 0), Err(QueueError::Cycle)));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        assert!(matches!(of(&[(DELAY, "soon")]), Err(QueueError::Delay)));
        assert!(matches!(of(&[(DELAY, "-1s")]), Err(QueueError::Delay)));
        assert!(matches!(of(&[(PRIORITY, "high")]), Err(QueueError::Priority)));
        assert!(matches!(of(&[(PRIORITY, "3000000000")]), Err(QueueError::Priority)));
    }
}
