//! One answer that is kept for a while, so that a guest's question is not a question to others each
//! time. Who asks while somebody does already waits for the same answer.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::VaultError;

/// How long an answer holds, `there is none` too.
const HOLDS: Duration = Duration::from_secs(60);

/// How long a failure does: long enough that a server which is down is not asked by every request.
const FAILED: Duration = Duration::from_secs(1);

type Answer = Result<Option<String>, VaultError>;

/// The last answer. A question that is given up gives its turn to the next who waits.
#[derive(Default)]
pub(super) struct Cached(Mutex<Option<(Instant, Answer)>>);

impl Cached {
    /// What was answered lately, or what `ask` answers now.
    pub(super) async fn get<F: Future<Output = Answer>>(&self, ask: impl FnOnce() -> F) -> Answer {
        let mut last = self.0.lock().await;
        if let Some((until, answer)) = last.as_ref()
            && Instant::now() < *until
        {
            return answer.clone();
        }
        *last = None;
        let answer = ask().await;
        let holds = if answer.is_ok() { HOLDS } else { FAILED };
        *last = Some((Instant::now() + holds, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_minute_and_a_failure_for_a_second() {
        let cached = Cached::default();
        let asked = AtomicU32::new(0);
        let get = async |answer: Answer| {
            let answer = cached
                .get(|| async {
                    asked.fetch_add(1, Relaxed);
                    answer
                })
                .await;
            (answer.ok().flatten(), asked.load(Relaxed))
        };
        let value = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(get(Err(VaultError::Timeout)).await, (None, 1));
        assert_eq!(get(value("a")).await, (None, 1));
        tokio::time::advance(FAILED).await;
        assert_eq!(get(value("a")).await, (Some("a".to_owned()), 2));
        assert_eq!(get(value("b")).await, (Some("a".to_owned()), 2));
        tokio::time::advance(HOLDS).await;
        assert_eq!(get(value("b")).await, (Some("b".to_owned()), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_are_one_question() {
        let cached = Cached::default();
        let asked = AtomicU32::new(0);
        let slow = || async {
            asked.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Some("a".to_owned()))
        };
        // One gives up: the next asks in its place.
        let given_up = tokio::time::timeout(Duration::from_millis(500), cached.get(slow));
        let (given_up, one, two) = tokio::join!(given_up, cached.get(slow), cached.get(slow));
        assert!(given_up.is_err());
        assert_eq!((one.unwrap(), two.unwrap()), (Some("a".to_owned()), Some("a".to_owned())));
        assert_eq!(asked.load(Relaxed), 2);
    }
}
