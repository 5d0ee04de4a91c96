//! The pictures of the documentation, taken of the game as it is played. `UPDATE_GOLDEN=1` writes them.

use dayfly_testing::{Browser, Running, Tab, workspace};

use super::{TREATS, offer, ring, up};

/// Who played before the picture is taken.
const FRIENDS: [&str; 6] = ["Ada", "Grace", "Linus", "Barbara", "Ken", "mum"];

/// A game that has been going on for a while, with a hungry cat.
async fn played() -> Running {
    let server = up().await;
    for number in 0..90 {
        if number % 4 == 3 {
            ring(&server).await;
        }
        offer(&server, TREATS[number % 4], FRIENDS[number % 17 % 6]).await;
    }
    for _ in 0..4 {
        ring(&server).await;
    }
    server
}

/// The page of a size and a colour scheme, at rest.
async fn show(tab: &Tab, server: &Running, (width, height): (u32, u32), scheme: &str) {
    tab.resize(width, height).await;
    tab.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]).await;
    tab.go(&format!("{}/", server.base())).await;
    tab.until("document.body.dataset.ready && document.getElementById('live').className == 'on'")
        .await;
}

/// Offers what it wants, so that it is seen to be pleased.
async fn please(tab: &Tab) {
    for number in 0..40 {
        tab.click(&format!("[data-treat={}]", TREATS[number % 4])).await;
        tab.until("document.getElementById('verdict').classList.contains('new')").await;
        let pleased = "document.getElementById('cat').dataset.mood";
        tab.until(&format!(
            "['purrs', 'sniffs', 'turns-away', 'gobbles', 'blinks'].includes({pleased})"
        ))
        .await;
        if tab.value(pleased).await == "purrs" {
            return;
        }
        tab.until(&format!("['waits', 'starves', 'sleeps'].includes({pleased})")).await;
    }
    panic!("it is never pleased");
}

/// Its size in pixels, as PNG's header has it.
fn size(picture: &[u8]) -> (u32, u32) {
    assert_eq!(&picture[1..4], b"PNG");
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test]
async fn they_show_the_game() {
    let (server, browser) = (played().await, Browser::start().await);
    let tab = browser.tab().await;
    let mut pictures = Vec::new();
    show(&tab, &server, (1280, 900), "light").await;
    please(&tab).await;
    pictures.push(("whiskers.png", tab.picture().await, (1280, 900)));
    show(&tab, &server, (1280, 900), "dark").await;
    pictures.push(("whiskers-dark.png", tab.picture().await, (1280, 900)));
    show(&tab, &server, (390, 844), "light").await;
    pictures.push(("whiskers-phone.png", tab.picture().await, (780, 1688)));
    for (name, picture, expected) in pictures {
        assert_eq!(size(&picture), expected, "{name}");
        // A blank page takes a hundredth of it.
        assert!(picture.len() > 50_000, "{name} has {} bytes", picture.len());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(workspace().join("docs/images").join(name), picture).unwrap();
        }
    }
    assert_eq!(tab.complaints(), [""; 0]);
    server.stop().await;
}
