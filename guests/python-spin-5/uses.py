"""`/use/INTERFACE`: runs the script in the body by that interface, in all the functions that it has.
The methods below are the scripts' words; those of interfaces of WASI 0.3's kind are asynchronous."""

from inspect import isawaitable

from componentize_py_types import Err
from spin_sdk import key_value, llm, mqtt, mysql, postgres, redis, sqlite, variables
from spin_sdk.llm import InferencingParams
from spin_sdk.mqtt import Qos
from spin_sdk.util import collect
from spin_sdk.wit.imports import fermyon_spin_mysql_2_0_0 as mysql_2
from spin_sdk.wit.imports import fermyon_spin_postgres_2_0_0 as postgres_2
from spin_sdk.wit.imports import fermyon_spin_rdbms_types_2_0_0 as rdbms_types
from spin_sdk.wit.imports import fermyon_spin_sqlite_2_0_0 as sqlite_2
from spin_sdk.wit.imports import spin_mysql_mysql_3_0_0 as mysql_3
from spin_sdk.wit.imports import spin_postgres_postgres_3_0_0 as postgres_3
from spin_sdk.wit.imports import spin_postgres_postgres_4_2_0 as postgres_4
from spin_sdk.wit.imports import spin_sqlite_sqlite_3_1_0 as sqlite_3
from spin_sdk.wit.imports import wasi_config_store_0_2_0_draft_2024_09_27 as wasi_config
from spin_sdk.wit.imports import wasi_keyvalue_atomics_0_2_0_draft2 as atomics
from spin_sdk.wit.imports import wasi_keyvalue_batch_0_2_0_draft2 as batch
from spin_sdk.wit.imports import wasi_keyvalue_store_0_2_0_draft2 as wasi_store
from spin_sdk.wit.imports.spin_redis_redis_3_0_0 import RedisParameter_Binary, RedisParameter_Int64

import bindings
from bindings import completion
from script import case_of, cell, describe, show, statement, steps, table, words


async def run(interface: str, script: str) -> str | None:
    """What the calls answer, a line each; nothing for an interface that is not known."""
    if interface not in INTERFACES:
        return None
    user = INTERFACES[interface]()
    return "".join([await call(user, word, rest) + "\n" for word, rest in steps(script)])


async def call(user, word: str, rest: str) -> str:
    try:
        answer = getattr(user, word)(rest)
        return show(await answer if isawaitable(answer) else answer)
    except Err as error:
        return describe(error.value)


class KeyValue:
    async def open(self, name: str):
        self.store = await key_value.open(name)

    async def open_default(self, _rest: str):
        self.store = await key_value.open_default()

    async def get(self, key: str):
        return await self.store.get(key)

    async def set(self, rest: str):
        key, _, value = rest.partition(" ")
        await self.store.set(key, value.encode())

    async def delete(self, key: str):
        await self.store.delete(key)

    async def exists(self, key: str):
        return await self.store.exists(key)

    async def get_keys(self, _rest: str):
        return sorted(await collect(await self.store.get_keys()))


class WasiKeyValue(bindings.WasiKeyValue):
    store, batch, atomics, Err = wasi_store, batch, atomics, Err


class WasiConfig(bindings.WasiConfig):
    of = wasi_config


class Sqlite:
    async def open(self, name: str):
        self.connection = await sqlite.Connection.open(name)

    async def open_default(self, _rest: str):
        self.connection = await sqlite.Connection.open_default()

    async def execute(self, rest: str):
        parameters = statement(rest, case_of(sqlite_3, "Value"))
        columns, stream, end = await self.connection.execute(*parameters)
        return table(columns, [row.values for row in await collect((stream, end))])

    async def last_insert_rowid(self, _rest: str):
        return await self.connection.last_insert_rowid()

    async def changes(self, _rest: str):
        return await self.connection.changes()


class Sqlite2(bindings.Sqlite):
    of = sqlite_2


