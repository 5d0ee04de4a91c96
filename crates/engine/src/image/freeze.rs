//! Freezing: an instance's memory and globals become the beginning of a component's instances.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::{Instantiating, Place, SAVE, Shape, Unsuited, Wanted};
use crate::code::CodeInner;
use crate::image::Image;
use crate::{Code, Digest, Engine, EngineError};

/// A component that is about to be frozen: instantiate it by [`Freezing::instantiating`], call what
/// initialises it, and [`Freezing::finish`].
pub struct Freezing {
    engine: Engine,
    wasm: Vec<u8>,
    shape: Shape,
    /// The digest of its code, and the globals with which it would begin.
    base: Digest,
    last_page: Vec<u8>,
    code: Code,
    place: Arc<Place>,
}

impl Engine {
    /// Prepares to freeze a component. It blocks, and compiles the component's code if it is not at
    /// hand: by the compiler that is done soonest, since this instance is only to get somewhere.
    ///
    /// # Errors
    /// [`EngineError::Unfreezable`] when the component is not of a form that can be frozen; else as
    /// [`Engine::load`].
    pub fn freezing(&self, wasm: Vec<u8>) -> Result<Freezing, EngineError> {
        let unsuited = |Unsuited(reason)| EngineError::Unfreezable { reason };
        let shape = Shape::read(&wasm).map_err(unsuited)?;
        let split = shape.split(&wasm).map_err(unsuited)?;
        self.keeps_all(&shape, &wasm, &split.digest).map_err(unsuited)?;
        let code = self.load_apart(&wasm, &split)?;
        let (base, last_page) = (split.digest, split.last_page());
        drop(split);
        let (engine, place) = (self.clone(), Arc::default());
        Ok(Freezing { engine, wasm, shape, base, last_page, code, place })
    }

    /// Whether nothing is lost where a component is frozen. An interpreter has many functions to look at, so
    /// that is noted, by the digest of its code.
    fn keeps_all(&self, shape: &Shape, wasm: &[u8], base: &Digest) -> Result<(), Unsuited> {
        let cache = self.cache().and_then(Result::ok);
        let name = note_name(base);
        if cache.is_some_and(|cache| cache.note(&name).is_some()) {
            return Ok(());
        }
        shape.keeps_all(wasm)?;
        if let Some(cache) = cache {
            cache.keep_note(&name, base.as_bytes());
        }
        Ok(())
    }
}

fn note_name(base: &Digest) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 note of code that keeps all");
    (*hasher.update(base.as_bytes()).finalize().as_bytes()).into()
}

impl Freezing {
    /// The code, to link and to make a store for.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// Makes the instance that will be frozen, by `future`, which calls `instantiate_async` of
    /// something linked with the code's component.
    pub fn instantiating<F: Future>(&self, future: F) -> Instantiating<F> {
        let inner: Arc<CodeInner> = self.code.clone().into();
        let wanted = |(image, _): &(Arc<Image>, _)| Wanted {
            image: image.clone(),
            place: Some(self.place.clone()),
        };
        Instantiating::new(inner.image.as_ref().map(wanted), future)
    }

    /// The component as if its instances began as this one is now: a component like any other, which
    /// runs anywhere. What the host holds for the instance (files that it opened, handles) is not a
    /// part of it. Its image is kept, so that loading it finds that.
    ///
    /// # Errors
    /// When the instance traps, or has grown as large as it may be.
    pub async fn finish<T: Send>(
        self,
        mut store: Store<T>,
        instance: Instance,
    ) -> wasmtime::Result<Vec<u8>> {
        let save = instance.get_typed_func::<(), ()>(&mut store, SAVE)?;
        save.call_async(&mut store, ()).await?;
        let (start, bytes) = (self.place.start.load(Relaxed), self.place.bytes.load(Relaxed));
        if bytes == 0 {
            return Err(wasmtime::Error::msg("the instance was made without its memory"));
        }
        // SAFETY: the memory said where it is, and lives in the store, which is not used meanwhile;
        // all of its bytes may be read.
        let memory = unsafe { std::slice::from_raw_parts(start as *const u8, bytes) };
        let split_into = (&self.base, &self.last_page[..]);
        let frozen = self.shape.grown(&self.wasm, memory, split_into);
        drop(store);
        let frozen = frozen.map_err(|reason| wasmtime::Error::msg(reason.to_string()))?;
        self.engine.keep_image(&frozen.wasm, &frozen.image);
        Ok(frozen.wasm)
    }
}
