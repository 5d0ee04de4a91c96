;; Makes a core function the handler of `fermyon:spin/inbound-http`.
  (type $method (enum "get" "post" "put" "delete" "patch" "head" "options"))
  (type $headers (list (tuple string string)))
  (type $request (record
    (field "method" $method) (field "uri" string) (field "headers" $headers)
    (field "params" $headers) (field "body" (option (list u8)))))
  (type $response (record
    (field "status" u16) (field "headers" (option $headers)) (field "body" (option (list u8)))))
  (func $handle (param "request" $request) (result $response)
    (canon lift CORE))

  ;; Types have names only where they are imported or exported.
  (component $named
    (type $headers (list (tuple string string)))
    (type $method-in' (enum "get" "post" "put" "delete" "patch" "head" "options"))
    (import "method" (type $method-in (eq $method-in')))
    (type $request-in' (record
      (field "method" $method-in) (field "uri" string) (field "headers" $headers)
      (field "params" $headers) (field "body" (option (list u8)))))
    (import "request" (type $request-in (eq $request-in')))
    (type $response-in' (record
      (field "status" u16) (field "headers" (option $headers)) (field "body" (option (list u8)))))
    (import "response" (type $response-in (eq $response-in')))
    (import "handle" (func $handle (param "request" $request-in) (result $response-in)))

    (export $method-out "method" (type $method-in'))
    (type $request-out' (record
      (field "method" $method-out) (field "uri" string) (field "headers" $headers)
      (field "params" $headers) (field "body" (option (list u8)))))
    (export $request-out "request" (type $request-out'))
    (export $response-out "response" (type $response-in'))
    (export "handle-request" (func $handle)
      (func (param "request" $request-out) (result $response-out))))
  (instance $e (instantiate $named
    (with "method" (type $method)) (with "request" (type $request))
    (with "response" (type $response)) (with "handle" (func $handle))))
  (export "fermyon:spin/inbound-http" (instance $e))
