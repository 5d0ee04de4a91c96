//! The engine: makes code of components. What is made in two parts, code and memory, is in `apart.rs`; what
//! was frozen, in `frozen.rs`.

mod apart;
mod frozen;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Component;

use crate::cache::{self, ArtifactKey};
use crate::code::{self, CodeInner};
use crate::compile::Compiler;
use crate::config::wasmtime_config;
use crate::image;
use crate::{
    ArtifactCache, CacheError, Code, Digest, EngineConfig, EngineError, Flavour, Mode, Origin,
    StoreData, native, pool, ticker,
};

pub(crate) use apart::{Base, with_image};
pub use frozen::Hold;

/// Makes code of components and stores for their instances. Cloning it is cheap.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    /// Whether nobody waits for its code: nothing stands in for what takes long to make.
    in_full: bool,
}

/// With fewer there is no use in serving.
const FEWEST_INSTANCES: u32 = 4;

struct Inner {
    config: EngineConfig,
    compiler: Compiler,
    cache: Cache,
    /// In the order of [`Flavour::ALL`].
    built: [OnceLock<Built>; Flavour::ALL.len()],
    building: Mutex<()>,
    loaded: Mutex<HashMap<(Digest, Counted), Slot>>,
    baseline: OnceLock<Engine>,
    held: Mutex<frozen::Held>,
}

/// The artifact cache, if one is wanted: an engine shares it with its baseline.
type Cache = Option<Arc<Result<ArtifactCache, CacheError>>>;

struct Built {
    engine: wasmtime::Engine,
    instances: u32,
    /// What its artifacts are told apart by.
    fingerprint: [u8; 32],
}

/// The code of one component while it is in use. Who loads it holds the lock, and others wait.
type Slot = Arc<Mutex<Weak<CodeInner>>>;

/// Whether code counts its instructions.
type Counted = bool;

