//! What an initialiser imports and may not call: each such function traps, and says so.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Error, Result};

/// The packages of WASI 0.2 that an initialiser is given.
const GIVEN: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// Defines whatever else `component` imports than WASI's own interfaces, which are defined already.
///
/// # Errors
/// When something is defined twice.
pub fn define<T: Send + 'static>(linker: &mut Linker<T>, component: &Component) -> Result<()> {
    let engine = component.engine();
    let mut refusals = Refusals { engine, known: Vec::new() };
    for (name, item) in component.component_type().imports(engine) {
        match is_given(name) {
            true => refusals.know(&item.ty),
            false => refusals.item(&mut linker.root(), name, name, &item.ty)?,
        }
    }
    Ok(())
}

fn is_given(import: &str) -> bool {
    let package = |name: &&str| import.starts_with(&format!("wasi:{name}/"));
    import.contains("@0.2.") && GIVEN.iter().any(package)
}

/// A resource of which there is none.
struct Refused;

struct Refusals<'a> {
    engine: &'a Engine,
    /// The resources of the imports before: who uses them later must not define them anew.
    known: Vec<ResourceType>,
}

impl Refusals<'_> {
    fn know(&mut self, item: &ComponentItem) {
        match item {
            ComponentItem::Resource(resource) => self.known.push(*resource),
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(self.engine).for_each(|(_, item)| self.know(&item.ty));
            }
            _ => {}
        }
    }

    fn item<T: Send + 'static>(
        &mut self,
        linker: &mut LinkerInstance<'_, T>,
        name: &str,
        path: &str,
        item: &ComponentItem,
    ) -> Result<()> {
        match item {
            ComponentItem::ComponentFunc(function) => refuse(linker, name, path, function),
            ComponentItem::ComponentInstance(instance) => {
                let mut inner = linker.instance(name)?;
                for (name, item) in instance.exports(self.engine) {
                    self.item(&mut inner, name, &format!("{path}#{name}"), &item.ty)?;
                }
                Ok(())
            }
            ComponentItem::Resource(resource) if self.known.contains(resource) => Ok(()),
            ComponentItem::Resource(resource) => {
                self.known.push(*resource);
                linker.resource(name, ResourceType::host::<Refused>(), |_, _| Ok(()))
            }
            // What else can be imported has nothing to call.
            _ => Ok(()),
        }
    }
}

fn refuse<T: Send + 'static>(
    linker: &mut LinkerInstance<'_, T>,
    name: &str,
    path: &str,
    function: &ComponentFunc,
) -> Result<()> {
    let path = path.to_owned();
    let refused = move || Error::msg(format!("it called `{path}`, which an initialiser may not"));
    if function.async_() {
        linker.func_new_concurrent(name, move |_, _, _, _| {
            let refused = refused();
            Box::pin(async move { Err(refused) })
        })
    } else {
        linker.func_new(name, move |_, _, _, _| Err(refused()))
    }
}
