//! What can go wrong before a guest runs.

use crate::Mode;

/// Why an engine could not be built or a component could not be loaded.
///
/// The cause is the `source`; the text never repeats it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The bytes are no WebAssembly component. Whose fault: the tenant's.
    #[error("not a WebAssembly component: {found}")]
    NotAComponent {
        /// What the bytes look like instead.
        found: &'static str,
    },
    /// The component is malformed, or does not validate with the features that Dayfly offers.
    /// Whose fault: the tenant's.
    #[error("the component is not valid")]
    Invalid(#[source] wasmtime::Error),
    /// Compiling it would take too long. Whose fault: the tenant's.
    #[error(
        "the {what} at byte {at} would keep the compiler busy for too long: it weighs {weight}, and \
         may weigh {limit} (hint: split functions that have thousands of locals, branches or loops)"
    )]
    TooHeavy {
        /// What is too heavy: a function, or all up to it.
        what: &'static str,
        /// Where the function begins in the component.
        at: usize,
        /// What it weighs, in units of about one instruction.
        weight: u64,
        /// What it may weigh.
        limit: u64,
    },
    /// The compiler refused the component, though it is valid. Whose fault: the tenant's, or the
    /// operator's choice of a mode.
    #[error("failed to compile the component with the `{mode}` engine{}", unsupported_hint(*.mode))]
    Compile {
        /// The mode that was asked for.
        mode: Mode,
        /// What the compiler said.
        #[source]
        source: wasmtime::Error,
    },
    /// This process is not to compile. Whose fault: the platform's.
    #[error("its code is not in the artifact cache, and this process compiles nothing")]
    CompilesNothing,
    /// Code that was just compiled could not be loaded. Whose fault: the platform's.
    #[error("failed to load the compiled component")]
    Load(#[source] wasmtime::Error),
    /// A component cannot be frozen. Whose fault: the tenant's.
    #[error(
        "the component cannot be frozen: {reason} (hint: one module at its root has to have its one \
         memory, as most tools make it; freeze before you compose)"
    )]
    Unfreezable {
        /// What is unusual about it.
        reason: &'static str,
    },
    /// The image of a component's memory could not be made or opened. Whose fault: the platform's.
    #[error("failed to make the image of the component's memory")]
    Image(#[source] std::io::Error),
    /// The engine's memory pools could not be reserved. Whose fault: the operator's.
    #[error(
        "failed to reserve {reserved_bytes} bytes of address space for {max_instances} instances \
         (hint: raise `ulimit -v` or lower the number of instances)"
    )]
    AddressSpace {
        /// How much was to be reserved; nothing of it is used before guests run.
        reserved_bytes: u64,
        /// The number of instances that it was meant for.
        max_instances: u32,
        /// What the operating system said.
        #[source]
        source: wasmtime::Error,
    },
    /// The engine could not be built. Whose fault: the operator's.
    #[error("failed to build the engine")]
    Build(#[source] wasmtime::Error),
    /// The worker threads for compiling could not be started.
    #[error("failed to start {threads} compile threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the operating system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn unsupported_hint(mode: Mode) -> &'static str {
    match mode {
        Mode::Baseline => {
            " (hint: it lacks garbage collection, exceptions, function references, tail calls and \
             relaxed SIMD; `auto` has them all)"
        }
        _ => "",
    }
}
