"""Calls what the host grants, by the component model's canonical ABI: arguments are laid out in
memory as the table of interfaces says, and results read from there."""

import os
from array import array
from _struct import calcsize, pack_into, unpack_from

# Reading from standard input at an offset reads memory; writing to standard error at one calls.
MEMORY, CALL = 0, 2
KEEP = 1 << 32

FORMATS = {
    "bool": "<?", "u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "s8": "<b", "s16": "<h",
    "s32": "<i", "s64": "<q", "f32": "<f", "f64": "<d",
}  # fmt: skip


class Error(Exception):
    """The host refused, or what was asked of it failed. `kind` is the interface's word for it."""

    def __init__(self, message, kind):
        super().__init__(message)
        self.kind = kind


class Failure(Exception):
    """An error as its interface has it."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error


def words(error):
    """What an interface's error says: its kind, and a text."""
    kind, detail = error if isinstance(error, tuple) else (error, None)
    if isinstance(detail, tuple):
        return words(detail)[0] or kind, words(detail)[1]
    if isinstance(detail, dict):
        texts = [str(value) for value in detail.values() if isinstance(value, (str, int))]
        detail = detail.get("message") or ", ".join(texts)
    plain = str(kind).replace("-", " ")
    if detail is None or detail == "":
        return kind, plain
    return kind, str(detail) if kind in ("other", "io") else f"{plain}: {detail}"


class Types:
    """What stores and loads values of each type, by the type's place in the table."""

    def __init__(self, table):
        self.table = table
        self.sizes = [entry[1] for entry in table]
        self.codecs = [getattr(self, entry[0], self.number)(*entry) for entry in table]

    def store(self, index, value, memory, at, kept):
        self.codecs[index][0](value, memory, at, kept)

    def load(self, index, memory, at):
        return None if index < 0 else self.codecs[index][1](memory, at)

    def number(self, kind, size, align):
        form = FORMATS[kind]

        def store(value, memory, at, kept):
            pack_into(form, memory, at, value)

        def load(memory, at):
            return unpack_from(form, memory, at)[0]

        return store, load

    def string(self, kind, size, align):
        def store(value, memory, at, kept):
            if not isinstance(value, str):
                raise TypeError(f"a text is wanted, not {value!r}")
            pack_into("<II", memory, at, *placed(value.encode(), kept))

        def load(memory, at):
            return peek(*unpack_from("<II", memory, at)).decode()

        return store, load

    def list(self, kind, size, align, item):
        each = self.sizes[item]
        if self.table[item][0] == "u8":

            def store(value, memory, at, kept):
                pack_into("<II", memory, at, *placed(value, kept))

            def load(memory, at):
                return peek(*unpack_from("<II", memory, at))

        else:

            def store(value, memory, at, kept):
                items = array("B", bytes(each * len(value)))
                for number, one in enumerate(value):
                    self.store(item, one, items, each * number, kept)
                kept.append(items)
                pack_into("<II", memory, at, items.buffer_info()[0], len(value))

            def load(memory, at):
                address, count = unpack_from("<II", memory, at)
                items, load = peek(address, each * count), self.codecs[item][1]
                return [load(items, each * number) for number in range(count)]

        return store, load

    def record(self, kind, size, align, fields):
        def store(value, memory, at, kept):
            for name, field, offset in fields:
                self.store(field, value[name], memory, at + offset, kept)

        def load(memory, at):
            return {name: self.load(field, memory, at + offset) for name, field, offset in fields}

        return store, load

    def tuple(self, kind, size, align, fields):
        def store(value, memory, at, kept):
            for one, (field, offset) in zip(value, fields, strict=True):
                self.store(field, one, memory, at + offset, kept)

        def load(memory, at):
            return tuple(self.load(field, memory, at + offset) for field, offset in fields)

        return store, load

    def variant(self, kind, size, align, tag, payload, cases):
        form = FORMATS[f"u{8 * tag}"]
        numbers = {name: number for number, (name, _) in enumerate(cases)}

        def store(value, memory, at, kept):
            name, detail = value
            pack_into(form, memory, at, numbers[name])
            if cases[numbers[name]][1] >= 0:
                self.store(cases[numbers[name]][1], detail, memory, at + payload, kept)

        def load(memory, at):
            name, ty = cases[unpack_from(form, memory, at)[0]]
            return name, self.load(ty, memory, at + payload)

        return store, load

    def enum(self, kind, size, align, tag, names):
        form = FORMATS[f"u{8 * tag}"]

        def store(value, memory, at, kept):
            pack_into(form, memory, at, names.index(value))

        def load(memory, at):
            return names[unpack_from(form, memory, at)[0]]

        return store, load

    def option(self, kind, size, align, payload, some):
        def store(value, memory, at, kept):
            memory[at] = value is not None
            if value is not None:
                self.store(some, value, memory, at + payload, kept)

        def load(memory, at):
            return self.load(some, memory, at + payload) if memory[at] else None

        return store, load

    def result(self, kind, size, align, payload, ok, err):
        def load(memory, at):
            if memory[at]:
                raise Failure(self.load(err, memory, at + payload))
            return self.load(ok, memory, at + payload)

        return None, load


def placed(data, kept):
    """The address and the length of a copy that stays where it is as long as `kept` does."""
    copy = array("B")
    copy.frombytes(data)
    kept.append(copy)
    return copy.buffer_info()


def peek(address, length):
    return os.pread(MEMORY, length, address) if length else b""


class Bridge:
    def __init__(self, interfaces):
        table, functions = interfaces
        self.types = Types(table)
        self.functions = {entry[0]: (number, *entry[1:]) for number, entry in enumerate(functions)}
        self.open = False
        self.loading = 0

    def call(self, name, *arguments):
        """What a function of the host gives back; a `Failure` if that is an error."""
        if not self.open:
            raise Error(NOT_YET, "not-yet")
        number, size, parameters, result, offset = self.functions[name]
        block, kept = array("B", bytes(size)), []
        for (ty, at), value in zip(parameters, arguments, strict=True):
            self.types.store(ty, value, block, at, kept)
        address = block.buffer_info()[0].to_bytes(4, "little")
        # A finaliser may call while the result of another call is read.
        os.pwrite(CALL, address, number | (KEEP if self.loading else 0))
        self.loading += 1
        try:
            return self.types.load(result, block, offset)
        finally:
            self.loading -= 1


NOT_YET = (
    "while the app is loaded nothing is granted: call this where a request or an event is handled"
)

with open("/dayfly/interfaces.json", encoding="ascii") as file:
    # Of arrays, texts and numbers alone.
    bridge = Bridge(eval(file.read()))


def call(name, *arguments):
    """As `Bridge.call`, with the errors that apps are told."""
    try:
        return bridge.call(name, *arguments)
    except Failure as failure:
        kind, text = words(failure.error)
    raise Error(text, kind)


class Handle:
    """What the host holds for the app until it is closed: by a `with`, or with the last reference."""

    def __init__(self, resource, number):
        self._resource = resource
        self._number = number

    def _call(self, function, *arguments):
        if self._number is None:
            raise ValueError("it is closed")
        return call(f"{self._resource}.{function}", self._number, *arguments)

    def _taken(self):
        """The number, which is another's from now on."""
        number, self._number = self._number, None
        return number

    def close(self):
        number = self._taken()
        if number is not None:
            call(f"{self._resource}.drop", number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()
