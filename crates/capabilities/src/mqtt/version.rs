//! Which version of MQTT a broker is spoken to in: 5, whose messages can say something of themselves beside
//! their data, unless it knows 3.1.1 alone.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::link::Error;

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1.
    Three,
    /// 5.
    Five,
}

/// What is known of the version that a broker speaks.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    is_old: AtomicBool,
}

impl Spoken {
    /// Logs in by the newest version that the broker speaks.
    pub(crate) async fn agree<T, F>(&self, log_in: impl Fn(Version) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if !self.is_old.load(Relaxed) {
            match log_in(Version::Five).await {
                Err(Error::Version) => self.is_old.store(true, Relaxed),
                // Some say nothing where they do not understand; others were just about to end.
                Err(Error::Closed) => {}
                logged_in => return logged_in,
            }
        }
        log_in(Version::Three).await
    }
}
