"""The app's WebSockets, which a route with `websocket`, or `websockets`, grants. A connection goes by
the id that events about it have as their subject."""

from dayfly.bridge import call


def send(connection, message):
    """Sends a text, or bytes, to one connection."""
    call("connections.send", connection, case_of(message))


def publish(topic, message):
    """Sends to all connections that joined a topic; how many that are."""
    return call("connections.publish", topic, case_of(message))


def join(connection, topic):
    call("connections.join", connection, topic)


def leave(connection, topic):
    call("connections.leave", connection, topic)


def close(connection, code=1000, reason=""):
    call("connections.close", connection, code, reason)


def case_of(message):
    return ("text", message) if isinstance(message, str) else ("binary", bytes(message))
