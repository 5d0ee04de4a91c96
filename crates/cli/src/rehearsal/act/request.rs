//! A request of a client, over the socket that the app listens on.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use dayfly_model::test_file::Request;
use http::header::HOST;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Outcome;
use crate::rehearsal::stage::Stage;
use crate::rehearsal::{causes, content};

/// The largest answer, in bytes.
const BODY_BYTES: usize = 64 << 20;

/// Connects to the app; the host that it is reached under, too.
pub(super) async fn connect<'s>(stage: &'s Stage<'_>) -> Result<(TcpStream, &'s str)> {
    let url = stage.url.as_deref().context("the app has no routes")?;
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let stream = TcpStream::connect(authority).await.context("the app is not reached")?;
    Ok((stream, authority))
}

/// Sends a request, and takes the whole answer.
pub(super) async fn send(stage: &Stage<'_>, asked: &Request) -> Result<Outcome> {
    let (stream, authority) = connect(stage).await?;
    let body = asked.body.as_ref().map(content::bytes).transpose()?.unwrap_or_default();
    let mut request = http::Request::builder().method(asked.method.as_str()).uri(&*asked.path);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let mut request = request.body(Full::new(Bytes::from(body)))?;
    request.headers_mut().entry(HOST).or_insert(authority.parse()?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.context("no answer came")?;
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => bail!("the answer broke off: {error}"),
    };
    if head.status.is_server_error()
        && let Some(cause) = causes::of(&String::from_utf8_lossy(&body))
    {
        stage.seen.note(format!("dayfly | {cause}"));
    }
    Ok(Outcome {
        status: Some(head.status.as_u16().into()),
        headers: head.headers,
        body: Some(body),
        ..Outcome::default()
    })
}
