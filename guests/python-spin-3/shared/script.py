"""Scripts, one call a line: a word, and what it is called with. Each call answers with one line."""

import re


def steps(script: str):
    """The words of each line: what to do, and with what."""
    for line in script.splitlines():
        word, _, rest = line.partition(" ")
        yield word.replace("-", "_"), rest


def show(value) -> str:
    """What a call gave back."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case bytes():
            return value.decode()
        case list():
            return " ".join(show(item) for item in value)
        case _:
            return str(value)


def describe(error) -> str:
    """An error as its interface names it, with what it says."""
    said = getattr(error, "value", None)
    return f"error {name_of(error)}" + ("" if said is None else f" {reason(said)}")


def reason(said) -> str:
    """The text of an error, or of the error within."""
    inner = getattr(said, "value", None)
    return str(getattr(inner, "message", inner)) if inner is not None else str(said)


def name_of(case) -> str:
    """The case of a variant in the spelling of WIT, from the class that stands for it."""
    _, _, name = type(case).__name__.partition("_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def words(rest: str) -> list[str]:
    return rest.split(" ") if rest else []


def typed(text: str):
    """The type and the value of a parameter; the value is of the type that Python has for it."""
    kind, _, value = text.partition(" ")
    match kind:
        case "boolean":
            return kind, value == "true"
        case "integer" | "int8" | "int16" | "int32" | "int64":
            return kind, int(value)
        case "uint8" | "uint16" | "uint32" | "uint64" | "timestamp":
            return kind, int(value)
        case "real" | "floating32" | "floating64":
            return kind, float(value)
        case "blob" | "binary" | "jsonb":
            return kind, value.encode()
        case "array-int32":
            return kind, [int(number) for number in value.split(",")]
        case "array-str":
            return kind, value.split(",")
        case "date" | "time" | "datetime":
            return kind, tuple(int(number) for number in value.split(","))
        case _:
            return kind, value


def statement(rest: str, make):
    """A statement, and its parameters after tabs, each made by `make(TYPE, VALUE)`."""
    sql, *parameters = rest.split("\t")
    return sql, [make(*typed(parameter)) for parameter in parameters]


def case_of(module, variant: str):
    """Makes cases of a variant of `module` by their names in WIT; what has no value is alone."""

    def make(kind: str, value):
        name = "".join(word.capitalize() for word in kind.split("-"))
        case = getattr(module, f"{variant}_{name}")
        return case() if name in ("Null", "DbNull") else case(value)

    return make


def table(columns: list[str], rows) -> str:
    """A result in one line: the columns, then the values of each row with their types."""
    shown = [", ".join(cell(value) for value in row) for row in rows]
    return f"{'|'.join(columns)}: {'; '.join(shown)}"


def cell(value) -> str:
    held = getattr(value, "value", None)
    if isinstance(held, tuple | list):
        held = ",".join(str(item) for item in held)
    return name_of(value) + ("" if held is None else f" {show(held)}")