impl Engine {
    /// An engine. It opens the artifact cache, and reserves no address space yet: each flavour is
    /// built when it is first asked for. A cache that cannot be used is warned of, and
    /// [`Engine::cache`] tells why.
    ///
    /// # Errors
    /// None at present.
    pub fn new(config: EngineConfig) -> Result<Engine, EngineError> {
        pool::look_for_swap();
        let cache = config
            .cache_dir
            .as_deref()
            .filter(|_| config.mode.uses_cache())
            .map(|folder| Arc::new(ArtifactCache::open(folder, config.cache_bytes)));
        if let Some(Err(error)) = cache.as_deref() {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "no artifact cache: each start compiles again"
            );
        }
        Ok(Engine::with(config, cache))
    }

    fn with(config: EngineConfig, cache: Cache) -> Engine {
        let inner = Inner {
            compiler: Compiler::new(&config),
            config,
            cache,
            built: Default::default(),
            building: Mutex::new(()),
            loaded: Mutex::default(),
            baseline: OnceLock::new(),
            held: Mutex::default(),
        };
        Engine { inner: Arc::new(inner), in_full: false }
    }

    /// What it was built from.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// How it makes code.
    pub fn mode(&self) -> Mode {
        self.inner.config.mode
    }

    /// The same engine, for work that nobody waits for: it has no [`Engine::baseline`], and code that
    /// another is about to make is waited for.
    pub fn in_full(&self) -> Engine {
        Engine { in_full: true, ..self.clone() }
    }

    /// Whether code is as this engine makes it; not if it stands in for such code.
    pub fn made(&self, code: &Code) -> bool {
        let own = self.inner.built[code.flavour().index()].get();
        own.is_some_and(|own| wasmtime::Engine::same(&own.engine, code.component().engine()))
    }

    /// Whether code will do where this engine is asked for some.
    pub fn accepts(&self, code: &Code) -> bool {
        self.need_not_wait() || self.made(code)
    }

    /// Whether other code can stand in for what takes long to make.
    fn need_not_wait(&self) -> bool {
        self.mode() == Mode::Auto && !self.in_full
    }

    /// The artifact cache, or why it cannot be used; `None` where none is wanted.
    pub fn cache(&self) -> Option<Result<&ArtifactCache, &CacheError>> {
        self.inner.cache.as_deref().map(Result::as_ref)
    }

    /// The same, where it can be used.
    fn usable_cache(&self) -> Option<&ArtifactCache> {
        self.cache()?.ok()
    }

    /// Wasmtime's engine of this flavour. The first call builds it and reserves its address space.
    ///
    /// # Errors
    /// [`EngineError::AddressSpace`], [`EngineError::Build`].
    pub fn wasmtime(&self, flavour: Flavour) -> Result<&wasmtime::Engine, EngineError> {
        Ok(&self.built(flavour)?.engine)
    }

    /// How many instances of this flavour can live at one time: what was configured, or less where
    /// address space is limited.
    ///
    /// # Errors
    /// As [`Engine::wasmtime`].
    pub fn max_instances(&self, flavour: Flavour) -> Result<u32, EngineError> {
        Ok(self.built(flavour)?.instances)
    }

    /// How many instances of this code may live at one time, so that what each of them needs leaves
    /// room for others; `None` for as many as any.
    ///
    /// # Errors
    /// As [`Engine::wasmtime`].
    pub fn share(&self, code: &Code) -> Result<Option<u32>, EngineError> {
        Ok(pool::share(code.component(), self.max_instances(code.flavour())?))
    }

    fn built(&self, flavour: Flavour) -> Result<&Built, EngineError> {
        let cell = &self.inner.built[flavour.index()];
        if let Some(built) = cell.get() {
            return Ok(built);
        }
        let _building = lock(&self.inner.building);
        if let Some(built) = cell.get() {
            return Ok(built);
        }
        let built = build(&self.inner.config, flavour)?;
        Ok(cell.get_or_init(|| built))
    }

    /// Code of a component: from the cache, or compiled, which may take seconds. It blocks.
    ///
    /// Of concurrent calls for the same component one compiles and the others wait for it; while
    /// the code is in use, further calls share it.
    ///
    /// # Errors
    /// When the component is not valid, or not supported in this mode. A cache that fails is no
    /// error: it is passed by.
    pub fn load(&self, wasm: &[u8]) -> Result<Code, EngineError> {
        self.load_as(wasm, false)
    }

    /// As [`Engine::load`], of code that counts its instructions: for guests with a bound on them.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_counted(&self, wasm: &[u8]) -> Result<Code, EngineError> {
        self.load_as(wasm, true)
    }

    /// The engine whose code can answer until this one's is compiled, some six times sooner: with
    /// [`Mode::Auto`] it compiles by [`Mode::Baseline`] and keeps nothing; that of an engine that
    /// compiles nothing finds what others [kept](Engine::keeping_baseline). It cannot compile every
    /// component; and there is none where address space is too limited for as many instances, nor of
    /// an engine that makes all [in full](Engine::in_full).
    ///
    /// # Errors
    /// As [`Engine::wasmtime`].
    pub fn baseline(&self, flavour: Flavour) -> Result<Option<&Engine>, EngineError> {
        if !self.need_not_wait() {
            return Ok(None);
        }
        let baseline = match self.inner.baseline.get() {
            Some(baseline) => baseline,
            None => {
                let cache = self.inner.cache.clone().filter(|_| !self.inner.config.compiles);
                self.inner.baseline.get_or_init(|| self.baseline_with(cache))
            }
        };
        let enough = baseline.max_instances(flavour)? >= self.max_instances(flavour)?;
        Ok(enough.then_some(baseline))
    }

    /// The engine by which code is made and kept that stands in for this one's in processes that compile
    /// nothing; `None` where nothing stands in.
    pub fn keeping_baseline(&self) -> Option<Engine> {
        self.need_not_wait().then(|| self.baseline_with(self.inner.cache.clone()))
    }

    fn baseline_with(&self, cache: Cache) -> Engine {
        let config = EngineConfig { mode: Mode::Baseline, ..self.inner.config.clone() };
        Engine::with(config, cache)
    }

    fn load_as(&self, wasm: &[u8], counted: Counted) -> Result<Code, EngineError> {
        let digest = Digest::of(wasm);
        let slot = self.slot(digest, counted);
        let mut slot = lock(&slot);
        if let Some(code) = slot.upgrade() {
            return Ok(Code::from(code));
        }
        let code = Arc::new(self.load_new(digest, wasm, counted)?);
        *slot = Arc::downgrade(&code);
        Ok(Code::from(code))
    }

    /// Code of a component whose digest and flavour are known, if it is in use or in the artifact
    /// cache. It neither reads nor hashes the component, so for large ones it is much faster.
    ///
    /// # Errors
    /// As [`Engine::wasmtime`].
    pub fn load_cached(
        &self,
        digest: Digest,
        flavour: Flavour,
    ) -> Result<Option<Code>, EngineError> {
        let slot = self.slot(digest, flavour.is_counted());
        let mut slot = lock(&slot);
        if let Some(code) = slot.upgrade() {
            return Ok(Some(Code::from(code)));
        }
        let Some(code) = self.find(flavour, digest)? else {
            return Ok(None);
        };
        let code = Arc::new(code);
        *slot = Arc::downgrade(&code);
        Ok(Some(Code::from(code)))
    }

    fn slot(&self, digest: Digest, counted: Counted) -> Slot {
        let mut loaded = lock(&self.inner.loaded);
        if loaded.len() == loaded.capacity() {
            // Before it would grow: what nobody loads or uses any more goes.
            loaded.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
        }
        Arc::clone(loaded.entry((digest, counted)).or_default())
    }

    fn load_new(
        &self,
        digest: Digest,
        wasm: &[u8],
        counted: Counted,
    ) -> Result<CodeInner, EngineError> {
        let flavour = Flavour::of(wasm)?.counted(counted);
        if let Some(code) = self.find(flavour, digest)? {
            return Ok(code);
        }
        if image::is_large(wasm) {
            match image::split(wasm) {
                Ok(split) => return self.load_split(digest, flavour, &split),
                Err(reason) => tracing::debug!(%digest, %reason, "code and memory stay together"),
            }
        }
        self.load_whole(digest, flavour, wasm)
    }

    /// Compiles a component, and keeps its artifact.
    fn load_whole(
        &self,
        digest: Digest,
        flavour: Flavour,
        wasm: &[u8],
    ) -> Result<CodeInner, EngineError> {
        let built = self.built(flavour)?;
        let start = Instant::now();
        let component = match self.usable_cache() {
            Some(cache) => {
                let image = self.inner.compiler.artifact(&built.engine, wasm)?;
                let key = ArtifactKey::new(digest, &built.fingerprint);
                keep(cache, &key, &built.engine, &image)?
            }
            None => self.inner.compiler.component(&built.engine, wasm)?,
        };
        tracing::debug!(%digest, mode = %self.mode(), took = ?start.elapsed(), "compiled");
        Ok(CodeInner {
            artifact_bytes: size(&component),
            component,
            flavour,
            digest,
            origin: Origin::Compiled(start.elapsed()),
            image: None,
        })
    }

    /// Code from the cache, whole or in two parts.
    fn find(&self, flavour: Flavour, digest: Digest) -> Result<Option<CodeInner>, EngineError> {
        match self.find_whole(flavour, digest)? {
            Some(code) => Ok(Some(code)),
            None => self.find_split(flavour.imaged(true), digest),
        }
    }

    fn find_whole(
        &self,
        flavour: Flavour,
        digest: Digest,
    ) -> Result<Option<CodeInner>, EngineError> {
        let Some(cache) = self.usable_cache() else { return Ok(None) };
        let built = self.built(flavour)?;
        let key = ArtifactKey::new(digest, &built.fingerprint);
        let Some(file) = cache.get(&key) else { return Ok(None) };
        let loaded = native::load(&built.engine, cache, &key, &file).inspect_err(
            |error| tracing::warn!(artifact = %key, %error, "artifact cannot be loaded"),
        );
        let Ok(component) = loaded else { return Ok(None) };
        let artifact_bytes = size(&component);
        let origin = Origin::Cached;
        Ok(Some(CodeInner { component, flavour, digest, origin, artifact_bytes, image: None }))
    }

    /// The artifact of a component, as Wasmtime serialises it; for `dayfly compile`. The cache is
    /// neither read nor written.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, EngineError> {
        let engine = self.wasmtime(Flavour::of(wasm)?)?;
        self.inner.compiler.artifact(engine, wasm)
    }

    /// A store for one instance of this flavour; as [`Code::store`], which cannot fail.
    ///
    /// # Errors
    /// As [`Engine::wasmtime`].
    pub fn store<T: StoreData>(&self, flavour: Flavour, data: T) -> Result<Store<T>, EngineError> {
        Ok(code::store(self.wasmtime(flavour)?, flavour, data))
    }
}

