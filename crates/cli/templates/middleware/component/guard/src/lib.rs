//! Middleware: sees each request before the handler does, and each response after it.

use spin_sdk::http::{HeaderValue, IntoResponse, Request, Response, StatusCode, next};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::{ErrorCode, Response as WasiResponse};

#[http_service]
async fn handle(request: Request) -> Result<WasiResponse, ErrorCode> {
    if request.uri().query() == Some("secret") {
        let mut response = Response::new("not for everybody\n".to_owned());
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response.into_response();
    }
    let mut response = next(request)
        .await
        .map_err(|error| ErrorCode::InternalError(Some(format!("{error:?}"))))?;
    // Its environment is its own: the manifest says it where it names the middleware.
    let name = std::env::var("NAME").unwrap_or_default();
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().append("x-passed", name);
    }
    response.into_response()
}
