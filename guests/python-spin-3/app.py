"""A handler by Spin's Python SDK 3, which imports Spin's whole platform; `uses.py` uses it."""

from urllib.parse import parse_qs, urlsplit

from spin_sdk import http, variables
from spin_sdk.http import Request, Response

import uses

PLAIN = {"content-type": "text/plain"}


class IncomingHandler(http.IncomingHandler):
    def handle_request(self, request: Request) -> Response:
        target = urlsplit(request.uri)
        match target.path:
            case "/" | "/hello":
                return text(200, "hello world")
            case "/echo":
                return Response(200, dict(PLAIN), request.body)
            case "/headers":
                return text(200, header_lines(request))
            case "/variable":
                return text(200, variables.get(parse_qs(target.query)["name"][0]))
            case "/fetch":
                return fetch(parse_qs(target.query)["url"][0])
            case "/raise":
                raise ValueError("this handler raises when asked to")
            case other if other.startswith("/use/"):
                return use(other.removeprefix("/use/"), request.body or b"")
            case other:
                return text(404, f"no such path: {other}\n")


def text(status: int, body: str) -> Response:
    return Response(status, dict(PLAIN), body.encode())


def use(interface: str, script: bytes) -> Response:
    answers = uses.run(interface, script.decode())
    return text(404, "no such interface\n") if answers is None else text(200, answers)


def header_lines(request: Request) -> str:
    lines = [f"method {request.method}", f"target {request.uri}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\n".join(lines) + "\n"


def fetch(url: str) -> Response:
    response = http.send(Request("GET", url, {}, None))
    return text(200, f"status {response.status}\n{(response.body or b'').decode()}")