/// Keeps an artifact, and loads it from the file if it could be kept, so that its pages are clean.
fn keep(
    cache: &ArtifactCache,
    key: &ArtifactKey,
    engine: &wasmtime::Engine,
    image: &[u8],
) -> Result<Component, EngineError> {
    match cache.put(key, image) {
        Some(file) => native::load(engine, cache, key, &file),
        None => native::load_image(engine, image),
    }
    .map_err(EngineError::Load)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A compiler that panicked left the old state, which is a good one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(component: &Component) -> u64 {
    let range = component.image_range();
    (range.end as usize).saturating_sub(range.start as usize) as u64
}

/// Builds a flavour, for fewer instances than wished where address space is limited.
fn build(config: &EngineConfig, flavour: Flavour) -> Result<Built, EngineError> {
    let mut instances = config.max_instances.max(1);
    let engine = loop {
        match build_for(config, flavour, instances) {
            Err(EngineError::AddressSpace { .. }) if instances > FEWEST_INSTANCES => {
                instances = (instances / 2).max(FEWEST_INSTANCES);
            }
            built => break built?,
        }
    };
    if instances < config.max_instances {
        tracing::warn!(
            instances,
            wished = config.max_instances,
            "address space is limited: fewer instances can run at one time (hint: raise `ulimit -v`)"
        );
    }
    ticker::register(&engine);
    let fingerprint = cache::fingerprint(&engine, config.mode, flavour);
    Ok(Built { engine, instances, fingerprint })
}

fn build_for(
    config: &EngineConfig,
    flavour: Flavour,
    instances: u32,
) -> Result<wasmtime::Engine, EngineError> {
    let instances = instances.saturating_add(config.kept_instances);
    let wasmtime = wasmtime_config(config, flavour, instances).map_err(EngineError::Build)?;
    wasmtime::Engine::new(&wasmtime).map_err(|source| {
        let errno = source.chain().find_map(|cause| cause.downcast_ref::<rustix::io::Errno>());
        if errno == Some(&rustix::io::Errno::NOMEM) {
            let reserved_bytes = pool::reserved_bytes(config, instances);
            EngineError::AddressSpace { reserved_bytes, max_instances: instances, source }
        } else {
            EngineError::Build(source)
        }
    })
}
