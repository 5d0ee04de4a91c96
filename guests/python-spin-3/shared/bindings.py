"""What the bindings of both SDKs have alike: classes whose methods are the words of scripts."""

from script import case_of, show, statement, table, words


class Sqlite:
    """SQLite by functions that wait; `of` is the module of its interface."""

    def open(self, name: str):
        self.connection = self.of.Connection.open(name)

    def execute(self, rest: str):
        result = self.connection.execute(*statement(rest, case_of(self.of, "Value")))
        return table(result.columns, [row.values for row in result.rows])

    def last_insert_rowid(self, _rest: str):
        return self.connection.last_insert_rowid()

    def changes(self, _rest: str):
        return self.connection.changes()


class Database:
    """A relational database by functions that wait; `of` is the module of its interface, `types`
    that of its values."""

    def open(self, address: str):
        self.connection = self.of.Connection.open(address)

    def query(self, rest: str):
        result = self.connection.query(*statement(rest, case_of(self.types, "ParameterValue")))
        return table([column.name for column in result.columns], result.rows)

    def execute(self, rest: str):
        return self.connection.execute(*statement(rest, case_of(self.types, "ParameterValue")))


class WasiKeyValue:
    """`wasi:keyvalue`; `store`, `batch` and `atomics` are its modules, `Err` what they raise."""

    def open(self, name: str):
        self.bucket = self.store.open(name)

    def get(self, key: str):
        return self.bucket.get(key)

    def set(self, rest: str):
        key, _, value = rest.partition(" ")
        self.bucket.set(key, value.encode())

    def delete(self, key: str):
        self.bucket.delete(key)

    def exists(self, key: str):
        return self.bucket.exists(key)

    def list_keys(self, _rest: str):
        page = self.bucket.list_keys(None)
        return [*sorted(page.keys), f"then {show(page.cursor)}"]

    def get_many(self, rest: str):
        return [f"{key}={show(value)}" for key, value in self.batch.get_many(self.bucket, words(rest))]

    def set_many(self, rest: str):
        pairs = [pair.split("=") for pair in words(rest)]
        self.batch.set_many(self.bucket, [(key, value.encode()) for key, value in pairs])

    def delete_many(self, rest: str):
        self.batch.delete_many(self.bucket, words(rest))

    def increment(self, rest: str):
        key, delta = words(rest)
        return self.atomics.increment(self.bucket, key, int(delta))

    def watch(self, key: str):
        self.cas = self.atomics.Cas.new(self.bucket, key)
        return self.cas.current()

    def swap(self, value: str):
        """A swap that came too late gives back what to try the next one with."""
        try:
            self.atomics.swap(self.cas, value.encode())
        except self.Err as error:
            if not isinstance(error.value, self.atomics.CasError_CasFailed):
                raise
            self.cas = error.value.value
            return f"lost to {show(self.cas.current())}"


class WasiConfig:
    """`wasi:config`, of which `of` is the module."""

    def get(self, name: str):
        return self.of.get(name)

    def get_all(self, _rest: str):
        return [f"{name}={value}" for name, value in sorted(self.of.get_all())]


def completion(result) -> str:
    """What a language model answered."""
    usage = result.usage
    return f"{usage.prompt_token_count} {usage.generated_token_count} {result.text}"
