//! Dead letters that somebody wants to be delivered again, by whichever process: they are looked for in
//! the file from time to time.

use std::sync::Arc;
use std::time::Duration;

use dayfly_capabilities::queue::Owner;

use super::{Courier, Event, Parcel, Settled, is_ours};

/// How often is looked for them.
const LOOK: Duration = Duration::from_secs(1);

/// How many are taken at once.
const TOGETHER: u32 = 16;

/// Delivers dead letters of one trigger again, as they are asked for.
pub(super) async fn run(owner: Arc<Owner>, courier: Arc<Courier>) {
    let ending = courier.ending();
    if !is_ours(&owner, &ending).await {
        return;
    }
    while !ending.within(LOOK).await {
        let letters = match owner.resurrect(courier.trigger().to_string(), TOGETHER).await {
            Ok(letters) => letters,
            Err(error) => {
                tracing::warn!(trigger = &**courier.trigger(), %error, "dead letters cannot be read");
                continue;
            }
        };
        for letter in letters {
            let Some(leave) = courier.leave_to_begin().await else {
                let _ = owner.still_asked(letter.id).await;
                continue;
            };
            let default =
                Event::new("/dead-letters", "dayfly.dead_letter", letter.content.data.clone());
            let event = Event::of_content(letter.content, default);
            // It has all its attempts again.
            let parcel = Parcel { letter: letter.id, ..event.into() };
            let owner = owner.clone();
            courier.bring(leave, parcel, async move |settled| {
                let noted = match settled {
                    Settled::Done => owner.forget(letter.id).await,
                    // It lies where it lay.
                    Settled::Dead => Ok(()),
                    Settled::Back | Settled::Later(_) => owner.still_asked(letter.id).await,
                };
                if let Err(error) = noted {
                    tracing::error!(%error, dead_letter = letter.id, "a dead letter is in doubt");
                }
            });
        }
    }
}
