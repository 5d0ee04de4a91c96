"""A handler of plain wasi:http 0.2 on CPython, without any framework."""

import sys
from urllib.parse import parse_qs, urlsplit

# What is measured beside a script: bench/scripts/page.py.
import page
from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import outgoing_handler
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    Fields,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)

CHUNK = 64 * 1024
WRITABLE = 4096  # What one blocking write may carry at most, by wasi:io.


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        target = urlsplit(request.path_with_query() or "/")
        match target.path:
            case "/" | "/hello":
                answer(response_out, 200, [b"hello world"])
            case "/echo":
                with request.consume() as body, body.stream() as stream:
                    answer(response_out, 200, chunks(stream))
            case "/headers":
                answer(response_out, 200, [header_lines(request).encode()])
            case "/fetch":
                fetch(response_out, parse_qs(target.query)["url"][0])
            case "/page":
                answer(response_out, 200, page.app({"PATH_INFO": target.path}, lambda *_: None))
            case "/log":
                print("stdout line")
                print("stderr line", file=sys.stderr)
                answer(response_out, 200, [b"logged\n"])
            case "/raise":
                raise ValueError("this handler raises when asked to")
            case other:
                answer(response_out, 404, [f"no such path: {other}\n".encode()])


def answer(response_out, status, pieces):
    response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain")]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        for piece in pieces:
            for start in range(0, len(piece), WRITABLE):
                stream.blocking_write_and_flush(piece[start : start + WRITABLE])
    OutgoingBody.finish(body, None)


def chunks(stream):
    """What a stream yields until it is closed."""
    while True:
        try:
            yield stream.blocking_read(CHUNK)
        except Err as error:
            if isinstance(error.value, StreamError_Closed):
                return
            raise


def header_lines(request):
    lines = [f"authority {request.authority()}", f"target {request.path_with_query()}"]
    lines += [f"{name}: {value.decode()}" for name, value in request.headers().entries()]
    return "\n".join(lines) + "\n"


def fetch(response_out, url):
    parts = urlsplit(url)
    request = OutgoingRequest(Fields())
    request.set_scheme(Scheme_Https() if parts.scheme == "https" else Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query(parts.path or "/")
    try:
        relay(response_out, wait(outgoing_handler.handle(request, None)))
    except Err as error:
        answer(response_out, 502, [f"{error.value}\n".encode()])


def wait(future):
    """The response of a request that was sent; raises its error code."""
    future.subscribe().block()
    outcome = future.get().value
    if isinstance(outcome, Err):
        raise outcome
    return outcome.value


def relay(response_out, response):
    with response.consume() as body, body.stream() as stream:
        status = f"status {response.status()}\n".encode()
        answer(response_out, 200, [status, *chunks(stream)])
