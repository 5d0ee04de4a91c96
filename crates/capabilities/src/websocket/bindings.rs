//! The interface as `wit/` states it.

#![allow(missing_docs, reason = "generated")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "dayfly:capabilities/websocket",
});
