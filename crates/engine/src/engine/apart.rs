//! Code of components in two parts: a base, which all have that differ only in what their memory
//! begins as, and an image of that memory.

use std::fs::File;
use std::io;
use std::sync::{Arc, MutexGuard, TryLockError, Weak};

use super::{Engine, Slot, lock};
use crate::cache::{self, ArtifactKey};
use crate::code::CodeInner;
use crate::image::{self, Image, Split};
use crate::{Code, Digest, EngineError, Flavour};

impl Engine {
    /// Code of a component in two parts, whatever its size, made as soon as can be, to be frozen.
    pub(crate) fn load_apart(&self, wasm: &[u8], split: &Split<'_>) -> Result<Code, EngineError> {
        let flavour = Flavour::of(wasm)?.imaged(true);
        let digest = Digest::of(wasm);
        let at_hand = self.base_at_hand(flavour, split.digest)?;
        if !at_hand && let Some(baseline) = self.baseline(flavour)? {
            // What it does not support, this one may.
            if let Ok(code) = baseline.load_split(digest, flavour, split, false) {
                return Ok(Code::from(Arc::new(code)));
            }
        }
        let code = self.load_split(digest, flavour, split, false)?;
        Ok(Code::from(Arc::new(code)))
    }

    /// Whether a base need not be compiled.
    fn base_at_hand(&self, flavour: Flavour, digest: Digest) -> Result<bool, EngineError> {
        let slot = self.slot(digest, flavour.is_counted());
        let Some(slot) = self.lock_in_time(&slot) else { return Ok(false) };
        Ok(slot.strong_count() > 0 || self.find_whole(flavour, digest)?.is_some())
    }

    /// The lock of a base, or `None` while another makes it and this one need not wait for that.
    fn lock_in_time<'a>(&self, slot: &'a Slot) -> Option<MutexGuard<'a, Weak<CodeInner>>> {
        if !self.need_not_wait() {
            return Some(lock(slot));
        }
        match slot.try_lock() {
            Ok(slot) => Some(slot),
            Err(TryLockError::Poisoned(slot)) => Some(slot.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Code of a component in two parts: its base, which others may have made, and its image, which
    /// is kept if it may be wanted again.
    pub(super) fn load_split(
        &self,
        digest: Digest,
        flavour: Flavour,
        split: &Split<'_>,
        keep_image: bool,
    ) -> Result<CodeInner, EngineError> {
        let flavour = flavour.imaged(true);
        let bytes = split.image();
        let base = self.load_base(flavour, split)?;
        let length = bytes.len() as u64;
        let kept = match &self.inner.cache {
            Some(Ok(cache)) if keep_image => cache.put(&self.image_key(flavour, digest)?, &bytes),
            _ => None,
        };
        let image = match kept {
            Some(file) => Ok(file),
            None => image::in_memory(&bytes),
        };
        let image = image.and_then(|file| Image::open(file, length)).map_err(EngineError::Image)?;
        Ok(with_image(digest, base, image))
    }

    /// The base of a component in two parts; all components that have the same share it.
    fn load_base(
        &self,
        flavour: Flavour,
        split: &Split<'_>,
    ) -> Result<Arc<CodeInner>, EngineError> {
        let digest = split.digest;
        let slot = self.slot(digest, flavour.is_counted());
        let mut slot = lock(&slot);
        if let Some(code) = slot.upgrade() {
            return Ok(code);
        }
        let code = match self.find_whole(flavour, digest)? {
            Some(code) => code,
            None => self.load_whole(digest, flavour, split.base())?,
        };
        let code = Arc::new(code);
        *slot = Arc::downgrade(&code);
        Ok(code)
    }

    /// Keeps the image of a component, as well as it can, for when that is loaded.
    pub(crate) fn keep_image(&self, wasm: &[u8], bytes: &[u8]) {
        let Some(Ok(cache)) = &self.inner.cache else { return };
        // A smaller one is loaded whole.
        if wasm.len() < image::SMALLEST_BYTES {
            return;
        }
        let key = Flavour::of(wasm)
            .and_then(|flavour| self.image_key(flavour.imaged(true), Digest::of(wasm)));
        if let Ok(key) = key {
            cache.put(&key, bytes);
        }
    }

    fn image_key(&self, flavour: Flavour, digest: Digest) -> Result<ArtifactKey, EngineError> {
        Ok(ArtifactKey::of_image(digest, &self.built(flavour)?.fingerprint))
    }

    pub(super) fn find_split(
        &self,
        flavour: Flavour,
        digest: Digest,
    ) -> Result<Option<CodeInner>, EngineError> {
        let Some(Ok(cache)) = &self.inner.cache else { return Ok(None) };
        let key = self.image_key(flavour, digest)?;
        let Some(file) = cache.get(&key) else { return Ok(None) };
        let opened = image_bytes(&file).and_then(|length| Image::open(file, length));
        let opened = opened
            .inspect_err(|error| tracing::warn!(artifact = %key, %error, "image cannot be used"));
        let Ok(image) = opened else { return Ok(None) };
        let slot = self.slot(image.base, flavour.is_counted());
        let Some(mut slot) = self.lock_in_time(&slot) else { return Ok(None) };
        let base = match slot.upgrade() {
            Some(base) => base,
            None => match self.find_whole(flavour, image.base)? {
                Some(base) => Arc::new(base),
                None => return Ok(None),
            },
        };
        *slot = Arc::downgrade(&base);
        Ok(Some(with_image(digest, base, image)))
    }
}

/// Code of a component whose base is this and whose memory begins as that.
fn with_image(digest: Digest, base: Arc<CodeInner>, image: Image) -> CodeInner {
    CodeInner {
        component: base.component.clone(),
        flavour: base.flavour,
        digest,
        origin: base.origin,
        // The base's is shared, and counted nowhere.
        artifact_bytes: image.file_bytes(),
        image: Some((Arc::new(image), base)),
    }
}

/// The length of an artifact's file without its trailer.
fn image_bytes(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len().saturating_sub(cache::format::TRAILER_BYTES as u64))
}
