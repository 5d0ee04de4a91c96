//! What is done without being asked: garbage is collected, and releases that are active and not laid
//! out (after a restore, or on a disk that lost them) are made ready again.

use std::time::Duration;

use dayfly_model::platform::{AppName, ArtifactStore as _, ReleaseId};
use dayfly_store::Expired;

use crate::failure::Failure;
use crate::prepare::PrepareError;
use crate::shared::Shared;

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// For how long nobody must have touched what is collected.
const IDLE: Duration = Duration::from_secs(3600);

/// How often is looked at most whether the time of a preview is over.
const LOOK: Duration = Duration::from_secs(1);

/// Removes previews whose time is over, as long as the process runs.
pub(crate) async fn expire(shared: Shared) {
    let mut changes = shared.changed.watch();
    loop {
        let next_ms = match shared.ask(dayfly_store::Store::expire_previews).await {
            Ok(Expired { count, next_ms }) => {
                if count > 0 {
                    tracing::info!(count, "the time of previews is over");
                }
                next_ms
            }
            Err(failure) => {
                let problem = failure.problem;
                tracing::warn!(%problem, "previews whose time is over could not be removed");
                None
            }
        };
        changes.rest(LOOK, next_ms).await;
    }
}

/// Does it as long as the process runs.
pub(crate) async fn run(shared: Shared) {
    loop {
        if let Err(failure) = lay_out(&shared).await {
            tracing::warn!(problem = %failure.problem, "active releases could not be laid out");
        }
        match shared.ask(|store| store.collect(IDLE)).await {
            Ok(collected) if collected != dayfly_store::Collected::default() => {
                tracing::info!(?collected, "collected garbage");
            }
            Ok(_) => {}
            Err(failure) => tracing::warn!(problem = %failure.problem, "garbage was not collected"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn lay_out(shared: &Shared) -> Result<(), Failure> {
    let missing = shared.ask(|store| {
        let active = store.active_releases()?;
        let missing = active.into_iter().filter(|(id, _)| !store.release_folder(id).is_dir());
        Ok(missing.collect::<Vec<_>>())
    });
    for (release, name) in missing.await? {
        if let Err(error) = one(shared, release.clone(), name).await {
            tracing::warn!(%release, %error, "an active release cannot be laid out");
        }
    }
    Ok(())
}

/// Makes a release ready again, which counts already, as the app of this name had it: a component that comes alone is named
/// after that.
pub(crate) async fn one(
    shared: &Shared,
    release: ReleaseId,
    name: AppName,
) -> Result<(), PrepareError> {
    let id = release.clone();
    let manifest = shared.ask(move |store| store.manifest(&id)).await;
    let manifest = manifest.map_err(|it| PrepareError::Failed(it.problem.to_string()))?;
    let preparer = shared.preparer.clone();
    let work = move || preparer.prepare(&name, &release, &manifest, None);
    let ready = tokio::task::spawn_blocking(work).await;
    ready.unwrap_or_else(|error| Err(PrepareError::Failed(error.to_string()))).map(drop)
}
