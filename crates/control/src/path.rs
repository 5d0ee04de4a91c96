//! What paths and queries name. A name that is none is not there.

use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use dayfly_api::PageQuery;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};
use crate::shared::Shared;

/// The names in a path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, shared).await;
        found.map(|axum::extract::Path(names)| Self(names)).map_err(|_| Failure::not_found())
    }
}

/// What a query says.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, shared).await;
        let odd = |error: QueryRejection| Failure::invalid(error.body_text());
        Ok(Self(query.map_err(odd)?.0))
    }
}

/// Which page of a list.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) cursor: Option<String>,
    pub(crate) limit: u32,
}

/// How many items a page has, unless the request says.
const USUAL: u32 = 100;
const MOST: u32 = 1000;

impl FromRequestParts<Shared> for Wanted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self> {
        let query = Query::<PageQuery>::from_request_parts(parts, shared).await?;
        let PageQuery { cursor, limit } = query.0;
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Failure::invalid(format!("`limit` is 1 to {MOST}")));
        }
        Ok(Self { cursor, limit })
    }
}

impl Wanted {
    /// The cursor of a list that goes by numbers.
    pub(crate) fn number(&self) -> Result<Option<i64>> {
        let parse = |cursor: &String| cursor.parse::<i64>();
        let number = self.cursor.as_ref().map(parse).transpose();
        number.map_err(|_| Failure::invalid("`cursor` is none that this list has given"))
    }
}
