//! The interfaces as `wit/` states them.

#![allow(missing_docs, reason = "generated")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "dayfly:capabilities/telemetry",
});
