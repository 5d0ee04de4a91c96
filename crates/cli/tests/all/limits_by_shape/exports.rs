//! What makes a component of [`handwritten`](crate::handwritten) a handler of each shape.

use crate::{handwritten, tiny};

/// What a component exports.
#[derive(Debug, Clone, Copy)]
pub(super) enum Export {
    Http02,
    Http03,
    SpinHttp,
    Command02,
    Command03,
    Redis,
    Redis3,
    Cron,
    Messaging,
    Call,
    CallAsync,
    /// The same of a component that imports WASI 0.3 as well, which another engine runs.
    And03(&'static Export),
}

impl Export {
    /// It as [`handwritten::component`] takes it, for a component that passes the limit of that name.
    pub(super) fn text(self, limit: &str) -> String {
        match self {
            Self::Http02 => handwritten::HTTP_02.to_owned(),
            Self::Http03 if limit == "output" => TYPES_03.to_owned() + WRITING_03 + EXPORTED_03,
            Self::Http03 => TYPES_03.to_owned() + HANDLER_03 + EXPORTED_03,
            Self::SpinHttp => tiny::inbound_http_export(
                "(core func $handler \"whole\") (memory $mem) (realloc $realloc)",
            ),
            Self::Command02 => COMMAND_02.to_owned(),
            Self::Command03 => COMMAND_03.to_owned(),
            Self::Redis => of_redis("fermyon:spin/inbound-redis", r#"(enum "success" "error")"#),
            Self::Redis3 => of_redis(
                "spin:redis/inbound-redis@3.0.0",
                r#"(variant (case "invalid-address") (case "too-many-connections")
                     (case "type-error") (case "other" string))"#,
            ),
            Self::Cron => CRON.to_owned(),
            Self::Messaging => MESSAGING.to_owned(),
            Self::Call => CALL.to_owned(),
            Self::CallAsync => CALL_ASYNC.to_owned(),
            Self::And03(export) => CLOCK_03.to_owned() + &export.text(limit),
        }
    }
}

/// Nobody asks it; but who imports it is a component of WASI 0.3.
const CLOCK_03: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock03
    (export "now" (func (result u64)))))"#;

