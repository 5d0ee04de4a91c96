//! Code of components in two parts: a base, which all have that differ only in what their memory
//! begins as, and an image of that memory.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::sync::{Arc, MutexGuard, TryLockError, Weak};

use super::{Engine, Slot, lock};
use crate::cache::{self, ArtifactKey};
use crate::code::CodeInner;
use crate::image::{self, Image, Split};
use crate::{Code, Digest, EngineError, Flavour};

/// A base that may have to be compiled.
pub(crate) trait Base {
    /// The digest of its bytes.
    fn digest(&self) -> Digest;

    /// Its bytes.
    ///
    /// # Errors
    /// When they cannot be had.
    fn bytes(&self) -> Result<Cow<'_, [u8]>, EngineError>;
}

impl Base for Split<'_> {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>, EngineError> {
        Ok(Cow::Borrowed(self.base()))
    }
}

impl Engine {
    /// Code of a component of which nothing has to be compiled: the cache has it, or its base, which another
    /// component has brought there.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_at_hand(&self, wasm: &[u8], counted: bool) -> Result<Option<Code>, EngineError> {
        let (digest, flavour) = (Digest::of(wasm), Flavour::of(wasm)?.counted(counted));
        if let Some(code) = self.load_cached(digest, flavour)? {
            return Ok(Some(code));
        }
        if !image::is_large(wasm) {
            return Ok(None);
        }
        let Ok(split) = image::split(wasm) else { return Ok(None) };
        if !self.base_at_hand(flavour.imaged(true), split.digest)? {
            return Ok(None);
        }
        let code = self.load_split(digest, flavour, &split)?;
        Ok(Some(Code::from(Arc::new(code))))
    }

    /// The base of a component that is to be frozen, made as soon as can be, and the engine that made it.
    pub(crate) fn load_base_soonest(
        &self,
        flavour: Flavour,
        base: &impl Base,
    ) -> Result<(Arc<CodeInner>, Engine), EngineError> {
        let at_hand = self.base_at_hand(flavour, base.digest())?;
        if !at_hand && let Some(baseline) = self.baseline(flavour)? {
            // What it does not support, this one may.
            if let Ok(code) = baseline.load_base(flavour, base) {
                return Ok((code, baseline.clone()));
            }
        }
        Ok((self.load_base(flavour, base)?, self.clone()))
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
    /// is kept.
    pub(super) fn load_split(
        &self,
        digest: Digest,
        flavour: Flavour,
        split: &Split<'_>,
    ) -> Result<CodeInner, EngineError> {
        let flavour = flavour.imaged(true);
        let bytes = split.image();
        let base = self.load_base(flavour, split)?;
        let length = bytes.len() as u64;
        let kept = self.put_image(flavour, digest, &bytes)?;
        let file = kept.map_or_else(|| image::in_memory(&bytes), Ok);
        let image = file.and_then(|file| Image::open(file, length)).map_err(EngineError::Image)?;
        Ok(with_image(digest, base, image))
    }

    /// The base of a component in two parts; all components that have the same share it.
    fn load_base(&self, flavour: Flavour, base: &impl Base) -> Result<Arc<CodeInner>, EngineError> {
        let digest = base.digest();
        let slot = self.slot(digest, flavour.is_counted());
        let mut slot = lock(&slot);
        if let Some(code) = slot.upgrade() {
            return Ok(code);
        }
        let code = match self.find_whole(flavour, digest)? {
            Some(code) => code,
            None => self.load_whole(digest, flavour, &base.bytes()?)?,
        };
        let code = Arc::new(code);
        *slot = Arc::downgrade(&code);
        Ok(code)
    }

    /// Keeps an image, if it can.
    pub(super) fn put_image(
        &self,
        flavour: Flavour,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<Option<File>, EngineError> {
        let Some(cache) = self.usable_cache() else { return Ok(None) };
        Ok(cache.put(&self.image_key(flavour, digest)?, bytes))
    }

    /// An image, if it is kept.
    pub(super) fn find_image(
        &self,
        flavour: Flavour,
        digest: Digest,
    ) -> Result<Option<Image>, EngineError> {
        let Some(cache) = self.usable_cache() else { return Ok(None) };
        let key = self.image_key(flavour, digest)?;
        let Some(file) = cache.get(&key) else { return Ok(None) };
        let opened = image_bytes(&file).and_then(|length| Image::open(file, length));
        Ok(opened
            .inspect_err(|error| tracing::warn!(artifact = %key, %error, "image cannot be used"))
            .ok())
    }

    fn image_key(&self, flavour: Flavour, digest: Digest) -> Result<ArtifactKey, EngineError> {
        Ok(ArtifactKey::of_image(digest, &self.built(flavour)?.fingerprint))
    }

    pub(super) fn find_split(
        &self,
        flavour: Flavour,
        digest: Digest,
    ) -> Result<Option<CodeInner>, EngineError> {
        let Some(image) = self.find_image(flavour, digest)? else { return Ok(None) };
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
pub(crate) fn with_image(
    digest: Digest,
    base: Arc<CodeInner>,
    image: impl Into<Arc<Image>>,
) -> CodeInner {
    let image = image.into();
    CodeInner {
        component: base.component.clone(),
        flavour: base.flavour,
        digest,
        origin: base.origin,
        // The base's is shared, and counted nowhere.
        artifact_bytes: image.file_bytes(),
        image: Some((image, base)),
    }
}

/// The length of an artifact's file without its trailer.
fn image_bytes(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len().saturating_sub(cache::format::TRAILER_BYTES as u64))
}
