//! Resources that stand for a guest's connection to a server, in interfaces that have a synchronous
//! and an asynchronous version of the same functions: each is written once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentNamedList, Lift, LinkerInstance, Lower, Resource, ResourceTable, ResourceType,
};

use crate::{Grants, HostState};

/// A function that runs.
pub(crate) type Running<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// A resource that stands for a `T`.
pub(crate) type Session<T> = Resource<Arc<T>>;

/// The parameters of a method of a [`Session`].
pub(crate) trait Call<T>: ComponentNamedList + Lift + Send + 'static {
    /// Those beside the resource.
    type Rest;

    /// The resource and the rest.
    fn split(self) -> (Session<T>, Self::Rest);
}

impl<T, A> Call<T> for (Session<T>, A)
where
    T: Send + Sync + 'static,
    A: Lift + Send + 'static,
{
    type Rest = A;

    fn split(self) -> (Session<T>, A) {
        self
    }
}

impl<T, A, B> Call<T> for (Session<T>, A, B)
where
    T: Send + Sync + 'static,
    A: Lift + Send + 'static,
    B: Lift + Send + 'static,
{
    type Rest = (A, B);

    fn split(self) -> (Session<T>, (A, B)) {
        (self.0, (self.1, self.2))
    }
}

impl<T, A, B, C> Call<T> for (Session<T>, A, B, C)
where
    T: Send + Sync + 'static,
    A: Lift + Send + 'static,
    B: Lift + Send + 'static,
    C: Lift + Send + 'static,
{
    type Rest = (A, B, C);

    fn split(self) -> (Session<T>, (A, B, C)) {
        (self.0, (self.1, self.2, self.3))
    }
}

/// One interface's functions in the making.
pub(crate) struct Functions<'a> {
    /// The interface.
    pub(crate) linker: LinkerInstance<'a, HostState>,
    /// Whether its functions are asynchronous.
    pub(crate) concurrent: bool,
}

impl Functions<'_> {
    /// Defines the resource.
    pub(crate) fn resource<T: Send + Sync + 'static>(
        &mut self,
        name: &str,
    ) -> wasmtime::Result<()> {
        self.linker.resource(name, ResourceType::host::<Arc<T>>(), |mut store, index| {
            store.data_mut().table().delete(Session::<T>::new_own(index))?;
            Ok(())
        })
    }

    /// Defines a function that makes a resource. `open` is told whether the instance may make one
    /// more connection; what is opened and finds no place is answered by `full`.
    #[allow(clippy::type_complexity, reason = "a function by its types")]
    pub(crate) fn open<T, P, E>(
        &mut self,
        name: &str,
        open: fn(Arc<Grants>, bool, P) -> Running<Result<T, E>>,
        full: fn() -> E,
    ) -> wasmtime::Result<()>
    where
        T: Send + Sync + 'static,
        P: ComponentNamedList + Lift + Send + 'static,
        E: Lower + Send + 'static,
    {
        fn keep<T: Send + Sync + 'static, E>(
            table: &mut ResourceTable,
            opened: Result<T, E>,
            full: fn() -> E,
        ) -> Result<Session<T>, E> {
            opened.and_then(|session| table.push(Arc::new(session)).map_err(|_| full()))
        }
        if self.concurrent {
            return self.linker.func_wrap_concurrent(name, move |accessor, parameters: P| {
                let opening = accessor.with(|mut access| {
                    let state = access.get();
                    let spent = state.spend_outbound();
                    open(state.shared_grants(), spent, parameters)
                });
                Box::pin(async move {
                    let opened = opening.await;
                    Ok((accessor.with(|mut access| keep(access.get().table(), opened, full)),))
                })
            });
        }
        self.linker.func_wrap_async(
            name,
            move |mut store: StoreContextMut<'_, HostState>, parameters: P| {
                let spent = store.data_mut().spend_outbound();
                let opening = open(store.data().shared_grants(), spent, parameters);
                Box::new(async move {
                    let opened = opening.await;
                    Ok((keep(store.data_mut().table(), opened, full),))
                })
            },
        )
    }

    /// Defines a method.
    pub(crate) fn method<T, C, R>(
        &mut self,
        name: &str,
        run: fn(Arc<T>, C::Rest) -> Running<R>,
    ) -> wasmtime::Result<()>
    where
        T: Send + Sync + 'static,
        C: Call<T>,
        R: Lower + Send + 'static,
    {
        if self.concurrent {
            return self.linker.func_wrap_concurrent(name, move |accessor, call: C| {
                let running = accessor.with(|mut access| {
                    let (session, rest) = call.split();
                    access.get().table().get(&session).map(|found| run(found.clone(), rest))
                });
                Box::pin(async move { Ok((running?.await,)) })
            });
        }
        self.linker.func_wrap_async(
            name,
            move |mut store: StoreContextMut<'_, HostState>, call: C| {
                let (session, rest) = call.split();
                let running =
                    store.data_mut().table().get(&session).map(|found| run(found.clone(), rest));
                Box::new(async move { Ok((running?.await,)) })
            },
        )
    }
}