class Sqlite3(bindings.Sqlite):
    """The functions that wait of the interface that the SDK's module awaits."""

    of = sqlite_3


class Database:
    """What the modules of relational databases have in common."""

    async def query(self, rest: str):
        parameters = statement(rest, case_of(self.types, "ParameterValue"))
        columns, stream, end = await self.connection.query(*parameters)
        rows = await collect((stream, end))
        return table([column.name for column in columns], rows)

    async def execute(self, rest: str):
        parameters = statement(rest, case_of(self.types, "ParameterValue"))
        return await self.connection.execute(*parameters)


class Postgres(Database):
    types = postgres_4

    async def open(self, address: str):
        self.connection = await postgres.Connection.open(address)


class Postgres4(bindings.Database):
    """The functions that wait of the interface that the SDK's module awaits."""

    of = types = postgres_4


class Postgres3(bindings.Database):
    of = types = postgres_3


class Postgres2(bindings.Database):
    of, types = postgres_2, rdbms_types


class Mysql(Database):
    types = mysql_3

    async def open(self, address: str):
        self.connection = await mysql.open(address)


class Mysql2(bindings.Database):
    of, types = mysql_2, rdbms_types


class Redis:
    async def open(self, address: str):
        self.connection = await redis.open(address)

    async def get(self, key: str):
        return await self.connection.get(key)

    async def set(self, rest: str):
        key, _, value = rest.partition(" ")
        await self.connection.set(key, value.encode())

    async def incr(self, key: str):
        return await self.connection.incr(key)

    async def delete(self, rest: str):
        return await self.connection.del_(words(rest))

    async def sadd(self, rest: str):
        key, *values = words(rest)
        return await self.connection.sadd(key, values)

    async def smembers(self, key: str):
        return sorted(await self.connection.smembers(key))

    async def srem(self, rest: str):
        key, *values = words(rest)
        return await self.connection.srem(key, values)

    async def publish(self, rest: str):
        channel, _, payload = rest.partition(" ")
        await self.connection.publish(channel, payload.encode())

    async def execute(self, rest: str):
        command, *arguments = words(rest)
        parts = await self.connection.execute(command, list(map(word, arguments)))
        return [cell(part) for part in parts]


def word(text: str):
    """A word of a command; numbers go as numbers."""
    is_number = text.lstrip("-").isdigit()
    return RedisParameter_Int64(int(text)) if is_number else RedisParameter_Binary(text.encode())


class Mqtt:
    async def open(self, rest: str):
        address, username, password = (rest.split(" ") + ["", ""])[:3]
        self.connection = await mqtt.open(address, username, password, 30)

    async def publish(self, rest: str):
        qos, topic, payload = rest.split(" ")
        await self.connection.publish(topic, payload.encode(), Qos(int(qos)))


class Variables:
    async def get(self, name: str):
        return await variables.get(name)


class Llm:
    def infer(self, rest: str):
        model, _, prompt = rest.partition(" ")
        return completion(llm.infer(model, prompt))

    def infer_with_options(self, rest: str):
        model, _, prompt = rest.partition(" ")
        options = InferencingParams(max_tokens=7, temperature=0.5)
        return completion(llm.infer_with_options(model, prompt, options))

    def generate_embeddings(self, rest: str):
        model, *texts = words(rest)
        result = llm.generate_embeddings(model, texts)
        return f"{result.usage.prompt_token_count} {result.embeddings}"


INTERFACES = {
    "key-value": KeyValue,
    "wasi-key-value": WasiKeyValue,
    "sqlite": Sqlite,
    "sqlite-2": Sqlite2,
    "sqlite-3": Sqlite3,
    "postgres": Postgres,
    "postgres-2": Postgres2,
    "postgres-3": Postgres3,
    "postgres-4": Postgres4,
    "mysql": Mysql,
    "mysql-2": Mysql2,
    "redis": Redis,
    "mqtt": Mqtt,
    "variables": Variables,
    "wasi-config": WasiConfig,
    "llm": Llm,
}
