//! What clients of apps do while processes die, and what they may be answered.

use std::time::Duration;

use dayfly_testing::{Body, Client};
use tokio::time::{Instant, sleep};

/// The pause of a client that was not answered.
const PAUSE: Duration = Duration::from_millis(20);

/// What a guest says of lines of SQL, if it is there.
pub(super) async fn sql(client: &Client, host: &str, lines: String) -> Result<String, String> {
    let request = client.request(http::Method::POST, "/sqlite/default").header("host", host);
    let answer = client.try_send(request.body(Body::full(lines))).await?;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

/// What came of writing.
pub(super) struct Written {
    /// The rows that were answered.
    pub(super) stored: Vec<String>,
    /// How many were refused.
    pub(super) refused: usize,
}

/// Writes until a time, whoever dies meanwhile. Only where it may is a row refused.
pub(super) fn write(
    base: &str,
    host: String,
    round: u32,
    until: Instant,
    may_refuse: bool,
) -> impl Future<Output = Written> + use<> {
    let client = Client::http1(base);
    async move {
        let (mut stored, mut refused) = (Vec::new(), 0);
        for number in 0.. {
            let row = format!("{round}-{number}");
            match sql(&client, &host, format!("INSERT INTO t VALUES ('{row}')\n")).await {
                Ok(said) if !said.contains("error") => stored.push(row),
                Ok(said) => {
                    assert!(may_refuse, "{host}: {said}");
                    refused += 1;
                }
                Err(_) => sleep(PAUSE).await,
            }
            if Instant::now() > until {
                break;
            }
        }
        Written { stored, refused }
    }
}

/// Asks until a time which release serves. That is one of these, whole, or nobody is there.
pub(super) fn ask_on(
    base: &str,
    host: String,
    expected: Vec<u32>,
    until: Instant,
) -> impl Future<Output = ()> + use<> {
    let client = Client::http1(base);
    async move {
        while Instant::now() < until {
            match release(&client, &host).await {
                Ok(number) => assert!(expected.contains(&number), "{host}: {number} is served"),
                Err(Absent) => sleep(PAUSE).await,
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// There is nobody who answers, as yet.
pub(super) struct Absent;

/// Which release of an app answers. One that may come again says so; nothing else is an answer.
pub(super) async fn release(client: &Client, host: &str) -> Result<u32, Absent> {
    let request = client.request(http::Method::GET, "/env").header("host", host);
    let Ok(answer) = client.try_send(request.body(Body::empty())).await else { return Err(Absent) };
    let text = answer.text();
    if [502, 503].contains(&answer.status) {
        return Err(Absent);
    }
    assert_eq!(answer.status, 200, "{host}: {text}");
    let number = text.lines().find_map(|line| line.strip_prefix("RELEASE="));
    let number = number.and_then(|number| number.parse().ok());
    Ok(number.unwrap_or_else(|| panic!("{host}: no release in {text}")))
}
