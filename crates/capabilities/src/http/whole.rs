//! Requests and responses whose bodies are whole, as Spin's first interfaces have them
//! (`fermyon:spin/http-types`).

use wasmtime::component::{ComponentType, Lift, Lower};

/// Names and values.
pub type Headers = Vec<(String, String)>;

/// The methods that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(missing_docs, reason = "their names say all")]
pub enum Method {
    #[component(name = "get")]
    Get,
    #[component(name = "post")]
    Post,
    #[component(name = "put")]
    Put,
    #[component(name = "delete")]
    Delete,
    #[component(name = "patch")]
    Patch,
    #[component(name = "head")]
    Head,
    #[component(name = "options")]
    Options,
}

/// A request.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// A URL, or a path with its query.
    pub uri: String,
    /// The headers.
    pub headers: Headers,
    /// Without a meaning since Spin 1.0.
    pub params: Headers,
    /// The whole body.
    pub body: Option<Vec<u8>>,
}

/// A response.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Option<Headers>,
    /// The whole body.
    pub body: Option<Vec<u8>>,
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Delete => Self::DELETE,
            Method::Patch => Self::PATCH,
            Method::Head => Self::HEAD,
            Method::Options => Self::OPTIONS,
        }
    }
}

impl Method {
    /// The method of this name; `None` for those that the interface does not have.
    pub fn of(method: &http::Method) -> Option<Self> {
        let all = [
            Self::Get,
            Self::Post,
            Self::Put,
            Self::Delete,
            Self::Patch,
            Self::Head,
            Self::Options,
        ];
        all.into_iter().find(|known| http::Method::from(*known) == *method)
    }
}
