// A wasi:http handler in C, by the bindings that wit-bindgen generates. It borrows each resource
// that it owns, and drops children before their parents, as the component model asks.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handler.h"

enum { CHUNK = 4096 };  // The most that one blocking write takes.

// A response that is being written.
typedef struct {
    http_own_outgoing_body_t body;
    io_own_output_stream_t stream;
} sink_t;

static sink_t begin(exports_serve_own_response_outparam_t out, uint16_t status) {
    sink_t sink;
    http_own_outgoing_response_t response =
        http_constructor_outgoing_response(http_constructor_fields());
    http_borrow_outgoing_response_t self = http_borrow_outgoing_response(response);
    http_method_outgoing_response_set_status_code(self, status);
    if (!http_method_outgoing_response_body(self, &sink.body)) abort();
    if (!http_method_outgoing_body_write(http_borrow_outgoing_body(sink.body), &sink.stream)) abort();
    http_result_own_outgoing_response_error_code_t answer = {.is_err = false, .val.ok = response};
    http_static_response_outparam_set(out, &answer);
    return sink;
}

// False when the client has left.
static bool put(sink_t *sink, const void *bytes, size_t length) {
    const uint8_t *at = bytes;
    while (length > 0) {
        size_t part = length < CHUNK ? length : CHUNK;
        handler_list_u8_t list = {(uint8_t *)at, part};
        io_stream_error_t error;
        if (!io_method_output_stream_blocking_write_and_flush(
                io_borrow_output_stream(sink->stream), &list, &error)) {
            io_stream_error_free(&error);
            return false;
        }
        at += part;
        length -= part;
    }
    return true;
}

static void end(sink_t sink) {
    http_error_code_t error;
    io_output_stream_drop_own(sink.stream);
    if (!http_static_outgoing_body_finish(sink.body, NULL, &error)) http_error_code_free(&error);
}

static void say(exports_serve_own_response_outparam_t out, uint16_t status, const char *text) {
    sink_t sink = begin(out, status);
    put(&sink, text, strlen(text));
    end(sink);
}

// Moves a body to the response, piece by piece.
static void copy(http_own_incoming_body_t body, sink_t *sink) {
    io_own_input_stream_t stream;
    if (!http_method_incoming_body_stream(http_borrow_incoming_body(body), &stream)) abort();
    handler_list_u8_t piece;
    io_stream_error_t error;
    bool open = true;
    while (open && io_method_input_stream_blocking_read(
                       io_borrow_input_stream(stream), 64 * 1024, &piece, &error)) {
        open = put(sink, piece.ptr, piece.len);
        handler_list_u8_free(&piece);
    }
    if (open) io_stream_error_free(&error);
    io_input_stream_drop_own(stream);
    http_incoming_body_drop_own(body);
}

static void echo(http_borrow_incoming_request_t request, exports_serve_own_response_outparam_t out) {
    http_own_incoming_body_t body;
    if (!http_method_incoming_request_consume(request, &body)) abort();
    sink_t sink = begin(out, 200);
    copy(body, &sink);
    end(sink);
}

// Each header of the request, `name: value` a line.
static void headers(http_borrow_incoming_request_t request, exports_serve_own_response_outparam_t out) {
    http_own_headers_t fields = http_method_incoming_request_headers(request);
    http_list_tuple2_field_name_field_value_t entries;
    http_method_fields_entries(http_borrow_fields(fields), &entries);
    sink_t sink = begin(out, 200);
    for (size_t i = 0; i < entries.len; i++) {
        put(&sink, entries.ptr[i].f0.ptr, entries.ptr[i].f0.len);
        put(&sink, ": ", 2);
        put(&sink, entries.ptr[i].f1.ptr, entries.ptr[i].f1.len);
        put(&sink, "\n", 1);
    }
    end(sink);
    http_list_tuple2_field_name_field_value_free(&entries);
    http_fields_drop_own(fields);
}

// A GET of `http://authority/path`; false if it could not be sent or not be answered.
static bool get(const char *url, http_own_incoming_response_t *response) {
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) return false;
    const char *authority = url + sizeof scheme - 1;
    size_t length = strcspn(authority, "/");
    const char *path = authority[length] ? authority + length : "/";

    http_own_outgoing_request_t request = http_constructor_outgoing_request(http_constructor_fields());
    http_borrow_outgoing_request_t self = http_borrow_outgoing_request(request);
    http_scheme_t plain = {.tag = HTTP_SCHEME_HTTP};
    handler_string_t host = {(uint8_t *)authority, length};
    handler_string_t target = {(uint8_t *)path, strlen(path)};
    http_method_outgoing_request_set_scheme(self, &plain);
    if (!http_method_outgoing_request_set_authority(self, &host) ||
        !http_method_outgoing_request_set_path_with_query(self, &target)) {
        http_outgoing_request_drop_own(request);
        return false;
    }

    http_own_future_incoming_response_t future;
    http_error_code_t error;
    if (!client_handle(request, NULL, &future, &error)) {
        http_error_code_free(&error);
        return false;
    }
    poll_own_pollable_t ready = http_method_future_incoming_response_subscribe(
        http_borrow_future_incoming_response(future));
    poll_method_pollable_block(poll_borrow_pollable(ready));
    poll_pollable_drop_own(ready);
    http_result_result_own_incoming_response_error_code_void_t result;
    bool answered = http_method_future_incoming_response_get(
        http_borrow_future_incoming_response(future), &result);
    http_future_incoming_response_drop_own(future);
    if (!answered || result.is_err) return false;
    if (result.val.ok.is_err) {
        http_error_code_free(&result.val.ok.val.err);
        return false;
    }
    *response = result.val.ok.val.ok;
    return true;
}

static void fetch(const char *url, exports_serve_own_response_outparam_t out) {
    http_own_incoming_response_t response;
    if (!get(url, &response)) {
        say(out, 502, "the request failed\n");
        return;
    }
    http_own_incoming_body_t body;
    if (!http_method_incoming_response_consume(http_borrow_incoming_response(response), &body)) abort();
    sink_t sink = begin(out, 200);
    copy(body, &sink);
    end(sink);
    http_incoming_response_drop_own(response);
}

void exports_serve_handle(exports_serve_own_incoming_request_t request,
                          exports_serve_own_response_outparam_t out) {
    static const char url[] = "/fetch?url=";
    http_borrow_incoming_request_t self = http_borrow_incoming_request(request);
    handler_string_t target = {NULL, 0};
    http_method_incoming_request_path_with_query(self, &target);
    char *path = strndup((char *)target.ptr, target.len);
    if (!path) abort();
    handler_string_free(&target);

    if (strcmp(path, "/") == 0 || strcmp(path, "/hello") == 0) {
        say(out, 200, "hello world");
    } else if (strcmp(path, "/echo") == 0) {
        echo(self, out);
    } else if (strcmp(path, "/headers") == 0) {
        headers(self, out);
    } else if (strncmp(path, url, sizeof url - 1) == 0) {
        fetch(path + sizeof url - 1, out);
    } else {
        say(out, 404, "no such path\n");
    }
    free(path);
    http_incoming_request_drop_own(request);
}