/// The types of `wasi:http@0.3`.
const TYPES_03: &str = r#"
  (import "wasi:http/types@0.3.0" (instance $types03
    (export "request" (type (sub resource)))
    (export "response" (type $response (sub resource)))
    (export "fields" (type $fields (sub resource)))
    (type $dns' (record
      (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $alert' (record
      (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $alert (eq $alert')))
    (type $field-size' (record
      (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $field-size (eq $field-size')))
    (type $error-code' (variant
      (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found")
      (case "destination-unavailable") (case "destination-IP-prohibited")
      (case "destination-IP-unroutable") (case "connection-refused")
      (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout")
      (case "connection-limit-reached") (case "TLS-protocol-error")
      (case "TLS-certificate-error") (case "TLS-alert-received" $alert)
      (case "HTTP-request-denied") (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64)) (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $field-size))
      (case "HTTP-request-trailer-section-size" (option u32))
      (case "HTTP-request-trailer-size" $field-size) (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $field-size)
      (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32))
      (case "HTTP-response-trailer-size" $field-size)
      (case "HTTP-response-transfer-coding" (option string))
      (case "HTTP-response-content-coding" (option string)) (case "HTTP-response-timeout")
      (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[static]response.new" (func
      (param "headers" (own $fields)) (param "contents" (option (stream u8)))
      (param "trailers" (future (result (option (own $fields)) (error $error-code))))
      (result (tuple (own $response) (future (result (error $error-code)))))))))
  (alias export $types03 "request" (type $request03))
  (alias export $types03 "response" (type $response03))
  (alias export $types03 "error-code" (type $error-code03))
  (type $handle' (func async
    (param "request" (own $request03)) (result (result (own $response03) (error $error-code03)))))"#;

/// `$handle`, as `wasi:http/handler@0.3`.
const EXPORTED_03: &str = r#"
  (instance $handler03
    (export "request" (type $request03))
    (export "response" (type $response03))
    (export "error-code" (type $error-code03))
    (export "handle" (func $handle)))
  (export "wasi:http/handler@0.3.0" (instance $handler03))"#;

/// A handler's function, whose guest is called once.
const HANDLER_03: &str = r#"
  (func $handle (type $handle')
    (canon lift (core func $handler "resource") (memory $mem) (realloc $realloc)))"#;

/// The same that answers with letters for ever.
const WRITING_03: &str = r#"
  (alias export $types03 "fields" (type $fields03))
  (type $letters (stream u8))
  (type $trailers (future (result (option (own $fields03)) (error $error-code03))))
  (core func $fields03 (canon lower (func $types03 "[constructor]fields")))
  (core func $response03
    (canon lower (func $types03 "[static]response.new") (memory $mem)))
  (core func $letters (canon stream.new $letters))
  (core func $write03 (canon stream.write $letters async (memory $mem)))
  (core func $trailers (canon future.new $trailers))
  (core func $set (canon waitable-set.new))
  (core func $join (canon waitable.join))
  (core func $return (canon task.return
    (result (result (own $response03) (error $error-code03))) (memory $mem)))
  (core module $Writing
    (import "host" "memory" (memory 64))
    (import "host" "fields" (func $fields (result i32)))
    (import "host" "response" (func $response (param i32 i32 i32 i32 i32)))
    (import "host" "letters" (func $letters (result i64)))
    (import "host" "write" (func $write (param i32 i32 i32) (result i32)))
    (import "host" "trailers" (func $trailers (result i64)))
    (import "host" "set" (func $set (result i32)))
    (import "host" "join" (func $join (param i32 i32)))
    (import "host" "return" (func $return (param i32 i32 i32 i64 i32 i32 i32 i32)))
    (global $writer (mut i32) (i32.const 0))
    (global $waits (mut i32) (i32.const 0))
    (func (export "handle") (param i32) (result i32)
      (local $stream i64)
      (memory.fill (i32.const 65536) (i32.const 97) (i32.const 2097152))
      (local.set $stream (call $letters))
      (global.set $writer (i32.wrap_i64 (i64.shr_u (local.get $stream) (i64.const 32))))
      (call $response (call $fields) (i32.const 1) (i32.wrap_i64 (local.get $stream))
        (i32.wrap_i64 (call $trailers)) (i32.const 1024))
      (call $return (i32.const 0) (i32.load (i32.const 1024)) (i32.const 0) (i64.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (global.set $waits (call $set))
      (call $join (global.get $writer) (global.get $waits))
      (call $go_on))
    ;; Writes until that blocks, and waits for somebody to read it.
    (func $go_on (result i32)
      (loop $more
        (br_if $more (i32.ne (i32.const -1)
          (call $write (global.get $writer) (i32.const 65536) (i32.const 2097152)))))
      (i32.or (i32.const 2) (i32.shl (global.get $waits) (i32.const 4))))
    (func (export "callback") (param i32 i32 i32) (result i32) (call $go_on)))
  (core instance $writing (instantiate $Writing (with "host" (instance
    (export "memory" (memory $mem))
    (export "fields" (func $fields03))
    (export "response" (func $response03))
    (export "letters" (func $letters))
    (export "write" (func $write03))
    (export "trailers" (func $trailers))
    (export "set" (func $set))
    (export "join" (func $join))
    (export "return" (func $return))))))
  (alias core export $writing "callback" (core func $callback))
  (func $handle (type $handle')
    (canon lift (core func $writing "handle") async
      (memory $mem) (realloc $realloc) (callback $callback)))"#;

const COMMAND_02: &str = r#"
  (func $main (result (result)) (canon lift (core func $handler "run")))
  (instance $command (export "run" (func $main)))
  (export "wasi:cli/run@0.2.0" (instance $command))"#;

const COMMAND_03: &str = r#"
  (type $main' (func async (result (result))))
  (func $main (type $main') (canon lift (core func $handler "run")))
  (instance $command (export "run" (func $main)))
  (export "wasi:cli/run@0.3.0" (instance $command))"#;

/// A function `call`, for `dayfly call`.
const CALL: &str = r#"
  (func $call (canon lift (core func $handler "call")))
  (export "call" (func $call))"#;

/// The same as WASI 0.3 has functions.
const CALL_ASYNC: &str = r#"
  (type $call' (func async))
  (func $call (type $call') (canon lift (core func $handler "call")))
  (export "call" (func $call))"#;

/// The handler of Spin's cron plugin.
const CRON: &str = r#"
  (type $metadata' (record (field "timestamp" u64)))
  (export $metadata "metadata" (type $metadata'))
  (type $error-cron' (variant (case "other" string)))
  (export $error-cron "error" (type $error-cron'))
  (func $cron (param "metadata" $metadata) (result (result (error $error-cron)))
    (canon lift (core func $handler "number") (memory $mem)))
  (export "handle-cron-event" (func $cron))"#;

/// A handler of `wasi:messaging`.
const MESSAGING: &str = r#"
  (import "wasi:messaging/types@0.2.0-draft" (instance $messages
    (export "message" (type (sub resource)))
    (type $error' (variant (case "timeout") (case "connection" string)
      (case "permission-denied" string) (case "other" string)))
    (export "error" (type (eq $error')))))
  (alias export $messages "message" (type $message))
  (alias export $messages "error" (type $error-message))
  (func $handle (param "message" (own $message)) (result (result (error $error-message)))
    (canon lift (core func $handler "resource") (memory $mem)))
  (instance $messaging
    (export "message" (type $message))
    (export "error" (type $error-message))
    (export "handle" (func $handle)))
  (export "wasi:messaging/incoming-handler@0.2.0-draft" (instance $messaging))"#;

/// Spin's handler of Redis messages.
fn of_redis(interface: &str, error: &str) -> String {
    r#"
  (type $error-redis ERROR)
  (func $message (param "message" (list u8)) (result (result (error $error-redis)))
    (canon lift (core func $handler "text") (memory $mem) (realloc $realloc)))
  ;; Types have names only where they are imported or exported.
  (component $named
    (type $error-in' ERROR)
    (import "error" (type $error-in (eq $error-in')))
    (import "handle" (func $handle
      (param "message" (list u8)) (result (result (error $error-in)))))
    (export $error-out "error" (type $error-in'))
    (export "handle-message" (func $handle)
      (func (param "message" (list u8)) (result (result (error $error-out))))))
  (instance $redis (instantiate $named
    (with "error" (type $error-redis)) (with "handle" (func $message))))
  (export "INTERFACE" (instance $redis))"#
        .replace("ERROR", error)
        .replace("INTERFACE", interface)
}
