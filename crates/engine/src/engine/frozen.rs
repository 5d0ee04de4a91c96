//! What was frozen, on its way to being loaded: its code is that by which it was frozen, so nothing has to
//! be compiled, read or verified for it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::apart::with_image;
use super::{Engine, lock};
use crate::code::CodeInner;
use crate::image::{self, Image};
use crate::{Code, Digest, EngineError, Flavour};

/// So much is held at one time; what was frozen before is found as if it were not held.
const MAX_HELD: usize = 8;

/// Code of what was frozen, held for those who load it.
#[derive(Default)]
pub(super) struct Held {
    holders: usize,
    codes: VecDeque<Arc<CodeInner>>,
}

/// Holds the code of what is frozen; see [`Engine::hold`].
pub struct Hold(Engine);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = lock(&self.0.inner.held);
        held.holders -= 1;
        if held.holders == 0 {
            let codes = std::mem::take(&mut held.codes);
            // Unmapping code takes time, in which others need not wait.
            drop(held);
            drop(codes);
        }
    }
}

impl Engine {
    /// Holds the code of what is frozen from now on for who loads it: [`Engine::load_cached`] and
    /// [`Engine::load_stand_in`] find it. To be dropped once that is loaded.
    pub fn hold(&self) -> Hold {
        lock(&self.inner.held).holders += 1;
        Hold(self.clone())
    }

    /// Keeps the image of a component that was frozen, as well as it can. For who holds it, it is loaded:
    /// with the code, made by the engine `by`, that it was frozen by.
    pub(crate) fn keep_frozen(&self, wasm: &[u8], image: &[u8], (by, code): (&Engine, Code)) {
        // A smaller one is loaded whole.
        if !image::is_large(wasm) {
            return;
        }
        let Ok(flavour) = Flavour::of(wasm) else { return };
        let digest = Digest::of(wasm);
        let kept = self.put_image(flavour.imaged(true), digest, image).ok().flatten();
        let Some((_, base)) = &Arc::<CodeInner>::from(code).image else { return };
        if lock(&self.inner.held).holders > 0 {
            let file = kept.map_or_else(|| image::in_memory(image), Ok);
            let opened = file.and_then(|file| Image::open(file, image.len() as u64));
            if let Ok(opened) = opened {
                self.put_held(by, Arc::new(with_image(digest, base.clone(), opened)));
            }
        }
    }

    fn put_held(&self, by: &Engine, code: Arc<CodeInner>) {
        *lock(&by.slot(code.digest, false)) = Arc::downgrade(&code);
        let mut held = lock(&self.inner.held);
        held.codes.push_back(code);
        if held.codes.len() > MAX_HELD || held.holders == 0 {
            let first = held.codes.pop_front();
            drop(held);
            drop(first);
        }
    }

    /// Code that stands in for better code of a component that was frozen: its image is known, and the code
    /// of the [baseline](Engine::baseline) that it, or another of the same code, was frozen by is in use.
    /// Nothing is compiled.
    ///
    /// # Errors
    /// As [`Engine::wasmtime`].
    pub fn load_stand_in(
        &self,
        digest: Digest,
        flavour: Flavour,
    ) -> Result<Option<Code>, EngineError> {
        let Some(baseline) = self.baseline(flavour)? else { return Ok(None) };
        let slot = baseline.slot(digest, flavour.is_counted());
        let mut slot = lock(&slot);
        if let Some(code) = slot.upgrade() {
            return Ok(Some(Code::from(code)));
        }
        let Some(image) = self.find_image(flavour.imaged(true), digest)? else { return Ok(None) };
        let base = lock(&baseline.slot(image.base, flavour.is_counted())).upgrade();
        let code = base.map(|base| Arc::new(with_image(digest, base, image)));
        if let Some(code) = &code {
            *slot = Arc::downgrade(code);
        }
        Ok(code.map(Code::from))
    }
}
