(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow 0))))))
  (alias export $poll "pollable" (type $pollable))

  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "pollable" (type $pollable (eq $p)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))

  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))

  (import "test:nobody/grants@1.0.0" (instance $nobody
    (export "this" (func (result (result))))))

  (import "wasi:io/error@0.2.0" (instance $io-error
    (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $error))

  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (export "input-stream" (type $input-stream (sub resource)))
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]input-stream.blocking-read" (func
      (param "self" (borrow $input-stream)) (param "len" u64)
      (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.check-write" (func
      (param "self" (borrow $output-stream)) (result (result u64 (error $stream-error)))))
    (export "[method]output-stream.write" (func
      (param "self" (borrow $output-stream)) (param "contents" (list u8))
      (result (result (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (alias export $streams "input-stream" (type $input-stream))

  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input-stream (type $input-stream'))
    (export "input-stream" (type $input-stream (eq $input-stream')))
    (export "get-stdin" (func (result (own $input-stream))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $output-stream'))
    (export "output-stream" (type $output-stream (eq $output-stream')))
    (export "get-stdout" (func (result (own $output-stream))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output-stream (type $output-stream'))
    (export "output-stream" (type $output-stream (eq $output-stream')))
    (export "get-stderr" (func (result (own $output-stream))))))

  (import "wasi:sockets/network@0.2.0" (instance $network
    (type $code' (enum
      "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
      "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused"
      "connection-reset" "connection-aborted" "datagram-too-large" "name-unresolvable"
      "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type (eq $code')))
    (type $family' (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $family')))))
  (alias export $network "error-code" (type $network-code))
  (alias export $network "ip-address-family" (type $family))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp
    (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $sockets
    (alias outer 1 $network-code (type $code'))
    (export "error-code" (type $code (eq $code')))
    (alias outer 1 $family (type $family'))
    (export "ip-address-family" (type $family (eq $family')))
    (alias outer 1 $tcp-socket (type $tcp-socket'))
    (export "tcp-socket" (type $tcp-socket (eq $tcp-socket')))
    (export "create-tcp-socket" (func
      (param "address-family" $family) (result (result (own $tcp-socket) (error $code)))))))

  (import "wasi:filesystem/types@0.2.0" (instance $files
    (export "descriptor" (type $descriptor (sub resource)))
    (alias outer 1 $input-stream (type $input-stream'))
    (export "input-stream" (type $input-stream (eq $input-stream')))
    (type $code' (enum
      "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io"
      "is-directory" "loop" "too-many-links" "message-size" "name-too-long" "no-device" "no-entry"
      "no-lock" "insufficient-memory" "insufficient-space" "not-directory" "not-empty"
      "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe"
      "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $code (eq $code')))
    (type $flags' (flags
      "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
      "mutate-directory"))
    (export "descriptor-flags" (type $flags (eq $flags')))
    (type $path-flags' (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (export "[method]descriptor.read-via-stream" (func
      (param "self" (borrow $descriptor)) (param "offset" u64)
      (result (result (own $input-stream) (error $code)))))
    (export "[method]descriptor.open-at" (func
      (param "self" (borrow $descriptor)) (param "path-flags" $path-flags) (param "path" string)
      (param "open-flags" $open-flags) (param "flags" $flags)
      (result (result (own $descriptor) (error $code)))))))
  (alias export $files "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $descriptor (type $descriptor'))
    (export "descriptor" (type $descriptor (eq $descriptor')))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))

  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))
    (export "outgoing-request" (type $request (sub resource)))
    (export "outgoing-response" (type $response (sub resource)))
    (export "outgoing-body" (type $body (sub resource)))
    (export "request-options" (type (sub resource)))
    (export "future-incoming-response" (type (sub resource)))
    (alias outer 1 $output-stream (type $output-stream'))
    (export "output-stream" (type $output-stream (eq $output-stream')))
    (type $header-error' (variant
      (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header-error')))
    (type $method' (variant
      (case "get") (case "head") (case "post") (case "put") (case "delete") (case "connect")
      (case "options") (case "trace") (case "patch") (case "other" string)))
    (export "method" (type $method (eq $method')))
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
    (export "[method]fields.append" (func
      (param "self" (borrow $fields)) (param "name" string) (param "value" (list u8))
      (result (result (error $header-error)))))
    (export "[constructor]outgoing-request" (func
      (param "headers" (own $fields)) (result (own $request))))
    (export "[method]outgoing-request.set-method" (func
      (param "self" (borrow $request)) (param "method" $method) (result (result))))
    (export "[method]outgoing-request.set-path-with-query" (func
      (param "self" (borrow $request)) (param "path-with-query" (option string))
      (result (result))))
    (export "[method]outgoing-request.set-authority" (func
      (param "self" (borrow $request)) (param "authority" (option string))
      (result (result))))
    (export "[static]response-outparam.set" (func
      (param "param" (own $outparam))
      (param "response" (result (own $response) (error $error-code)))))
    (export "[constructor]outgoing-response" (func
      (param "headers" (own $fields)) (result (own $response))))
    (export "[method]outgoing-response.body" (func
      (param "self" (borrow $response)) (result (result (own $body)))))
    (export "[method]outgoing-body.write" (func
      (param "self" (borrow $body)) (result (result (own $output-stream)))))))
  (alias export $types "incoming-request" (type $incoming-request))
  (alias export $types "response-outparam" (type $response-outparam))
  (alias export $types "outgoing-request" (type $outgoing-request))
  (alias export $types "outgoing-body" (type $outgoing-body))
  (alias export $types "request-options" (type $request-options))
  (alias export $types "future-incoming-response" (type $future))
  (alias export $types "error-code" (type $error-code))

  (import "wasi:http/outgoing-handler@0.2.0" (instance $outgoing
    (alias outer 1 $outgoing-request (type $request'))
    (export "outgoing-request" (type $request (eq $request')))
    (alias outer 1 $request-options (type $options'))
    (export "request-options" (type $options (eq $options')))
    (alias outer 1 $future (type $future'))
    (export "future-incoming-response" (type $future (eq $future')))
    (alias outer 1 $error-code (type $error-code'))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "handle" (func
      (param "request" (own $request)) (param "options" (option (own $options)))
      (result (result (own $future) (error $error-code)))))))

  (core module $Memory
    (memory (export "memory") 64)
    (global $next (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $next)
      (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7))
        (i32.const -8))))
    (data (i32.const 0) "/")
    (data (i32.const 8) "file")
    (data (i32.const 16) "127.0.0.1:1")
    (data (i32.const 64) "Status: 200\0a\0a")
    (data (i32.const 96) "neighbour.spin.internal"))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $fields (canon lower (func $types "[constructor]fields")))
  (core func $append (canon lower (func $types "[method]fields.append") (memory $mem)))
  (core func $request (canon lower (func $types "[constructor]outgoing-request")))
  (core func $set_method
    (canon lower (func $types "[method]outgoing-request.set-method") (memory $mem)))
  (core func $set_path
    (canon lower (func $types "[method]outgoing-request.set-path-with-query") (memory $mem)))
  (core func $set_authority
    (canon lower (func $types "[method]outgoing-request.set-authority") (memory $mem)))
  (core func $send
    (canon lower (func $outgoing "handle") (memory $mem) (realloc $realloc)))
  (core func $answer
    (canon lower (func $types "[static]response-outparam.set") (memory $mem)))
  (core func $response (canon lower (func $types "[constructor]outgoing-response")))
  (core func $body (canon lower (func $types "[method]outgoing-response.body") (memory $mem)))
  (core func $open (canon lower (func $types "[method]outgoing-body.write") (memory $mem)))
  (core func $permit
    (canon lower (func $streams "[method]output-stream.check-write") (memory $mem)))
  (core func $write (canon lower (func $streams "[method]output-stream.write") (memory $mem)))
  (core func $write_all (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $stdin (canon lower (func $stdin "get-stdin")))
  (core func $read (canon lower
    (func $streams "[method]input-stream.blocking-read") (memory $mem) (realloc $realloc)))
  (core func $stdout (canon lower (func $stdout "get-stdout")))
  (core func $stderr (canon lower (func $stderr "get-stderr")))
  (core func $socket (canon lower (func $sockets "create-tcp-socket") (memory $mem)))
  (core func $drop_body (canon resource.drop $outgoing-body))
  (core func $drop_stream (canon resource.drop $output-stream))
  (core func $folders
    (canon lower (func $preopens "get-directories") (memory $mem) (realloc $realloc)))
  (core func $open_at
    (canon lower (func $files "[method]descriptor.open-at") (memory $mem)))
  (core func $read_from
    (canon lower (func $files "[method]descriptor.read-via-stream") (memory $mem)))
  (core func $drop_file (canon resource.drop $descriptor))
  (core func $refused (canon lower (func $nobody "this")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $random
    (canon lower (func $random "get-random-bytes") (memory $mem) (realloc $realloc)))

  (core module $Handler
    (import "host" "memory" (memory 64))
    (import "host" "fields" (func $fields (result i32)))
    (import "host" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
    (import "host" "request" (func $request (param i32) (result i32)))
    (import "host" "set_method" (func $set_method (param i32 i32 i32 i32) (result i32)))
    (import "host" "set_path" (func $set_path (param i32 i32 i32 i32) (result i32)))
    (import "host" "set_authority" (func $set_authority (param i32 i32 i32 i32) (result i32)))
    (import "host" "send" (func $send (param i32 i32 i32 i32)))
    (import "host" "answer" (func $answer (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "host" "response" (func $response (param i32) (result i32)))
    (import "host" "body" (func $body (param i32 i32)))
    (import "host" "open" (func $open (param i32 i32)))
    (import "host" "permit" (func $permit (param i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "write_all" (func $write_all (param i32 i32 i32 i32)))
    (import "host" "stdin" (func $stdin (result i32)))
    (import "host" "read" (func $read (param i32 i64 i32)))
    (import "host" "stdout" (func $stdout (result i32)))
    (import "host" "stderr" (func $stderr (result i32)))
    (import "host" "socket" (func $socket (param i32 i32)))
    (import "host" "drop_body" (func $drop_body (param i32)))
    (import "host" "drop_stream" (func $drop_stream (param i32)))
    (import "host" "folders" (func $folders (param i32)))
    (import "host" "open_at" (func $open_at (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "read_from" (func $read_from (param i32 i64 i32)))
    (import "host" "drop_file" (func $drop_file (param i32)))
    (import "host" "refused" (func $refused (result i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (import "host" "random" (func $random (param i64 i32)))
    (func $sleep (param i64) (call $block (call $subscribe (local.get 0))))
    (table $table 1 funcref)
    (global $out (mut i32) (i32.const 0))
    (func $recurse (param i64) (result i64)
      (i64.add (local.get 0) (call $recurse (i64.add (local.get 0) (i64.const 1)))))
    (func $run
      (local $a i32) (local $b i32) (local $i i32)
      (memory.fill (i32.const 65536) (i32.const 97) (i32.const 4128768))
      BODY)
    (func (export "handle") (param i32 i32) (global.set $out (local.get 1)) (call $run))
    ;; A command does it only if it is given any data.
    (func (export "run") (result i32)
      (call $read (call $stdin) (i64.const 1) (i32.const 1024))
      (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (call $run)))
      (i32.const 0))
    (func (export "call") (call $run))
    ;; What these answer with is at 2048, and all zeros unless the line writes there.
    (func (export "text") (param i32 i32) (result i32) (call $run) (i32.const 2048))
    (func (export "number") (param i64) (result i32) (call $run) (i32.const 2048))
    (func (export "resource") (param i32) (result i32) (call $run) (i32.const 2048))
    (func (export "whole") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
      (i32.store (i32.const 2048) (i32.const 200)) (call $run) (i32.const 2048)))

  (core instance $handler (instantiate $Handler (with "host" (instance
    (export "memory" (memory $mem))
    (export "fields" (func $fields))
    (export "append" (func $append))
    (export "request" (func $request))
    (export "set_method" (func $set_method))
    (export "set_path" (func $set_path))
    (export "set_authority" (func $set_authority))
    (export "send" (func $send))
    (export "answer" (func $answer))
    (export "response" (func $response))
    (export "body" (func $body))
    (export "open" (func $open))
    (export "permit" (func $permit))
    (export "write" (func $write))
    (export "write_all" (func $write_all))
    (export "stdin" (func $stdin))
    (export "read" (func $read))
    (export "stdout" (func $stdout))
    (export "stderr" (func $stderr))
    (export "socket" (func $socket))
    (export "drop_body" (func $drop_body))
    (export "drop_stream" (func $drop_stream))
    (export "folders" (func $folders))
    (export "open_at" (func $open_at))
    (export "read_from" (func $read_from))
    (export "drop_file" (func $drop_file))
    (export "refused" (func $refused))
    (export "subscribe" (func $subscribe))
    (export "block" (func $block))
    (export "random" (func $random))))))

  EXPORT)
