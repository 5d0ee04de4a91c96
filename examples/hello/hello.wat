;; A whole HTTP handler, written by hand: a WebAssembly component that exports
;; `wasi:http/incoming-handler` and answers every request with "hello, world".
;;
;; A component is a box around core WebAssembly. It says in high-level types what it imports and
;; exports (part 1 and 5); inside, core code knows only numbers (part 4). `canon lower` turns an
;; imported high-level function into a core one, `canon lift` does the reverse for an export: the
;; Canonical ABI defines which numbers stand for which value. Compilers write all this for you; here
;; you can read it.
(component

  ;; ---------------------------------------------------------------------------------------------
  ;; 1. What the component imports: three interfaces of WASI 0.2, cut down to what is used.

  (import "wasi:io/error@0.2.0" (instance $io-error
    (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $error))

  (import "wasi:io/streams@0.2.0" (instance $io-streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (type $stream-error' (variant
      (case "last-operation-failed" (own $error))
      (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream))
      (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $io-streams "output-stream" (type $output-stream))

  (import "wasi:http/types@0.2.0" (instance $http-types
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "outgoing-body" (type $outgoing-body (sub resource)))
    (export "response-outparam" (type $response-outparam (sub resource)))
    (alias outer 1 $output-stream (type $output-stream'))
    (export "output-stream" (type $output-stream (eq $output-stream')))

    ;; Why a header may be refused.
    (type $header-error' (variant
      (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header-error')))

    ;; Why an exchange may fail. This handler never says so, but the type is part of `set` below.
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
      (case "DNS-timeout")
      (case "DNS-error" $dns)
      (case "destination-not-found")
      (case "destination-unavailable")
      (case "destination-IP-prohibited")
      (case "destination-IP-unroutable")
      (case "connection-refused")
      (case "connection-terminated")
      (case "connection-timeout")
      (case "connection-read-timeout")
      (case "connection-write-timeout")
      (case "connection-limit-reached")
      (case "TLS-protocol-error")
      (case "TLS-certificate-error")
      (case "TLS-alert-received" $alert)
      (case "HTTP-request-denied")
      (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid")
      (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $field-size))
      (case "HTTP-request-trailer-section-size" (option u32))
      (case "HTTP-request-trailer-size" $field-size)
      (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $field-size)
      (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32))
      (case "HTTP-response-trailer-size" $field-size)
      (case "HTTP-response-transfer-coding" (option string))
      (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout")
      (case "HTTP-upgrade-failed")
      (case "HTTP-protocol-error")
      (case "loop-detected")
      (case "configuration-error")
      (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $error-code')))

    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append" (func
      (param "self" (borrow $fields))
      (param "name" string)
      (param "value" (list u8))
      (result (result (error $header-error)))))
    (export "[constructor]outgoing-response" (func
      (param "headers" (own $fields))
      (result (own $outgoing-response))))
    (export "[method]outgoing-response.body" (func
      (param "self" (borrow $outgoing-response))
      (result (result (own $outgoing-body)))))
    (export "[static]response-outparam.set" (func
      (param "param" (own $response-outparam))
      (param "response" (result (own $outgoing-response) (error $error-code)))))
    (export "[method]outgoing-body.write" (func
      (param "self" (borrow $outgoing-body))
      (result (result (own $output-stream)))))
    (export "[static]outgoing-body.finish" (func
      (param "this" (own $outgoing-body))
      (param "trailers" (option (own $fields)))
      (result (result (error $error-code)))))))
  (alias export $http-types "incoming-request" (type $incoming-request))
  (alias export $http-types "response-outparam" (type $response-outparam))

  ;; ---------------------------------------------------------------------------------------------
  ;; 2. The memory, in a module of its own: lowered imports need it before the handler exists.

  (core module $Memory
    (memory (export "memory") 1)

    ;; Where the host may put what it returns (only the texts of errors, here). Each request has a
    ;; fresh instance, so handing out ever higher addresses is all the memory management needed;
    ;; the store traps if it runs past the page.
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32)
      (result i32)
      (local $at i32)
      ;; at = next rounded up to the alignment
      (local.set $at
        (i32.and
          (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))

    (data (i32.const 0) "content-type")           ;; 12 bytes
    (data (i32.const 16) "text/plain")            ;; 10 bytes
    (data (i32.const 32) "hello, world\n"))       ;; 13 bytes

  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  ;; ---------------------------------------------------------------------------------------------
  ;; 3. The imports, lowered to core functions.

  (core func $new-fields
    (canon lower (func $http-types "[constructor]fields")))
  (core func $append
    (canon lower (func $http-types "[method]fields.append") (memory $mem)))
  (core func $new-response
    (canon lower (func $http-types "[constructor]outgoing-response")))
  (core func $body
    (canon lower (func $http-types "[method]outgoing-response.body") (memory $mem)))
  (core func $set
    (canon lower (func $http-types "[static]response-outparam.set") (memory $mem)))
  (core func $write
    (canon lower (func $http-types "[method]outgoing-body.write") (memory $mem)))
  (core func $write-and-flush
    (canon lower (func $io-streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $finish
    (canon lower (func $http-types "[static]outgoing-body.finish") (memory $mem) (realloc $realloc)))
  (core func $drop-stream (canon resource.drop $output-stream))
  (core func $drop-request (canon resource.drop $incoming-request))

  ;; ---------------------------------------------------------------------------------------------
  ;; 4. The handler itself.

  (core module $Handler
    (import "host" "memory" (memory 1))
    (import "host" "new-fields" (func $new-fields (result i32)))
    ;; (fields, name and its length, value and its length, where to put the result)
    (import "host" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
    (import "host" "new-response" (func $new-response (param i32) (result i32)))
    (import "host" "body" (func $body (param i32 i32)))
    ;; (outparam, 0 for ok, response, and room for the parts of an error)
    (import "host" "set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32)))
    (import "host" "write-and-flush" (func $write-and-flush (param i32 i32 i32 i32)))
    ;; (body, 0 for no trailers, trailers, where to put the result)
    (import "host" "finish" (func $finish (param i32 i32 i32 i32)))
    (import "host" "drop-stream" (func $drop-stream (param i32)))
    (import "host" "drop-request" (func $drop-request (param i32)))

    ;; Results that are more than one number are written to this address: a byte that is 0 for ok,
    ;; and what comes with it 4 bytes later.
    (global $result i32 (i32.const 1024))

    ;; Traps unless the last result is ok; the host then answers 500.
    (func $must
      (if (i32.load8_u (global.get $result)) (then unreachable)))

    ;; The handle that came with an ok.
    (func $ok (result i32)
      (call $must)
      (i32.load offset=4 (global.get $result)))

    (func (export "handle") (param $request i32) (param $outparam i32)
      (local $fields i32) (local $response i32) (local $out-body i32) (local $stream i32)

      ;; content-type: text/plain
      (local.set $fields (call $new-fields))
      (call $append (local.get $fields)
        (i32.const 0) (i32.const 12) (i32.const 16) (i32.const 10) (global.get $result))
      (call $must)

      ;; A response with these headers and status 200, and its body.
      (local.set $response (call $new-response (local.get $fields)))
      (call $body (local.get $response) (global.get $result))
      (local.set $out-body (call $ok))

      ;; From here on the host sends: the headers now, the body as it is written.
      (call $set (local.get $outparam) (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))

      (call $write (local.get $out-body) (global.get $result))
      (local.set $stream (call $ok))
      (call $write-and-flush (local.get $stream) (i32.const 32) (i32.const 13) (global.get $result))
      (call $must)
      ;; A body is finished only once its stream is gone.
      (call $drop-stream (local.get $stream))
      (call $finish (local.get $out-body) (i32.const 0) (i32.const 0) (global.get $result))
      (call $must)
      (call $drop-request (local.get $request))))

  (core instance $handler (instantiate $Handler (with "host" (instance
    (export "memory" (memory $mem))
    (export "new-fields" (func $new-fields))
    (export "append" (func $append))
    (export "new-response" (func $new-response))
    (export "body" (func $body))
    (export "set" (func $set))
    (export "write" (func $write))
    (export "write-and-flush" (func $write-and-flush))
    (export "finish" (func $finish))
    (export "drop-stream" (func $drop-stream))
    (export "drop-request" (func $drop-request))))))

  ;; ---------------------------------------------------------------------------------------------
  ;; 5. What the component exports.

  (func $handle
    (param "request" (own $incoming-request))
    (param "response-out" (own $response-outparam))
    (canon lift (core func $handler "handle")))
  (instance $incoming-handler
    (export "incoming-request" (type $incoming-request))
    (export "response-outparam" (type $response-outparam))
    (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $incoming-handler)))
