//! The DevTools protocol on two pipes: JSON, a NUL behind each message. Of events only complaints are kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Connection {
    requests: tokio::sync::Mutex<ChildStdin>,
    last: AtomicU64,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Who waits for which command's answer.
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    /// What each session's page complained of.
    complaints: HashMap<String, Vec<String>>,
}

impl Connection {
    pub fn new(requests: ChildStdin, answers: ChildStdout) -> Arc<Self> {
        let requests = tokio::sync::Mutex::new(requests);
        let (last, heard) = (AtomicU64::new(0), Mutex::default());
        let connection = Arc::new(Self { requests, last, heard });
        // It ends with the pipe, which ends with the browser.
        tokio::spawn(Arc::clone(&connection).hear(answers));
        connection
    }

    /// What a command gives back.
    pub async fn ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        self.with_heard(|heard| heard.waiting.insert(id, sender));
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let text = format!("{message}\0");
        self.requests.lock().await.write_all(text.as_bytes()).await.expect("the browser listens");
        let answer = timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method}: no answer in time"));
        let mut answer = answer.unwrap_or_else(|_| panic!("{method}: the browser ended"));
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }

    /// What a session's page complained of since it was asked last.
    pub fn complaints(&self, session: &str) -> Vec<String> {
        self.with_heard(|heard| heard.complaints.remove(session).unwrap_or_default())
    }

    async fn hear(self: Arc<Self>, answers: ChildStdout) {
        let mut answers = BufReader::new(answers);
        let mut message = Vec::new();
        while answers.read_until(0, &mut message).await.is_ok_and(|length| length > 0) {
            message.pop();
            if let Ok(message) = serde_json::from_slice(&message) {
                self.take(message);
            }
            message.clear();
        }
        // Who still waits need not wait any longer.
        self.with_heard(|heard| heard.waiting.clear());
    }

    fn take(&self, message: Value) {
        self.with_heard(|heard| {
            if let Some(waiting) = message["id"].as_u64().and_then(|id| heard.waiting.remove(&id)) {
                // Who gave up does not wait.
                let _ = waiting.send(message);
            } else if let Some(complaint) = complaint(&message) {
                let session = message["sessionId"].as_str().unwrap_or_default();
                heard.complaints.entry(session.to_owned()).or_default().push(complaint);
            }
        });
    }

    fn with_heard<T>(&self, work: impl FnOnce(&mut Heard) -> T) -> T {
        work(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an event complains of: an error or a warning in the console, an exception, a request that failed.
fn complaint(event: &Value) -> Option<String> {
    let about = &event["params"];
    let told = match event["method"].as_str()? {
        "Runtime.consoleAPICalled" if about["type"] == "error" || about["type"] == "warning" => {
            &about["args"]
        }
        "Runtime.exceptionThrown" => &about["exceptionDetails"],
        "Log.entryAdded" if about["entry"]["level"] != "verbose" => &about["entry"],
        _ => return None,
    };
    Some(told.to_string())
}
