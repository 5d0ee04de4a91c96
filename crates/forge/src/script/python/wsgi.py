"""Serves apps by WSGI (PEP 3333)."""

import sys


class Server:
    def __init__(self, app):
        self.app = app

    def serve(self, request, answer):
        def start_response(status, headers, exc_info=None):
            if exc_info and answer.begun:
                raise exc_info[1]
            if answer.head is not None and not exc_info:
                raise AssertionError("`start_response` is called again, without an exception")
            pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            answer.start(status, pairs)
            return answer.write

        body = self.app(environ_of(request), start_response)
        try:
            # What comes piece by piece is sent piece by piece.
            for piece in [b"".join(body)] if isinstance(body, (list, tuple)) else body:
                answer.write(piece)
            answer.finish()
        finally:
            if hasattr(body, "close"):
                body.close()


def environ_of(request):
    environ = {
        name: value
        for name, value in request.variables.items()
        if request.is_its_own(name) and not name.startswith(("HTTP_", "CE_"))
    }
    environ.update((f"HTTP_{name}", value) for name, value in request.headers())
    environ.update(
        {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": request.mounted_at,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.get("QUERY_STRING"),
            "SERVER_NAME": request.get("SERVER_NAME", "localhost"),
            "SERVER_PORT": request.get("SERVER_PORT", "80"),
            "SERVER_PROTOCOL": request.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": request.scheme,
            "wsgi.input": sys.stdin.buffer,
            # It ends where the body does, also where that has no length.
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": True,
        }
    )
    return environ
