"""Blobs, which `blob_containers` grants."""

from dayfly.bridge import Error, Handle, call
from dayfly.streams import pour, read

# Behind the last byte of any object.
END = 2**64 - 1
NAMES = 1000


def open(container="default"):
    """A container; it is made if it is not there yet."""
    return Container(container)


class Container(Handle):
    """Objects, each under a name: values are bytes. A text that is set is stored as UTF-8."""

    def __init__(self, name):
        super().__init__("container.container", None)
        self._number = opened(name)

    def get(self, name):
        """All of an object, `None` if there is none."""
        return b"".join(self.read(name)) if self.exists(name) else None

    def read(self, name, first=0, last=END):
        """An object piece by piece; the first and the last byte are of it."""
        value = self._call("get-data", name, first, last)
        return pieces(call("types.incoming-value.incoming-value-consume-async", value))

    def set(self, name, value):
        """`value` is bytes, a text, or an iterable of these. It takes its place when all of it is there."""
        new = call("types.outgoing-value.new-outgoing-value")
        with Handle("types.outgoing-value", new) as new:
            self._call("write-data", name, new._number)
            body = new._call("outgoing-value-write-body")
            with Handle("streams.output-stream", body) as stream:
                pour(stream, value)
            call("types.outgoing-value.finish", new._taken())

    def delete(self, name):
        self._call("delete-object", name)

    def exists(self, name):
        return self._call("has-object", name)

    def size(self, name):
        """How many bytes an object has."""
        return self._call("object-info", name)["size"]

    def keys(self):
        """The names of all objects."""
        names, is_last = [], False
        with Handle("container.stream-object-names", self._call("list-objects")) as listed:
            while not is_last:
                more, is_last = listed._call("read-stream-object-names", NAMES)
                names += more
        return names


def opened(name):
    if not call("blobstore.container-exists", name):
        try:
            return call("blobstore.create-container", name)
        except Error:
            # Another instance may have made it meanwhile.
            if not call("blobstore.container-exists", name):
                raise
    return call("blobstore.get-container", name)


def pieces(stream):
    with Handle("streams.input-stream", stream) as stream:
        while piece := read(stream):
            yield piece
