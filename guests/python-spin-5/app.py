"""A handler by Spin's Python SDK 5, which speaks WASI 0.3 and imports Spin's whole platform;
`uses.py` uses it."""

from urllib.parse import parse_qs, urlsplit

from spin_sdk import http, variables
from spin_sdk.http import Handler, Request, Response

import uses

PLAIN = {"content-type": "text/plain"}


class HttpHandler(Handler):
    async def handle_request(self, request: Request) -> Response:
        target = urlsplit(request.uri)
        match target.path:
            case "/" | "/hello":
                return text(200, "hello world")
            case "/echo":
                return Response(200, dict(PLAIN), request.body)
            case "/headers":
                return text(200, header_lines(request))
            case "/variable":
                return text(200, await variables.get(parse_qs(target.query)["name"][0]))
            case "/fetch":
                return await fetch(parse_qs(target.query)["url"][0])
            case "/raise":
                raise ValueError("this handler raises when asked to")
            case other if other.startswith("/use/"):
                return await use(other.removeprefix("/use/"), request.body or b"")
            case other:
                return text(404, f"no such path: {other}\n")


def text(status: int, body: str) -> Response:
    return Response(status, dict(PLAIN), body.encode())


async def use(interface: str, script: bytes) -> Response:
    answers = await uses.run(interface, script.decode())
    return text(404, "no such interface\n") if answers is None else text(200, answers)


def header_lines(request: Request) -> str:
    lines = [f"method {request.method}", f"target {request.uri}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\n".join(lines) + "\n"


async def fetch(url: str) -> Response:
    response = await http.send(Request("GET", url, {}, None))
    return text(200, f"status {response.status}\n{(response.body or b'').decode()}")
