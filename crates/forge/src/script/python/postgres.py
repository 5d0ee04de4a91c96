"""PostgreSQL, which `allowed_outbound_hosts` grants."""

from dayfly.bridge import Handle, call


def open(address):
    """A connection to a database, `postgres://user:password@host/name`."""
    return Connection("postgres.connection", address)


class Connection(Handle):
    def __init__(self, resource, address):
        super().__init__(resource, None)
        self._number = call(f"{resource}.open", address)

    def query(self, sql, params=()):
        """The rows, each a dictionary by column."""
        found = self._call("query", sql, [parameter(value) for value in params])
        columns = [column["name"] for column in found["columns"]]
        return [dict(zip(columns, (value for _, value in row))) for row in found["rows"]]

    def execute(self, sql, params=()):
        """Runs a statement that gives no rows. How many rows it changed, where the server says so."""
        return self._call("execute", sql, [parameter(value) for value in params])


def parameter(value):
    if value is None:
        return "db-null", None
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int):
        return "int64", value
    if isinstance(value, float):
        return "floating64", value
    if isinstance(value, str):
        return "str", value
    return "binary", bytes(value)
