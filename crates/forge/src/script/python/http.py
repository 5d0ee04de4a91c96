"""Requests to other servers, which `allowed_outbound_hosts` grants."""

from dayfly.bridge import Error, Handle, call
from dayfly.key_value import bytes_of
from dayfly.streams import PIECE_BYTES, is_whole, pour, read, wait

METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())


def request(method, url, headers=None, body=None, timeout=None):
    """Sends a request and waits for the head of its answer.

    `headers` is a mapping, or pairs; `body` bytes, a text, or an iterable of these, which is sent piece
    by piece; `timeout` how many seconds connecting, the answer's head, and each piece of its body may
    take. A redirect is an answer like any other."""
    message = outgoing(method, url, list(pairs_of(headers, body)))
    sent = Handle("types.outgoing-body", call("types.outgoing-request.body", message._number))
    options = None if timeout is None else options_of(timeout)
    future = call("outgoing-handler.handle", message._taken(), options and options._taken())
    with Handle("types.future-incoming-response", future) as future:
        send(sent, body)
        wait(future)
        return Response(future._call("get"))


class Response:
    """`status`, a number, and `headers`: a dictionary of texts by names in lower case; what came several
    times is joined by a comma, cookies (`set-cookie`) by a line break. The body is read as it comes:
    by iterating, by `read`, or all of it as `body`, `text()` or `json()`."""

    def __init__(self, number):
        with Handle("types.incoming-response", number) as response:
            self.status = response._call("status")
            with Handle("types.fields", response._call("headers")) as fields:
                self.headers = joined(fields._call("entries"))
            body = Handle("types.incoming-body", response._call("consume"))
        # Attributes are let go of in their order, and a stream goes before the body that it is of.
        self._stream = Handle("streams.input-stream", body._call("stream"))
        self._body = body
        self._whole = None

    def read(self, size=PIECE_BYTES):
        """The next piece of the body, of so many bytes at most; an empty one at its end."""
        if self._stream._number is None:
            return b""
        piece = read(self._stream, size)
        if not piece:
            self.close()
        return piece

    def __iter__(self):
        return iter(self.read, b"")

    @property
    def body(self):
        if self._whole is None:
            self._whole = b"".join(self)
        return self._whole

    def text(self):
        return self.body.decode()

    def json(self):
        import json

        return json.loads(self.body)

    def close(self):
        self._stream.close()
        self._body.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def outgoing(method, url, headers):
    scheme, authority, path = parts_of(url)
    fields = call("types.fields.from-list", headers)
    message = Handle("types.outgoing-request", call("types.outgoing-request.new", fields))
    known = method.lower() if method.upper() in METHODS else None
    told = {
        "method": (known, None) if known else ("other", method),
        "scheme": (scheme.upper(), None) if scheme in ("http", "https") else ("other", scheme),
        "authority": authority,
        "path-with-query": path,
    }
    for part, value in told.items():
        try:
            message._call(f"set-{part}", value)
        except Error:
            raise ValueError(f"a request cannot have the {part} {value!r}") from None
    return message


def parts_of(url):
    scheme, colon, rest = url.partition("://")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    if not colon or not authority or "@" in authority:
        raise ValueError(f"`{url}` is no URL that can be asked for: it is `http[s]://HOST[:PORT]/PATH`")
    return scheme.lower(), authority, path if path.startswith("/") else f"/{path}"


def pairs_of(headers, body):
    pairs = headers.items() if hasattr(headers, "items") else headers or ()
    has_length = False
    for name, value in pairs:
        has_length = has_length or name.lower() in ("content-length", "transfer-encoding")
        yield name, value.encode("latin-1") if isinstance(value, str) else value
    if is_whole(body) and not has_length:
        yield "content-length", str(len(bytes_of(body))).encode()


def options_of(seconds):
    options = Handle("types.request-options", call("types.request-options.new"))
    for part in ("connect", "first-byte", "between-bytes"):
        options._call(f"set-{part}-timeout", int(seconds * 1_000_000_000))
    return options


def joined(entries):
    headers = {}
    for name, value in entries:
        name, value = name.lower(), value.decode("latin-1")
        separator = "\n" if name == "set-cookie" else ", "
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    return headers


def send(sent, body):
    with sent:
        if body is not None:
            with Handle("streams.output-stream", sent._call("write")) as stream:
                pour(stream, body)
        call("types.outgoing-body.finish", sent._taken(), None)
