//! A handler of events that comes as an HTTP handler: it answers with what it got, unless that tells it
//! to do something else. It takes batches, too, and fails on those that hold an event with the data `fail`.

use std::time::{SystemTime, UNIX_EPOCH};

use wstd::http::{Body, Error, Request, Response, StatusCode};
use wstd::time::Duration;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    let facts = [header("ce-type"), header("ce-source"), header("ce-subject"), header("content-type")];
    let (kind, hops) = (header("ce-type"), header("ce-dayflyhops"));
    let mut body = request.into_body();
    let data = String::from_utf8_lossy(body.contents().await?).into_owned();
    if facts[3] == "application/cloudevents-batch+json" {
        let count = data.matches("\"specversion\"").count();
        println!("handled a batch of {count}");
        return match data.contains("\"fail\"") {
            true => status(StatusCode::IM_A_TEAPOT),
            false => Ok(Response::new(Body::from(format!("{count} {data}")))),
        };
    }
    let (word, rest) = data.split_once(' ').unwrap_or((&data, ""));
    let answer = match word {
        "fail" => return status(StatusCode::IM_A_TEAPOT),
        "trap" => panic!("told to"),
        "nothing" => return status(StatusCode::NO_CONTENT),
        "sleep" => {
            wstd::task::sleep(Duration::from_millis(rest.parse()?)).await;
            data.clone()
        }
        "facts" => facts.join("|"),
        "hops" => format!("{kind} {hops}"),
        "now" => began.to_string(),
        "large" => "x".repeat(rest.parse()?),
        _ => data.clone(),
    };
    println!("handled {data}");
    Ok(Response::builder().header("content-type", "text/plain").body(Body::from(answer))?)
}

fn status(status: StatusCode) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).body(Body::empty())?)
}
