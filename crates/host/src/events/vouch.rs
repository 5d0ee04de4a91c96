//! What this process says of how many steps lie behind an event that it sends by HTTP, so that it believes
//! itself if that comes back to one of its own routes. What clients say of that is not believed: nobody else
//! knows the key, which lives as long as the process.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Event;

/// The number of steps, a space, and by whom that is said.
const STEPS: HeaderName = HeaderName::from_static("dayfly-steps");

/// The event that it is said of.
const ID: HeaderName = HeaderName::from_static("ce-id");

/// Without randomness nothing is said, and nothing believed.
static KEY: LazyLock<Option<[u8; 32]>> = LazyLock::new(|| {
    let mut key = [0; 32];
    getrandom::fill(&mut key).ok().map(|()| key)
});

/// Says how many steps lie behind an event in the headers that it is sent with.
pub(super) fn vouch(headers: &mut HeaderMap, event: &Event) {
    let seal = headers.get(ID).and_then(|id| seal(event.hops, id.as_bytes()));
    let said = seal.map(|seal| HeaderValue::try_from(format!("{} {seal}", event.hops)));
    if let Some(Ok(said)) = said {
        headers.insert(STEPS, said);
    }
}

/// How many steps lie behind a request, as far as this process said so. What says it is taken away.
pub(crate) fn vouched(headers: &mut HeaderMap) -> u32 {
    let Some(said) = headers.remove(STEPS) else { return 0 };
    let believed = || {
        let (steps, sealed) = said.to_str().ok()?.split_once(' ')?;
        let steps = steps.parse().ok()?;
        let seal = seal(steps, headers.get(ID)?.as_bytes())?;
        // Compared in constant time.
        (blake3::Hash::from_hex(sealed).ok()? == seal).then_some(steps)
    };
    believed().unwrap_or(0)
}

fn seal(steps: u32, id: &[u8]) -> Option<blake3::Hash> {
    let mut hasher = blake3::Hasher::new_keyed(KEY.as_ref()?);
    Some(hasher.update(&steps.to_le_bytes()).update(id).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(hops: u32) -> HeaderMap {
        let event = Event { hops, ..Event::new("/a", "dayfly.test", bytes::Bytes::new()) };
        let mut headers = event.own_headers();
        vouch(&mut headers, &event);
        headers
    }

    #[test]
    fn what_was_said_here_is_believed_once_and_not_passed_on() {
        let mut headers = sent(3);
        assert_eq!(vouched(&mut headers), 3);
        assert!(!headers.contains_key(STEPS));
        assert_eq!(vouched(&mut headers), 0);
    }

    #[test]
    fn what_others_say_is_not_believed() {
        let said = sent(3)[STEPS].to_str().unwrap().to_owned();
        let (_, seal) = said.split_once(' ').unwrap();
        for said in [&format!("4 {seal}"), &format!("3 {}", "0".repeat(64)), "3", "3 x", ""] {
            let mut headers = sent(3);
            headers.insert(STEPS, said.parse().unwrap());
            assert_eq!(vouched(&mut headers), 0, "{said}");
            assert!(!headers.contains_key(STEPS));
        }
        // Of another event.
        let mut headers = sent(3);
        headers.insert(ID, "another".parse().unwrap());
        assert_eq!(vouched(&mut headers), 0);
    }
}
