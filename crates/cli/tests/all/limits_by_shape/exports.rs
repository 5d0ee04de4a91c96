//! What makes a component of [`handwritten`](crate::handwritten) a handler of each shape.

use crate::tiny;

/// A handler of `wasi:http/handler@0.3`.
pub(super) const HTTP_03: &str = r#"
  (import "wasi:http/types@0.3.0" (instance $types03
    (export "request" (type (sub resource)))
    (export "response" (type (sub resource)))
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
    (export "error-code" (type (eq $error-code')))))
  (alias export $types03 "request" (type $request03))
  (alias export $types03 "response" (type $response03))
  (alias export $types03 "error-code" (type $error-code03))
  (type $handle' (func async
    (param "request" (own $request03)) (result (result (own $response03) (error $error-code03)))))
  (func $handle (type $handle')
    (canon lift (core func $handler "resource") (memory $mem) (realloc $realloc)))
  (instance $handler03
    (export "request" (type $request03))
    (export "response" (type $response03))
    (export "error-code" (type $error-code03))
    (export "handle" (func $handle)))
  (export "wasi:http/handler@0.3.0" (instance $handler03))"#;

pub(super) const COMMAND_02: &str = r#"
  (func $main (result (result)) (canon lift (core func $handler "run")))
  (instance $command (export "run" (func $main)))
  (export "wasi:cli/run@0.2.0" (instance $command))"#;

pub(super) const COMMAND_03: &str = r#"
  (type $main' (func async (result (result))))
  (func $main (type $main') (canon lift (core func $handler "run")))
  (instance $command (export "run" (func $main)))
  (export "wasi:cli/run@0.3.0" (instance $command))"#;

/// A function `call`, for `dayfly call`.
pub(super) const TYPED: &str = r#"
  (func $call (canon lift (core func $handler "call")))
  (export "call" (func $call))"#;

/// The handler of Spin's cron plugin.
pub(super) const CRON: &str = r#"
  (type $metadata' (record (field "timestamp" u64)))
  (export $metadata "metadata" (type $metadata'))
  (type $error-cron' (variant (case "other" string)))
  (export $error-cron "error" (type $error-cron'))
  (func $cron (param "metadata" $metadata) (result (result (error $error-cron)))
    (canon lift (core func $handler "number") (memory $mem)))
  (export "handle-cron-event" (func $cron))"#;

/// A handler of `wasi:messaging`.
pub(super) const MESSAGING: &str = r#"
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

/// Spin 1's handler of requests.
pub(super) fn spin_http() -> String {
    tiny::inbound_http_export("(core func $handler \"whole\") (memory $mem) (realloc $realloc)")
}

/// Spin's handler of Redis messages, as it was first.
pub(super) fn redis() -> String {
    of_redis("fermyon:spin/inbound-redis", r#"(enum "success" "error")"#)
}

/// The same as it is.
pub(super) fn redis_3() -> String {
    of_redis(
        "spin:redis/inbound-redis@3.0.0",
        r#"(variant (case "invalid-address") (case "too-many-connections") (case "type-error")
             (case "other" string))"#,
    )
}

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
