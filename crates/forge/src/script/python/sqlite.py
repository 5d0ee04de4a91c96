"""SQLite databases, which `sqlite_databases` grants."""

from dayfly.bridge import Handle, call


def open(label="default"):
    return Connection(label)


class Connection(Handle):
    def __init__(self, label):
        super().__init__("sqlite.connection", None)
        self._number = call("sqlite.connection.open", label)

    def execute(self, sql, params=()):
        """The rows, each a dictionary by column."""
        found = self._call("execute", sql, [parameter(value) for value in params])
        columns = found["columns"]
        rows = [[value for _, value in row["values"]] for row in found["rows"]]
        return [dict(zip(columns, row)) for row in rows]

    @property
    def last_insert_rowid(self):
        return self._call("last-insert-rowid")

    @property
    def changes(self):
        """How many rows the last statement changed."""
        return self._call("changes")


def parameter(value):
    if value is None:
        return "null", None
    if isinstance(value, int):
        return "integer", int(value)
    if isinstance(value, float):
        return "real", value
    if isinstance(value, str):
        return "text", value
    return "blob", bytes(value)
