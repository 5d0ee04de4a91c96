"""Messages to the app's own queues and to servers, which `messaging` grants."""

from dayfly.bridge import Handle, call
from dayfly.key_value import bytes_of


def open(client="default"):
    """A client; the app's own queues are behind `default`."""
    return Client(client)


class Client(Handle):
    def __init__(self, name):
        super().__init__("types.client", None)
        self._number = call("types.client.connect", name)

    def send(self, topic, data, content_type=None, metadata=None):
        """Sends bytes or a text. `metadata` is a mapping of texts."""
        message = Handle("types.message", call("types.message.new", bytes_of(data)))
        with message:
            if content_type is not None:
                message._call("set-content-type", content_type)
            if metadata:
                message._call("set-metadata", [(key, str(value)) for key, value in metadata.items()])
            call("producer.send", self._open(), topic, message._taken())
