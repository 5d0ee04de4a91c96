"""Key-value stores, which `key_value_stores` grants."""

from dayfly.bridge import Handle, call


def open(label="default"):
    return Store(label)


class Store(Handle):
    """A store: keys are texts, values bytes. A text that is set is stored as UTF-8."""

    def __init__(self, label):
        super().__init__("key-value.store", None)
        self._number = call("key-value.store.open", label)

    def get(self, key):
        """The value, `None` if there is none."""
        return self._call("get", key)

    def set(self, key, value):
        self._call("set", key, bytes_of(value))

    def delete(self, key):
        self._call("delete", key)

    def exists(self, key):
        return self._call("exists", key)

    def keys(self):
        return self._call("get-keys")


def bytes_of(value):
    return value.encode() if isinstance(value, str) else value
