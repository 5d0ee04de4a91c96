//! An asynchronous handler by `wstd`, which makes a program of it: `main` is a fetch.

use wstd::http::{Body, Client, Error, Request, Response, StatusCode};
use wstd::time::Duration;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    if request.headers().contains_key("ce-id") {
        return forward(request).await;
    }
    match request.uri().path() {
        "/" | "/hello" => text(StatusCode::OK, "hello world"),
        "/echo" => Ok(Response::new(request.into_body())),
        "/headers" => text(StatusCode::OK, &headers(&request)),
        "/sleep" => {
            wstd::task::sleep(Duration::from_millis(50)).await;
            text(StatusCode::OK, "slept\n")
        }
        "/fetch" => fetch(&request).await,
        "/error" => Err(Error::msg("this handler fails when asked to")),
        other => text(StatusCode::NOT_FOUND, &format!("no such path: {other}\n")),
    }
}

fn headers(request: &Request<Body>) -> String {
    let mut lines = vec![format!("method {}", request.method()), format!("uri {}", request.uri())];
    for (name, value) in request.headers() {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    lines.join("\n") + "\n"
}

/// Passes on what `url`, the query's only parameter, answers.
async fn fetch(request: &Request<Body>) -> Result<Response<Body>, Error> {
    let query = request.uri().query().unwrap_or_default();
    let url = query.strip_prefix("url=").unwrap_or_default();
    let outgoing = Request::get(url).body(Body::empty())?;
    match Client::new().send(outgoing).await {
        Ok(response) => Ok(Response::new(response.into_body())),
        Err(error) => text(StatusCode::BAD_GATEWAY, &format!("{error:?}\n")),
    }
}

/// Sends an event's data on, which begins with the URL of where to; the answer is that of there.
async fn forward(request: Request<Body>) -> Result<Response<Body>, Error> {
    let mut body = request.into_body();
    let data = String::from_utf8_lossy(body.contents().await?).into_owned();
    let Some((url, rest)) = data.split_once(' ') else { return text(StatusCode::OK, &data) };
    let outgoing = Request::post(url).body(Body::from(rest.to_owned()))?;
    match Client::new().send(outgoing).await {
        Ok(response) => Ok(response),
        Err(error) => text(StatusCode::BAD_GATEWAY, &format!("{error:?}\n")),
    }
}

fn text(status: StatusCode, text: &str) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).body(text.to_owned().into())?)
}
