"""Calls what the host grants, by the component model's canonical ABI: arguments are laid out in
memory as the table of interfaces says, and results read from there."""

from array import array
from _struct import Struct

# The driver puts its functions in these places. The first calls the import that a block is for, and gives
# a copy of the memory that the block's header names then; the second a copy of any memory.
native = tuple([None, None])

FORMATS = {
    "bool": "<?", "u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "s8": "<b", "s16": "<h",
    "s32": "<i", "s64": "<q", "f32": "<f", "f64": "<d",
}  # fmt: skip

# An address and a length.
PLACE = Struct("<II")


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
    detail, plain = text_of(detail), str(kind or "failed").replace("-", " ")
    if not detail:
        return kind, plain
    return kind, detail if kind in ("other", "io") else f"{plain}: {detail}"


def text_of(detail):
    if isinstance(detail, tuple):
        return text_of(detail[1]) or detail[0].replace("-", " ")
    if isinstance(detail, dict):
        texts = [str(value) for value in detail.values() if isinstance(value, (str, int))]
        return detail.get("message") or ", ".join(texts)
    return "" if detail is None else str(detail)


class Types:
    """What stores and loads values of each type, by the type's place in the table, where those that it
    is made of stand before it."""

    def __init__(self, table):
        self.table = table
        self.codecs = []
        for kind, size, _, *more in table:
            self.codecs.append(getattr(self, kind)(*more) if hasattr(self, kind) else number(kind))

    def pair(self, index):
        return self.codecs[index] if index >= 0 else (None, lambda memory, at: None)

    def string(self):
        def store(value, memory, at, kept):
            if not isinstance(value, str):
                raise TypeError(f"a text is wanted, not {value!r}")
            PLACE.pack_into(memory, at, *placed(value.encode(), kept))

        def load(memory, at):
            return given(*PLACE.unpack_from(memory, at)).decode()

        return store, load

    def list(self, item):
        if self.table[item][0] == "u8":
            return octets()
        size = self.table[item][1]
        store_item, load_item = self.codecs[item]

        def store(value, memory, at, kept):
            items = array("B", bytes(size * len(value)))
            for number, one in enumerate(value):
                store_item(one, items, size * number, kept)
            kept.append(items)
            PLACE.pack_into(memory, at, items.buffer_info()[0], len(value))

        def load(memory, at):
            address, count = PLACE.unpack_from(memory, at)
            items = given(address, size * count)
            return [load_item(items, place) for place in range(0, size * count, size)]

        return store, load

    def record(self, fields):
        fields = [(name, *self.codecs[field], offset) for name, field, offset in fields]

        def store(value, memory, at, kept):
            for name, store_field, _, offset in fields:
                store_field(value[name], memory, at + offset, kept)

        def load(memory, at):
            return {name: load_field(memory, at + offset) for name, _, load_field, offset in fields}

        return store, load

    def tuple(self, fields):
        fields = [(*self.codecs[field], offset) for field, offset in fields]

        def store(value, memory, at, kept):
            for one, (store_field, _, offset) in zip(value, fields, strict=True):
                store_field(one, memory, at + offset, kept)

        def load(memory, at):
            return tuple(load_field(memory, at + offset) for _, load_field, offset in fields)

        return store, load

    def variant(self, tag, payload, cases):
        store_tag, load_tag = number(f"u{8 * tag}")
        cases = [(name, *self.pair(ty)) for name, ty in cases]
        numbers = {name: (number, store) for number, (name, store, _) in enumerate(cases)}

        def store(value, memory, at, kept):
            number, store_detail = numbers[value[0]]
            store_tag(number, memory, at, kept)
            if store_detail:
                store_detail(value[1], memory, at + payload, kept)

        def load(memory, at):
            name, _, load_detail = cases[load_tag(memory, at)]
            return name, load_detail(memory, at + payload)

        return store, load

    def enum(self, tag, names):
        store_tag, load_tag = number(f"u{8 * tag}")

        def store(value, memory, at, kept):
            store_tag(names.index(value), memory, at, kept)

        def load(memory, at):
            return names[load_tag(memory, at)]

        return store, load

    def option(self, payload, some):
        store_some, load_some = self.codecs[some]

        def store(value, memory, at, kept):
            memory[at] = value is not None
            if value is not None:
                store_some(value, memory, at + payload, kept)

        def load(memory, at):
            return load_some(memory, at + payload) if memory[at] else None

        return store, load

    def result(self, payload, ok, err):
        load_ok, load_err = self.pair(ok)[1], self.pair(err)[1]
        is_text = err >= 0 and self.table[err][0] == "string"

        def load(memory, at):
            if memory[at]:
                error = load_err(memory, at + payload)
                raise Failure(("other", error) if is_text else error)
            return load_ok(memory, at + payload)

        return None, load


def number(kind):
    form = Struct(FORMATS[kind])

    def store(value, memory, at, kept):
        form.pack_into(memory, at, value)

    def load(memory, at):
        return form.unpack_from(memory, at)[0]

    return store, load


def octets():
    def store(value, memory, at, kept):
        PLACE.pack_into(memory, at, *placed(value, kept))

    def load(memory, at):
        return given(*PLACE.unpack_from(memory, at))

    return store, load


def placed(data, kept):
    """The address and the length of a copy that stays where it is as long as `kept` does."""
    copy = array("B")
    copy.frombytes(data)
    kept.append(copy)
    return copy.buffer_info()


def peek(address, length):
    return native[1](array("I", (address, length)))


# What the last call gave back, or the last part of it: where it was, and a copy.
window = 0, b""


def given(address, length):
    begin, copy = window
    at = address - begin
    if at < 0 or at + length > len(copy):
        return peek(address, length)
    return copy[at : at + length]


class Bridge:
    def __init__(self, interfaces):
        table, functions = interfaces
        types = Types(table)
        self.functions = {}
        for number, (name, size, parameters, result, offset) in enumerate(functions):
            stores = [(types.codecs[ty][0], at) for ty, at in parameters]
            self.functions[name] = number, size, stores, types.pair(result)[1], offset
        self.open = False
        self.loading = 0

    def call(self, name, *arguments):
        """What a function of the host gives back; a `Failure` if that is an error."""
        if not self.open:
            raise Error(NOT_YET, "not-yet")
        number, size, stores, load, offset = self.functions[name]
        block, kept = array("B", bytes(size)), []
        for (store, at), value in zip(stores, arguments, strict=True):
            store(value, block, at, kept)
        global window
        # A finaliser may call while the result of another call is read, which is kept then.
        before = window
        PLACE.pack_into(block, 0, number, self.loading)
        copy = native[0](block)
        self.loading += 1
        try:
            window = PLACE.unpack_from(block)[0], copy
            return load(block, offset)
        finally:
            window = before
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
        return call(f"{self._resource}.{function}", self._open(), *arguments)

    def _open(self):
        if self._number is None:
            raise ValueError("it is closed")
        return self._number

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
