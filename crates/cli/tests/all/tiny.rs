//! The smallest guests of shapes that no language has to be had for: a line of WebAssembly's text in
//! what makes it a handler.

/// Computes for ever.
pub(crate) const SPIN: &str = "(loop $again (br $again))";

/// A handler of `fermyon:spin/inbound-http`.
pub(crate) fn inbound_http(body: &str) -> String {
    let core = "(core func $i \"handle\") \
        (memory (core memory $i \"memory\")) (realloc (core func $i \"realloc\"))";
    let export = inbound_http_export(core);
    include_str!("inbound_http.wat").replace("EXPORT", &export).replace("BODY", body)
}

/// What makes a core function such a handler.
pub(crate) fn inbound_http_export(core: &str) -> String {
    include_str!("inbound_http_export.wat").replace("CORE", core)
}

/// A command, as a core module.
pub(crate) fn command(body: &str) -> String {
    include_str!("command.wat").replace("BODY", body)
}

/// The same, which does it only if it is given any data.
pub(crate) fn command_given(body: &str) -> String {
    command(&format!("(if (call $given) (then {body}))"))
}

/// A command of WASI 0.3.
pub(crate) fn command_03(body: &str) -> String {
    include_str!("command_03.wat").replace("BODY", body)
}
