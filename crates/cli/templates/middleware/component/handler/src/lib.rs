use spin_sdk::http::{IntoResponse, Request, Response};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::{ErrorCode, Response as WasiResponse};

#[http_service]
async fn handle(request: Request) -> Result<WasiResponse, ErrorCode> {
    let query = request.uri().query().unwrap_or_default();
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or("world");
    Response::new(format!("hello {name}\n")).into_response()
}
