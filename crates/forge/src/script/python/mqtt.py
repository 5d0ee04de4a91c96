"""Brokers of MQTT, which `allowed_outbound_hosts` grants."""

from dayfly.bridge import Handle, call
from dayfly.key_value import bytes_of

QUALITIES = "at-most-once", "at-least-once", "exactly-once"


def open(address, username="", password="", keep_alive=30):
    """A connection to a broker, `mqtt://host:port`; `keep_alive` in seconds."""
    return Connection(address, username, password, keep_alive)


class Connection(Handle):
    def __init__(self, *login):
        super().__init__("mqtt.connection", None)
        self._number = call("mqtt.connection.open", *login)

    def publish(self, topic, payload, qos=1):
        """Publishes bytes or a text, with quality of service 0, 1 or 2."""
        if qos not in (0, 1, 2):
            raise ValueError(f"a quality of service is 0, 1 or 2, not {qos!r}")
        self._call("publish", topic, bytes_of(payload), QUALITIES[qos])
