//! The one place where native code is loaded.

use std::fs::File;

use wasmtime::component::Component;

use crate::cache::{ArtifactCache, ArtifactKey};

/// Loads the artifact in an opened file, which the cache verified or wrote. The file is mapped, and
/// so are the initial memories of instances.
pub(crate) fn load(
    engine: &wasmtime::Engine,
    cache: &ArtifactCache,
    key: &ArtifactKey,
    file: &File,
) -> wasmtime::Result<Component> {
    let mapped = match path_of(file) {
        // SAFETY: see below; the path leads to the very file that was verified, not to whatever has
        // its name by now.
        Some(path) => unsafe { Component::deserialize_file(engine, path) },
        None => Err(wasmtime::Error::msg("opened files have no paths here")),
    };
    mapped.or_else(|error| {
        // The cache may be on a file system from which code must not run (`noexec`).
        tracing::debug!(artifact = %key, %error, "artifact cannot be mapped, and is copied");
        let image = cache.image(file, key).ok_or(error)?;
        load_image(engine, &image)
    })
}

/// Loads an artifact that was just compiled, or verified in memory.
///
/// Its bytes are ones that this crate made by `Engine::precompile`, or that carry a MAC under a key
/// that only this crate uses.
pub(crate) fn load_image(engine: &wasmtime::Engine, image: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what Wasmtime itself serialised, here or in an earlier process of this
    // user: whoever could forge the MAC could read the user's files, and run code as this user
    // already. That they fit this version and configuration is part of their key, and Wasmtime
    // checks it once more.
    unsafe { Component::deserialize(engine, image) }
}

/// A path that opens the very same file again, even when its name is gone: Wasmtime offers no way
/// to hand it an opened file for a component.
#[cfg(target_os = "linux")]
fn path_of(file: &File) -> Option<std::path::PathBuf> {
    use std::os::fd::AsRawFd as _;
    use std::sync::LazyLock;

    // In a container without /proc, or with something else there, the file is read instead.
    static HAS_PROC: LazyLock<bool> = LazyLock::new(|| {
        rustix::fs::statfs("/proc/self/fd")
            .is_ok_and(|stat| stat.f_type == rustix::fs::PROC_SUPER_MAGIC)
    });
    HAS_PROC.then(|| format!("/proc/self/fd/{}", file.as_raw_fd()).into())
}

#[cfg(not(target_os = "linux"))]
fn path_of(_file: &File) -> Option<std::path::PathBuf> {
    None
}
