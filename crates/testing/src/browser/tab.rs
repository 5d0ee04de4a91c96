//! A tab: what a person does in it, and what is to be seen there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::connection::Connection;

/// How long something may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page in a tab.
pub struct Tab {
    connection: Arc<Connection>,
    session: String,
}

impl Tab {
    pub(super) fn new(connection: Arc<Connection>, session: String) -> Self {
        Self { connection, session }
    }

    async fn ask(&self, method: &str, parameters: Value) -> Value {
        self.connection.ask(Some(&self.session), method, parameters).await
    }

    pub(super) async fn listen(&self) {
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.ask(&format!("{domain}.enable"), json!({})).await;
        }
        self.ask("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
    }

    /// Goes to a page and waits until it is loaded.
    ///
    /// # Panics
    /// If it is not loaded in time.
    pub async fn go(&self, url: &str) {
        let went = self.ask("Page.navigate", json!({ "url": url })).await;
        assert!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        self.until("location.href != 'about:blank' && document.readyState == 'complete'").await;
    }

    /// What a script comes to, a promise's value where it is one.
    ///
    /// # Panics
    /// If it throws.
    pub async fn value(&self, script: &str) -> Value {
        let how = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let mut told = self.ask("Runtime.evaluate", how).await;
        assert!(told["exceptionDetails"].is_null(), "{script}: {}", told["exceptionDetails"]);
        told["result"]["value"].take()
    }

    /// The text that the first element of a selector shows.
    ///
    /// # Panics
    /// If there is none.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).innerText")).await;
        text.as_str().expect("a text").trim().to_owned()
    }

    /// Waits until a script comes to something true, and gives it back.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn until(&self, script: &str) -> Value {
        let begin = Instant::now();
        loop {
            let value = self.value(script).await;
            let is_false =
                matches!(&value, Value::Null | Value::Bool(false)) || value == 0 || value == "";
            if !is_false {
                return value;
            }
            assert!(begin.elapsed() < PATIENCE, "not in time: {script}");
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Clicks, by the mouse, into the middle of the first element of a selector.
    ///
    /// # Panics
    /// If there is none, or something else lies over it.
    pub async fn click(&self, selector: &str) {
        let place = self
            .value(&format!(
                "(() => {{ const it = document.querySelector({selector:?}); it.scrollIntoView({{ block: 'nearest' }});\
                 const box = it.getBoundingClientRect();\
                 const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];\
                 const top = document.elementFromPoint(x, y);\
                 return it.contains(top) ? {{ x, y }} : `${{top?.outerHTML}} lies over it`; }})()"
            ))
            .await;
        assert!(place.is_object(), "{selector}: {place}");
        for kind in ["mousePressed", "mouseReleased"] {
            let mut event = json!({ "type": kind, "button": "left", "clickCount": 1 });
            event["x"] = place["x"].clone();
            event["y"] = place["y"].clone();
            self.ask("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses a key: a character, or a name such as `Tab`.
    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "ArrowLeft" => (37, ""),
            "ArrowRight" => (39, ""),
            _ => (key.bytes().next().map_or(0, |byte| u32::from(byte.to_ascii_uppercase())), key),
        };
        let event = |kind: &str, text: &str| json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.ask("Input.dispatchKeyEvent", event("keyDown", text)).await;
        self.ask("Input.dispatchKeyEvent", event("keyUp", "")).await;
    }

    /// Types a text where the focus is.
    pub async fn write(&self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text })).await;
    }

    /// Makes the window so large, in CSS pixels; a small one is a phone's, which is touched.
    pub async fn resize(&self, width: u32, height: u32) {
        let is_phone = width < 600;
        let scale = if is_phone { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        self.ask("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone })).await;
    }

    /// Has media features be such, as `prefers-color-scheme` be `dark`.
    pub async fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<_> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// What is seen, as PNG.
    ///
    /// # Panics
    /// If the browser draws nothing.
    pub async fn picture(&self) -> Vec<u8> {
        let picture = self.ask("Page.captureScreenshot", json!({ "format": "png" })).await;
        BASE64_STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What the page complained of since it was asked last: errors and warnings in the console, exceptions, requests
    /// that failed.
    pub fn complaints(&self) -> Vec<String> {
        self.connection.complaints(&self.session)
    }
}
