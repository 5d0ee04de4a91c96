"""Serves the files below /site, which the manifest grants."""

import mimetypes
import os

mimetypes.init()


def app(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return answer(start_response, "405 Method Not Allowed", "only GET and HEAD\n", allow="GET, HEAD")
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    if path.endswith("/") or not path:
        path += "/index.html"
    steps = [step for step in path.split("/") if step]
    if ".." in steps or "\0" in path:
        return answer(start_response, "404 Not Found", "not found\n")
    file = os.path.join("/site", *steps)
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError:
        return answer(start_response, "404 Not Found", "not found\n")
    return answer(start_response, "200 OK", content, kind=kind_of(file))


def kind_of(file):
    kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def answer(start_response, status, content, kind="text/plain; charset=utf-8", **headers):
    content = content.encode() if isinstance(content, str) else content
    start_response(status, [("content-type", kind), ("content-length", str(len(content))), *headers.items()])
    return [content]
