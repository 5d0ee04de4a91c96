import json

from dayfly import key_value, websocket


def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    event, path = environ.get("HTTP_CE_TYPE"), environ["PATH_INFO"]
    if event is None:
        return [key_value.open().get(path[1:]) or b""]
    data, subject = environ["wsgi.input"].read(), environ.get("HTTP_CE_SUBJECT")
    if event.startswith("dayfly.websocket."):
        return [answer(event, subject, data).encode()]
    if data == b"fail":
        raise ValueError("on purpose")
    told = [subject, data.decode(), environ.get("CONTENT_TYPE"), environ["REQUEST_METHOD"], path]
    key_value.open().set(event, json.dumps(told))
    return [data.upper()]


def answer(event, connection, data):
    if event == "dayfly.websocket.open":
        websocket.join(connection, "lobby")
        return ""
    if event == "dayfly.websocket.close":
        key_value.open().set("closed", connection)
        return ""
    word, _, rest = data.decode().partition(" ")
    if word == "say":
        return f"to {websocket.publish('lobby', rest)}"
    if word == "bytes":
        websocket.send(connection, b"\x00\xff")
    if word == "leave":
        websocket.leave(connection, "lobby")
    if word == "close":
        websocket.close(connection, 4001, "bye")
    return f"heard {word}"
