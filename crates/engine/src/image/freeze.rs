//! Freezing: an instance's memory and globals become the beginning of a component's instances.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::split::Reached;
use super::{Image, Instantiating, Place, SAVE, Shape, Unsuited, Wanted};
use crate::code::CodeInner;
use crate::engine::{Base, with_image};
use crate::{Code, Digest, Engine, EngineError, Flavour};

/// A component that can be frozen, with how its instances begin, from where as many as are wanted may go
/// on. Cloning it is cheap.
#[derive(Clone)]
pub struct Freezable {
    parts: Arc<Parts>,
    image: Arc<Image>,
}

/// What of a component stays the same wherever its instances begin.
struct Parts {
    wasm: Vec<u8>,
    flavour: Flavour,
    shape: Shape,
    /// The digest of its code, and the globals with which it would begin.
    base: Digest,
    last_page: Vec<u8>,
}

/// A component that is about to be frozen: instantiate it by [`Freezing::instantiating`], call what
/// initialises it, and [`Freezing::finish`].
pub struct Freezing {
    engine: Engine,
    parts: Arc<Parts>,
    code: Code,
    /// The engine that made the code.
    by: Engine,
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
        self.freezing_from(&self.freezable(wasm)?)
    }

    /// Reads a component that is to be frozen, perhaps more than once.
    ///
    /// # Errors
    /// [`EngineError::Unfreezable`] when it is not of a form that can be.
    pub fn freezable(&self, wasm: Vec<u8>) -> Result<Freezable, EngineError> {
        let flavour = Flavour::of(&wasm)?.imaged(true);
        let shape = Shape::read(&wasm).map_err(unfreezable)?;
        let split = shape.split(&wasm).map_err(unfreezable)?;
        self.keeps_all(&shape, &wasm, &split.digest).map_err(unfreezable)?;
        let image = split.image_in_memory().map_err(EngineError::Image)?;
        let (base, last_page) = (split.digest, split.last_page());
        drop(split);
        let parts = Arc::new(Parts { wasm, flavour, shape, base, last_page });
        Ok(Freezable { parts, image: Arc::new(image) })
    }

    /// As [`Engine::freezing`], of what was read before.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn freezing_from(&self, from: &Freezable) -> Result<Freezing, EngineError> {
        let Freezable { parts, image } = from;
        let (base, by) = self.load_base_soonest(parts.flavour, &**parts)?;
        let code = Code::from(Arc::new(with_image(parts.base, base, image.clone())));
        let (engine, place) = (self.clone(), Arc::default());
        Ok(Freezing { engine, parts: parts.clone(), code, by, place })
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

impl Base for Parts {
    fn digest(&self) -> Digest {
        self.base
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>, EngineError> {
        let split = self.shape.split(&self.wasm).map_err(unfreezable)?;
        Ok(Cow::Owned(split.into_base()))
    }
}

fn unfreezable(Unsuited(reason): Unsuited) -> EngineError {
    EngineError::Unfreezable { reason }
}

fn note_name(base: &Digest) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("dayfly 1 note of code that keeps all");
    (*hasher.update(base.as_bytes()).finalize().as_bytes()).into()
}

impl Freezable {
    /// The component's bytes, as it would begin by itself.
    pub fn wasm(&self) -> &[u8] {
        &self.parts.wasm
    }
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
        store: Store<T>,
        instance: Instance,
    ) -> wasmtime::Result<Vec<u8>> {
        let Parts { wasm, shape, base, .. } = &*self.parts;
        let frozen = self.reached(store, instance, |reached| {
            let frozen = shape.grown(wasm, &reached)?;
            Ok((frozen, reached.image(base)))
        });
        let (wasm, image) = frozen.await?;
        self.engine.keep_frozen(&wasm, &image, (&self.by, self.code));
        Ok(wasm)
    }

    /// Code of the same component, to be known by `digest`, whose instances begin as this one is now. It is
    /// kept nowhere.
    ///
    /// # Errors
    /// As [`Freezing::finish`].
    pub async fn finish_here<T: Send>(
        self,
        store: Store<T>,
        instance: Instance,
        digest: Digest,
    ) -> wasmtime::Result<Code> {
        let from = self.stop(store, instance).await?;
        let code: Arc<CodeInner> = self.code.into();
        let base = code.image.as_ref().map_or_else(|| code.clone(), |(_, base)| base.clone());
        Ok(Code::from(Arc::new(with_image(digest, base, from.image))))
    }

    /// The component, for instances that are frozen later and go on from where this one is now.
    ///
    /// # Errors
    /// As [`Freezing::finish`].
    pub async fn stop<T: Send>(
        &self,
        store: Store<T>,
        instance: Instance,
    ) -> wasmtime::Result<Freezable> {
        let image =
            self.reached(store, instance, |reached| Ok(reached.image_in_memory(&self.parts.base)));
        Ok(Freezable { parts: self.parts.clone(), image: Arc::new(image.await??) })
    }

    /// Gives what an instance has become to `take`.
    async fn reached<T: Send, R>(
        &self,
        mut store: Store<T>,
        instance: Instance,
        take: impl FnOnce(Reached<'_>) -> Result<R, Unsuited>,
    ) -> wasmtime::Result<R> {
        let save = instance.get_typed_func::<(), ()>(&mut store, SAVE)?;
        save.call_async(&mut store, ()).await?;
        let (start, bytes) = (self.place.start.load(Relaxed), self.place.bytes.load(Relaxed));
        if bytes == 0 {
            return Err(wasmtime::Error::msg("the instance was made without its memory"));
        }
        // SAFETY: the memory said where it is, and lives in the store, which is not used meanwhile;
        // all of its bytes may be read.
        let memory = unsafe { std::slice::from_raw_parts(start as *const u8, bytes) };
        let reached = self.parts.shape.reached(memory, &self.parts.last_page);
        let taken = reached.and_then(take);
        drop(store);
        taken.map_err(|reason| wasmtime::Error::msg(reason.to_string()))
    }
}
