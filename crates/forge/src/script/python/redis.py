"""Redis servers, which `allowed_outbound_hosts` grants."""

from dayfly.bridge import Handle, call
from dayfly.key_value import bytes_of


def open(address):
    """A connection to a server, `redis://host:port`."""
    return Connection(address)


class Connection(Handle):
    """Keys are texts, values bytes. A text that is given for a value is sent as UTF-8."""

    def __init__(self, address):
        super().__init__("redis.connection", None)
        self._number = call("redis.connection.open", address)

    def get(self, key):
        """The value, `None` if there is none."""
        return self._call("get", key)

    def set(self, key, value):
        self._call("set", key, bytes_of(value))

    def incr(self, key):
        return self._call("incr", key)

    def delete(self, *keys):
        """How many of them there were."""
        return self._call("del", keys)

    def sadd(self, key, *members):
        return self._call("sadd", key, members)

    def srem(self, key, *members):
        return self._call("srem", key, members)

    def smembers(self, key):
        return self._call("smembers", key)

    def publish(self, channel, payload):
        self._call("publish", channel, bytes_of(payload))

    def execute(self, command, *arguments):
        """What any other command answers: a list of numbers, bytes, texts (a status) and `None`."""
        given = [argument(value) for value in arguments]
        return [value for _, value in self._call("execute", command, given)]


def argument(value):
    return ("int64", value) if isinstance(value, int) else ("binary", bytes_of(value))
