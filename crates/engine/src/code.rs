//! A component that is ready to be instantiated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{CallHook, Store};

use crate::image::{Image, Wanted};
use crate::metered::{on_epoch, on_host_return};
use crate::{Flavour, Instantiating, StoreData, pool};

/// The BLAKE3 digest of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the artifact cache.
    Cached,
    /// It was compiled, which took this long.
    Compiled(Duration),
}

/// A component that is ready to be instantiated. Cloning it is cheap; the code is unmapped when
/// the last clone and the last instance are gone.
#[derive(Clone)]
pub struct Code {
    inner: Arc<CodeInner>,
}

pub(crate) struct CodeInner {
    pub(crate) component: Component,
    pub(crate) flavour: Flavour,
    pub(crate) digest: Digest,
    pub(crate) origin: Origin,
    pub(crate) artifact_bytes: u64,
    /// The memory that instances begin with, if it lies apart from the code, which is then this
    /// one's.
    pub(crate) image: Option<(Arc<Image>, Arc<CodeInner>)>,
}

impl Code {
    /// What Wasmtime links and instantiates.
    pub fn component(&self) -> &Component {
        &self.inner.component
    }

    /// Which of the engines it belongs to.
    pub fn flavour(&self) -> Flavour {
        self.inner.flavour
    }

    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.inner.origin
    }

    /// The size of the code that was made of it, in bytes of address space.
    pub fn artifact_bytes(&self) -> u64 {
        self.inner.artifact_bytes
    }

    /// A store for one instance of this component: limits are set, and the guest yields to the
    /// executor at each tick. Run it inside of [`crate::Metered`].
    pub fn store<T: StoreData>(&self, mut data: T) -> Store<T> {
        if let Some((image, _)) = &self.inner.image {
            data.limiter().begin_with(image.bytes);
        }
        store(self.inner.component.engine(), self.inner.flavour, data)
    }

    /// Makes an instance by `future`, which calls `instantiate_async` of something linked with this
    /// code's component. Without it an instance of some components finds no memory, and traps.
    pub fn instantiating<F: Future>(&self, future: F) -> Instantiating<F> {
        let wanted = |(image, _): &(Arc<Image>, _)| Wanted { image: image.clone(), place: None };
        Instantiating::new(self.inner.image.as_ref().map(wanted), future)
    }
}

impl Code {
    /// Makes the store of an instance that has served a request ready for another: what bounds one
    /// request is whole again.
    pub fn renew<T: StoreData>(&self, store: &mut Store<T>) {
        store.set_epoch_deadline(1);
        bound(store, self.inner.flavour);
    }

    /// How much of the engine's pool one instance takes, in what one of the usual size does.
    pub fn pool_slots(&self) -> u32 {
        pool::slots(&self.inner.component)
    }
}

impl From<Arc<CodeInner>> for Code {
    fn from(inner: Arc<CodeInner>) -> Code {
        Code { inner }
    }
}

impl From<Code> for Arc<CodeInner> {
    fn from(code: Code) -> Arc<CodeInner> {
        code.inner
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("digest", &self.inner.digest)
            .field("flavour", &self.inner.flavour)
            .field("origin", &self.inner.origin)
            .field("artifact_bytes", &self.inner.artifact_bytes)
            .finish_non_exhaustive()
    }
}

pub(crate) fn store<T: StoreData>(
    engine: &wasmtime::Engine,
    flavour: Flavour,
    data: T,
) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| data.limiter());
    store.epoch_deadline_callback(|_| on_epoch());
    store.call_hook(|_, hook| match hook {
        CallHook::ReturningFromHost => on_host_return(),
        _ => Ok(()),
    });
    store.set_epoch_deadline(1);
    bound(&mut store, flavour);
    store
}

/// Applies what the store's data bounds beside memory.
fn bound<T: StoreData>(store: &mut Store<T>, flavour: Flavour) {
    let bounds = store.data().bounds();
    if flavour.is_counted() {
        // It can only fail where nothing is counted.
        let _ = store.set_fuel(bounds.instructions.unwrap_or(u64::MAX));
    }
    store.set_max_component_handles(bounds.resources);
    store.set_hostcall_fuel(bounds.hostcall_bytes);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(bounds.resources);
    }
}
