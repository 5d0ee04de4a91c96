//! Code that nodes ask for is made as soon as they ask, without being looked for all the time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use dayfly_api::Scope;
use dayfly_model::platform::ArtifactStore as _;

use crate::{Platform, app, package, send};

/// Long before it is looked without being woken.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn what_is_asked_for_is_made_at_once_one_after_the_other() {
    let platform = Platform::new();
    let client = platform.client(&platform.token("acme", Scope::Deploy));
    client.make_app(&app("shop")).unwrap();
    let releases: Vec<_> = ["https://a.example", "https://b.example", "https://c.example"]
        .map(|host| {
            let (layer, manifest) = package(&[host]);
            send(&client, &layer).unwrap();
            client.make_release(&app("shop"), manifest).unwrap().id
        })
        .into();
    // As a node has it.
    let store = platform.store();
    // It has looked, and found nothing.
    sleep(Duration::from_secs(1));
    let since = Instant::now();
    for release in &releases {
        assert_eq!(store.want(&app("shop"), release).unwrap(), None);
    }
    while !store.wanted().unwrap().is_empty() {
        assert!(since.elapsed() < SOON, "nobody has looked");
        sleep(Duration::from_millis(10));
    }
}
