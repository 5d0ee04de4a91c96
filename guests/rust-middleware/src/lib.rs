//! Middleware by spin-sdk 7: adds a header to the request and one to the response, with the name
//! that its environment gives it. `/stop` it answers itself; `/middleware/fetch?URL` and
//! `/middleware/env?NAME` say what it may do.

use spin_sdk::http::{
    HeaderValue, IntoResponse, Request, Response, StatusCode, get, next,
};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::{ErrorCode, Response as WasiResponse};

type Answer = Result<WasiResponse, ErrorCode>;

#[http_service]
async fn handle(mut request: Request) -> Answer {
    let name = std::env::var("NAME").unwrap_or_else(|_| "unnamed".to_owned());
    let argument = request.uri().query().unwrap_or_default().to_owned();
    match request.uri().path() {
        "/stop" => text(StatusCode::IM_A_TEAPOT, format!("stopped by {name}")),
        "/middleware/env" => {
            text(StatusCode::OK, std::env::var(&argument).unwrap_or_else(|e| e.to_string()))
        }
        "/middleware/fetch" => match get(&argument).await {
            Ok(response) => text(StatusCode::OK, response.status().to_string()),
            Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:?}")),
        },
        _ => {
            let value = HeaderValue::from_str(&name).expect("the name is a legal value");
            request.headers_mut().append("x-passed", value.clone());
            let mut response = next(request).await.map_err(|error| {
                ErrorCode::InternalError(Some(format!("{error:?}")))
            })?;
            response.headers_mut().append("x-returned", value);
            response.into_response()
        }
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.into_response()
}
