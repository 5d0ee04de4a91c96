//! The page in a real browser, used as people use it.

use dayfly_testing::{Browser, Running, Tab};

use super::{TREATS, ring, up};

/// A tab in which the game has begun.
async fn open(browser: &Browser, server: &Running) -> Tab {
    let tab = browser.tab().await;
    tab.resize(1280, 860).await;
    begin(&tab, server).await;
    tab
}

async fn begin(tab: &Tab, server: &Running) {
    tab.go(&format!("{}/", server.base())).await;
    tab.until("document.body.dataset.ready && document.getElementById('live').className == 'on'")
        .await;
}

/// Does something with one treat after the other until one counts, and gives back how many points there are.
async fn until_one_counts(tab: &Tab, mut offer: impl AsyncFnMut(usize)) -> i64 {
    let points = async || tab.text("#points").await.parse::<i64>().unwrap();
    let before = points().await;
    for number in 0..40 {
        let clicks: i64 = tab.text("#clicks").await.parse().unwrap();
        offer(number % 4).await;
        tab.until(&format!("+document.getElementById('clicks').textContent > {clicks}")).await;
        if points().await > before {
            return points().await;
        }
    }
    panic!("it takes nothing");
}

async fn click(tab: &Tab, treat: usize) {
    tab.click(&format!("[data-treat={}]", TREATS[treat])).await;
}

#[tokio::test]
async fn a_treat_counts_and_every_open_page_hears_of_it() {
    let (server, browser) = (up().await, Browser::start().await);
    let (one, other) = (open(&browser, &server).await, open(&browser, &server).await);
    one.click("#name").await;
    one.write("<img src=x onerror=document.title='stolen'>".get(..20).unwrap()).await;
    let points = until_one_counts(&one, async |treat| click(&one, treat).await).await;
    assert_eq!(one.value("document.getElementById('answered').dataset.place").await, "server");
    assert!(one.text("#answered").await.starts_with("The server judged that, and answered in "));
    assert!(one.text("#said").await.starts_with("The cat "), "{}", one.text("#said").await);
    // The other page was not touched.
    other.until(&format!("document.getElementById('points').textContent == '{points}'")).await;
    other.until("document.querySelectorAll('#news li').length").await;
    assert!(other.text("#news").await.contains("<img src=x onerror="));
    assert!(other.text("#friends").await.contains("<img src=x onerror="));
    let hunger: i64 =
        other.value("+document.getElementById('hunger').dataset.hunger").await.as_i64().unwrap();
    ring(&server).await;
    other.until(&format!("document.getElementById('hunger').dataset.hunger > {hunger}")).await;
    for tab in [&one, &other] {
        assert_eq!(tab.value("document.title").await, "Whiskers");
        assert_eq!(tab.complaints(), [""; 0]);
    }
    server.stop().await;
}

#[tokio::test]
async fn it_is_played_by_keys_alone() {
    let (server, browser) = (up().await, Browser::start().await);
    let tab = open(&browser, &server).await;
    // By numbers, from anywhere.
    until_one_counts(&tab, async |treat| tab.press(&(treat + 1).to_string()).await).await;
    // By going there. The first treat is the first thing to go to.
    let focused = "document.activeElement.dataset.treat ?? document.activeElement.value ?? ''";
    tab.press("Tab").await;
    assert_eq!(tab.value(focused).await, "sardine");
    tab.press("Tab").await;
    assert_eq!(tab.value(focused).await, "cream");
    let outline = tab.value("getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "the focus is seen");
    let clicks: i64 = tab.text("#clicks").await.parse().unwrap();
    tab.press("Enter").await;
    tab.until(&format!("+document.getElementById('clicks').textContent == {}", clicks + 1)).await;
    // A number in a name is no treat.
    tab.value("document.getElementById('name').focus()").await;
    tab.press("4").await;
    assert_eq!(tab.value("document.getElementById('name').value").await, "4");
    // The switch.
    tab.press("Tab").await;
    assert_eq!(tab.value(focused).await, "server");
    tab.press("ArrowRight").await;
    tab.until("document.body.dataset.place == 'browser'").await;
    assert_eq!(tab.text("#clicks").await, "0");
    assert_eq!(tab.complaints(), [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn the_browser_judges_when_it_is_told_to_and_says_so() {
    let (server, browser) = (up().await, Browser::start().await);
    let tab = open(&browser, &server).await;
    tab.value("document.querySelector('[value=browser]').click()").await;
    until_one_counts(&tab, async |treat| click(&tab, treat).await).await;
    assert_eq!(tab.value("document.getElementById('answered').dataset.place").await, "browser");
    assert!(tab.text("#answered").await.starts_with("This browser judged that, in "));
    assert!(tab.text(".score h2").await.to_lowercase().contains("for practice"));
    // The cat of all was not asked.
    tab.value("document.querySelector('[value=server]').click()").await;
    assert_eq!(tab.text("#clicks").await, "0");
    click(&tab, 0).await;
    tab.until("document.getElementById('answered').dataset.place == 'server'").await;
    assert_eq!(tab.complaints(), [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn the_browser_judges_while_the_server_is_away() {
    let (server, browser) = (up().await, Browser::start().await);
    let tab = open(&browser, &server).await;
    server.stop().await;
    tab.until("document.getElementById('live').className == ''").await;
    click(&tab, 0).await;
    tab.until("document.getElementById('answered').dataset.place == 'browser'").await;
    let said = tab.text("#answered").await;
    assert!(said.starts_with("The server does not answer. This browser judged that"), "{said}");
    assert_eq!(tab.text("#live").await, "connecting");
}

#[tokio::test]
async fn it_fits_a_phone_and_people_who_want_no_motion() {
    let (server, browser) = (up().await, Browser::start().await);
    let tab = browser.tab().await;
    tab.prefer(&[("prefers-reduced-motion", "reduce")]).await;
    for (width, height) in [(320, 568), (390, 844), (844, 390), (768, 1024)] {
        tab.resize(width, height).await;
        begin(&tab, &server).await;
        let wide = tab.value("document.documentElement.scrollWidth").await;
        assert_eq!(wide, width, "{width} × {height}");
        // A thumb hits what it is meant to.
        let small = "[...document.querySelectorAll('button, .switch label, #name')]\
            .map((it) => it.getBoundingClientRect()).filter(({ width, height }) => width < 44 || height < 36).length";
        assert_eq!(tab.value(small).await, 0);
        click(&tab, 0).await;
        tab.until("document.getElementById('said').textContent").await;
        let moves = "document.getAnimations().filter((it) => it.effect.getComputedTiming().duration > 10).length";
        assert_eq!(tab.value(moves).await, 0);
    }
    assert_eq!(tab.complaints(), [""; 0]);
    server.stop().await;
}
