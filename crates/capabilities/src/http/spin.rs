//! `fermyon:spin/http`, which every SDK of Spin 1 has: requests whose bodies come and go whole.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody};

use super::host;
use super::whole::{self, Held, Request as Asked, Response as Answered};
use crate::{HostState, Share};

/// The interface that [`link`] defines.
const INTERFACE: &str = "fermyon:spin/http";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum HttpError {
    #[component(name = "success")]
    #[allow(dead_code, reason = "the interface has it")]
    Success,
    #[component(name = "destination-not-allowed")]
    DestinationNotAllowed,
    #[component(name = "invalid-url")]
    InvalidUrl,
    #[component(name = "request-error")]
    Request,
    #[component(name = "runtime-error")]
    Runtime,
    #[component(name = "too-many-requests")]
    TooManyRequests,
}

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap_async(
        "send-request",
        |store: StoreContextMut<'_, HostState>, (asked,): (Asked,)| {
            Box::new(async move { Ok((send(store, asked).await,)) })
        },
    )
}

async fn send(
    mut store: StoreContextMut<'_, HostState>,
    asked: Asked,
) -> Result<Answered, HttpError> {
    let state = store.data_mut();
    let request = request(asked, state.grants().whole())?;
    let left = state.spend_outbound();
    let (grants, behind) = (state.shared_grants(), state.led_to_it());
    let limit = whole::BODY_BYTES.min(grants.limits.memory_bytes);
    let response = host::send(grants.clone(), left, request, RequestOptions::default(), behind);
    let response = response.await?;
    let (parts, body) = response.into_parts();
    // It is the guest's own as soon as this returns; others waited for it until then.
    let (body, _part) = Held::receive(body, limit, grants.whole())
        .await
        .map_err(|error| {
            let component = &grants.component;
            tracing::debug!(%component, ?error, "the body of an outbound response was not read");
            HttpError::Runtime
        })?
        .into_parts();
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = parts.headers.iter().filter_map(text).collect();
    Ok(Answered { status: parts.status.as_u16(), headers: Some(headers), body: Some(body) })
}

/// The request as a client sends it. Headers that are the connection's to set are left out.
fn request(asked: Asked, share: &Share) -> Result<Request<WasiBody>, HttpError> {
    let Asked { method, uri, headers, body, .. } = asked;
    let uri = if uri.starts_with('/') { format!("http://self{uri}") } else { uri };
    let uri: http::Uri = uri.parse().map_err(|_| HttpError::InvalidUrl)?;
    let body = Held::of(body.unwrap_or_default(), share).ok_or(HttpError::TooManyRequests)?;
    let body = Full::new(Bytes::from(body)).map_err(Error::from);
    let mut request = Request::new(body.boxed_unsync());
    *request.method_mut() = method.into();
    *request.uri_mut() = uri;
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|_| HttpError::Request)?;
        let value = HeaderValue::try_from(value).map_err(|_| HttpError::Request)?;
        if name != CONTENT_LENGTH && !DEFAULT_FORBIDDEN_HEADERS.contains(&name) {
            request.headers_mut().try_append(name, value).map_err(|_| HttpError::Request)?;
        }
    }
    Ok(request)
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        match error {
            Error::HttpRequestDenied | Error::DestinationIpProhibited => {
                Self::DestinationNotAllowed
            }
            Error::HttpRequestUriInvalid => Self::InvalidUrl,
            Error::ConnectionLimitReached | Error::LoopDetected => Self::TooManyRequests,
            _ => Self::Runtime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole::Method;
    use super::*;

    fn asked(uri: &str, headers: &[(&str, &str)]) -> Asked {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let (headers, params) = (headers.collect(), Vec::new());
        Asked { method: Method::Post, uri: uri.to_owned(), headers, params, body: None }
    }

    fn request_of(asked: Asked) -> Result<Request<WasiBody>, HttpError> {
        request(asked, &Share::unbounded())
    }

    #[test]
    fn a_path_alone_is_the_apps_own() {
        let request = request_of(asked("/a?b=c", &[])).unwrap();
        assert_eq!(request.uri(), "http://self/a?b=c");
        assert_eq!(request.method(), http::Method::POST);
    }

    #[test]
    fn headers_of_the_connection_are_left_out() {
        let headers =
            [("Content-Length", "5"), ("transfer-encoding", "chunked"), ("Host", "x"), ("a", "b")];
        let request = request_of(asked("http://example.com", &headers)).unwrap();
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["a"], "b");
    }

    #[test]
    fn what_is_malformed_is_the_guests_mistake() {
        let error = |uri, headers: &[(&str, &str)]| request_of(asked(uri, headers)).err();
        assert_eq!(error("http://exa mple", &[]), Some(HttpError::InvalidUrl));
        assert_eq!(error("http://example.com", &[("a b", "")]), Some(HttpError::Request));
        assert_eq!(error("http://example.com", &[("a", "b\r\nc: d")]), Some(HttpError::Request));
    }
}
