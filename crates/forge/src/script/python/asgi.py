"""Serves apps by ASGI 3: the scopes `http` and `lifespan`."""

import asyncio
import os
import time

PIECE_BYTES = 65536
VERSIONS = {"version": "3.0", "spec_version": "2.4"}


class Loop(asyncio.BaseEventLoop):
    """An event loop with timers and nothing else to wait for."""

    def __init__(self):
        super().__init__()
        self._selector = Sleeper()

    def run_in_executor(self, executor, function, *arguments):
        """Runs it here and now: there are no threads."""
        future = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


class Sleeper:
    """Stands where a loop has what waits for sockets."""

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError("the app waits for something that never comes")
        if timeout > 0:
            time.sleep(timeout)
        return []

    def close(self):
        pass


class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop


class Server:
    """An app with what its `lifespan` has begun, which a frozen instance keeps. It never ends: no
    shutdown is told."""

    def __init__(self, app):
        self.app = app
        self.state = {}
        asyncio.set_event_loop_policy(Policy())
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())

    def serve(self, request, answer):
        self.loop.run_until_complete(Exchange(self.loop, request, answer).run(self))

    async def _start(self):
        started, never = self.loop.create_future(), self.loop.create_future()
        asked = False

        async def receive():
            nonlocal asked
            if asked:
                await never
            asked = True
            return {"type": "lifespan.startup"}

        async def send(message):
            if message["type"] == "lifespan.startup.failed":
                started.set_exception(RuntimeError(message.get("message") or "the app's startup failed"))
            elif message["type"] == "lifespan.startup.complete":
                started.set_result(None)

        async def live():
            scope = {"type": "lifespan", "asgi": VERSIONS, "state": self.state}
            try:
                await self.app(scope, receive, send)
            except Exception:
                pass  # Such an app knows no lifespan, or has said before what failed.
            if not started.done():
                started.set_result(None)

        self.lifespan = self.loop.create_task(live())
        await started


class Exchange:
    """One request and its answer."""

    def __init__(self, loop, request, answer):
        self.request = request
        self.answer = answer
        length = request.get("CONTENT_LENGTH")
        self.left = int(length) if length else None
        self.has_more = True
        self.done = loop.create_future()

    async def run(self, server):
        await server.app(scope_of(self.request, server.state.copy()), self.receive, self.send)
        if not self.answer.finished:
            raise RuntimeError("the app returned before its answer was complete")

    async def receive(self):
        if not self.has_more:
            await self.done
            return {"type": "http.disconnect"}
        body = os.read(0, PIECE_BYTES) if self.left != 0 else b""
        if self.left is not None:
            self.left = max(self.left - len(body), 0)
        self.has_more = bool(body) and self.left != 0
        return {"type": "http.request", "body": body, "more_body": self.has_more}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.answer.start(str(message["status"]), message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.answer.write(message.get("body", b""))
            if not message.get("more_body", False) and not self.done.done():
                self.answer.finish()
                self.done.set_result(None)
        else:
            raise ValueError(f"there is no message `{message['type']}` in an answer")


def scope_of(request, state):
    server = request.get("SERVER_NAME", "localhost"), int(request.get("SERVER_PORT", "80"))
    client = request.get("REMOTE_ADDR")
    path = request.mounted_at + request.path
    raw = request.variables.get("X_RAW_PATH_INFO")
    return {
        "type": "http",
        "asgi": VERSIONS,
        "http_version": request.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/"),
        "method": request.method,
        "scheme": request.scheme,
        "path": path.encode("latin-1").decode("utf-8", "replace"),
        "raw_path": None if raw is None else (request.mounted_at + raw).encode("latin-1"),
        "query_string": request.get("QUERY_STRING").encode("latin-1"),
        "root_path": request.mounted_at,
        "headers": list(headers_of(request)),
        "client": (client, 0) if client else None,
        "server": server,
        "state": state,
    }


def headers_of(request):
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if value := request.get(name):
            yield name.lower().replace("_", "-").encode(), value.encode("latin-1")
    for name, value in request.headers():
        yield name.lower().replace("_", "-").encode("latin-1"), value.encode("latin-1")
