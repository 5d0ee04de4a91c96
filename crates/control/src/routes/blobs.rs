//! Blobs: what packages consist of. A tenant has those that it has sent, whoever else has the same.

use axum::extract::{Request, State};
use dayfly_api::{BlobDigest, BlobList, Problem, Scope, TenantId};
use dayfly_store::Store;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use crate::answer::{Answer, ok};
use crate::body::{Json, piece};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::path::Path;
use crate::shared::Shared;

/// How many digests a request asks about.
const MOST: usize = 1000;

/// How much is handed to the disk at once.
const PIECE_BYTES: usize = 1 << 20;

/// Which of these blobs the tenant has yet to send.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/blobs/missing", tag = "releases",
    params(("tenant" = TenantId, Path)), request_body = BlobList,
    responses((status = 200, description = "those that are missing", body = BlobList)))]
pub(super) async fn missing(
    State(shared): State<Shared>,
    caller: Caller,
    Path(tenant): Path<TenantId>,
    Json(asked): Json<BlobList>,
) -> Result<Answer<BlobList>> {
    caller.of(&tenant, Scope::Deploy)?;
    if asked.digests.len() > MOST {
        return Err(Failure::invalid(format!("a request asks about up to {MOST} blobs")));
    }
    let digests = shared.ask(move |store| store.missing(&tenant, &asked.digests)).await?;
    Ok(ok(BlobList { digests }))
}

/// Sends a blob. It is kept when it is whole and has this digest.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/blobs/{digest}", tag = "releases",
    params(("tenant" = TenantId, Path), ("digest" = BlobDigest, Path)),
    request_body(content_type = "application/octet-stream"),
    responses((status = 204, description = "it is kept"),
        (status = 400, description = "it has another digest", body = Problem),
        (status = 403, description = "the tenant's quotas have no room for it", body = Problem),
        (status = 413, description = "it is too long", body = Problem)))]
pub(super) async fn send(
    State(shared): State<Shared>,
    caller: Caller,
    Path((tenant, digest)): Path<(TenantId, BlobDigest)>,
    request: Request,
) -> Result<StatusCode> {
    caller.of(&tenant, Scope::Deploy)?;
    let place = shared.uploads.take(&tenant, "blobs are being sent")?;
    let stated =
        request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let mut blob = shared.ask(move |store| store.take_blob(&tenant, &digest)).await?;
    blob.fits(stated.unwrap_or_default())?;
    let mut body = request.into_body();
    let mut pieces = Vec::new();
    loop {
        let next = piece(&mut body).await?;
        let is_last = next.is_none();
        pieces.extend(next);
        let held: usize = pieces.iter().map(bytes::Bytes::len).sum();
        if is_last || held >= PIECE_BYTES {
            let written = std::mem::take(&mut pieces);
            blob = shared
                .ask(move |_| {
                    written.iter().try_for_each(|piece| blob.write(piece))?;
                    Ok(blob)
                })
                .await?;
        }
        if is_last {
            break;
        }
    }
    let keep = move |store: &Store| {
        // Whoever sent it may leave: the place is free when the disk has it.
        let _place = place;
        store.keep_blob(blob)
    };
    shared.ask(keep).await?;
    Ok(StatusCode::NO_CONTENT)
}
