"""The request that CGI's variables describe, or the event, and the answer to it."""

import os

# RFC 3875's variables, and the host's own that are of the same kind.
OF_REQUEST = frozenset(
    "AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE HTTPS PATH_INFO PATH_TRANSLATED"
    " QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_USER REQUEST_METHOD SCRIPT_NAME"
    " SERVER_NAME SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE".split()
)


class Request:
    """The variables, each byte of which is a character."""

    def __init__(self, environment):
        lines = environment.decode("latin-1").split("\0")
        self.variables = dict(line.split("=", 1) for line in lines if "=" in line)
        self.is_event = "CE_ID" in self.variables and "REQUEST_METHOD" not in self.variables
        if self.is_event:
            # As CloudEvents' HTTP binding has it in its binary mode.
            self.method, self.mounted_at, self.path = "POST", "", "/"
        else:
            self.method = self.variables["REQUEST_METHOD"]
            self.mounted_at = self.variables.get("SCRIPT_NAME", "").rstrip("/")
            self.path = self._path()

    def get(self, name, otherwise=""):
        return self.variables.get(name) or otherwise

    @property
    def scheme(self):
        return "https" if self.get("HTTPS") == "on" else "http"

    def headers(self):
        """Names as CGI has them, without `HTTP_`, and values."""
        for name, value in self.variables.items():
            if name.startswith("HTTP_"):
                yield name[5:], value
            elif self.is_event and name.startswith("CE_"):
                yield name, value

    def is_its_own(self, name):
        """Whether a variable is the request's, and not the app's."""
        return name in OF_REQUEST or name.startswith(("HTTP_", "CE_") if self.is_event else "HTTP_")

    def _path(self):
        raw = self.variables.get("X_RAW_PATH_INFO")
        path = self.get("PATH_INFO") if raw is None else decoded(raw)
        return path or ("" if self.mounted_at else "/")


def decoded(path):
    """What percent signs stand for."""
    first, *pieces = path.split("%")
    for piece in pieces:
        digits = piece[:2]
        is_byte = len(digits) == 2 and all(digit in "0123456789abcdefABCDEF" for digit in digits)
        first += chr(int(digits, 16)) + piece[2:] if is_byte else "%" + piece
    return first


def renew_environment(request):
    for name, value in request.variables.items():
        if not request.is_its_own(name):
            os.environ[name] = value.encode("latin-1").decode("utf-8", "surrogateescape")


class Answer:
    """Writes one answer by CGI, or an event's, which is the body alone."""

    def __init__(self, is_event):
        self.is_event = is_event
        self.head = None
        self.begun = self.finished = self.succeeded = False

    def start(self, status, headers):
        """Takes the status, a text that begins with its code, and pairs of bytes."""
        self.is_good = not self.is_event or status.startswith("2")
        lines = [b"Status: " + status.encode("latin-1")]
        lines += [bytes(name) + b": " + bytes(value) for name, value in headers]
        for line in lines:
            if b"\n" in line or b"\r" in line:
                raise ValueError(f"a header has a line break: {line!r}")
        self.head = b"" if self.is_event else b"\n".join(lines) + b"\n\n"

    def write(self, piece):
        """Writes a piece of the body, the first one with the head."""
        if piece:
            if self.head is None:
                raise RuntimeError("the app gave a body before a status and headers")
            self._write(piece if self.begun else self.head + piece)

    def finish(self):
        if self.head is None:
            raise RuntimeError("the app gave no answer")
        if not self.begun:
            self._write(self.head)
        self.finished = True
        self.succeeded = self.is_good

    def fail(self):
        """Tells the client that something went wrong, if it can be told."""
        if not self.is_event and not self.begun:
            self.start("500", [(b"Content-Type", b"text/plain")])
            self.write(b"Internal Server Error\n")
            self.finish()

    def _write(self, data):
        self.begun = True
        left = memoryview(data)
        while left:
            left = left[os.write(1, left) :]
