"""`/use/INTERFACE`: runs the script in the body by that interface, in all the functions that it has.
The methods below are the scripts' words."""

from spin_sdk import key_value, llm, mqtt, mysql, postgres, redis, sqlite, variables
from spin_sdk.llm import InferencingParams
from spin_sdk.mqtt import Qos
from spin_sdk.wit.imports import atomics, batch, rdbms_types, wasi_config_store
from spin_sdk.wit.imports import spin_postgres_postgres_3_0_0 as postgres_3
from spin_sdk.wit.imports import spin_postgres_postgres_4_0_0 as postgres_4
from spin_sdk.wit.imports import spin_sqlite_sqlite as sqlite_3
from spin_sdk.wit.imports import sqlite as sqlite_2
from spin_sdk.wit.imports import wasi_keyvalue_store as wasi_store
from spin_sdk.wit.imports.redis import RedisParameter_Binary, RedisParameter_Int64
from spin_sdk.wit.types import Err

import bindings
from bindings import completion
from script import cell, describe, show, steps, words


def run(interface: str, script: str) -> str | None:
    """What the calls answer, a line each; nothing for an interface that is not known."""
    if interface not in INTERFACES:
        return None
    user = INTERFACES[interface]()
    return "".join(call(user, word, rest) + "\n" for word, rest in steps(script))


def call(user, word: str, rest: str) -> str:
    try:
        return show(getattr(user, word)(rest))
    except Err as error:
        return describe(error.value)


class KeyValue:
    def open(self, name: str):
        self.store = key_value.open(name)

    def open_default(self, _rest: str):
        self.store = key_value.open_default()

    def get(self, key: str):
        return self.store.get(key)

    def set(self, rest: str):
        key, _, value = rest.partition(" ")
        self.store.set(key, value.encode())

    def delete(self, key: str):
        self.store.delete(key)

    def exists(self, key: str):
        return self.store.exists(key)

    def get_keys(self, _rest: str):
        return sorted(self.store.get_keys())


class WasiKeyValue(bindings.WasiKeyValue):
    store, batch, atomics, Err = wasi_store, batch, atomics, Err


class WasiConfig(bindings.WasiConfig):
    of = wasi_config_store


class Sqlite(bindings.Sqlite):
    """By the SDK's module, whose interface is the second version."""

    of = sqlite_2

    def open(self, name: str):
        self.connection = sqlite.open(name)

    def open_default(self, _rest: str):
        self.connection = sqlite.open_default()


class Sqlite3(bindings.Sqlite):
    of = sqlite_3


class Postgres(bindings.Database):
    of, types = postgres, rdbms_types

    def open(self, address: str):
        self.connection = postgres.open(address)


class Postgres3(bindings.Database):
    of = types = postgres_3


class Postgres4(bindings.Database):
    of = types = postgres_4


class Mysql(bindings.Database):
    of, types = mysql, rdbms_types

    def open(self, address: str):
        self.connection = mysql.open(address)


class Redis:
    def open(self, address: str):
        self.connection = redis.open(address)

    def get(self, key: str):
        return self.connection.get(key)

    def set(self, rest: str):
        key, _, value = rest.partition(" ")
        self.connection.set(key, value.encode())

    def incr(self, key: str):
        return self.connection.incr(key)

    def delete(self, rest: str):
        return self.connection.del_(words(rest))

    def sadd(self, rest: str):
        key, *values = words(rest)
        return self.connection.sadd(key, values)

    def smembers(self, key: str):
        return sorted(self.connection.smembers(key))

    def srem(self, rest: str):
        key, *values = words(rest)
        return self.connection.srem(key, values)

    def publish(self, rest: str):
        channel, _, payload = rest.partition(" ")
        self.connection.publish(channel, payload.encode())

    def execute(self, rest: str):
        command, *arguments = words(rest)
        return [cell(part) for part in self.connection.execute(command, list(map(word, arguments)))]


def word(text: str):
    """A word of a command; numbers go as numbers."""
    is_number = text.lstrip("-").isdigit()
    return RedisParameter_Int64(int(text)) if is_number else RedisParameter_Binary(text.encode())


class Mqtt:
    def open(self, rest: str):
        address, username, password = (rest.split(" ") + ["", ""])[:3]
        self.connection = mqtt.open(address, username, password, 30)

    def publish(self, rest: str):
        qos, topic, payload = rest.split(" ")
        self.connection.publish(topic, payload.encode(), Qos(int(qos)))


class Variables:
    def get(self, name: str):
        return variables.get(name)


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
    "sqlite-3": Sqlite3,
    "postgres": Postgres,
    "postgres-3": Postgres3,
    "postgres-4": Postgres4,
    "mysql": Mysql,
    "redis": Redis,
    "mqtt": Mqtt,
    "variables": Variables,
    "wasi-config": WasiConfig,
    "llm": Llm,
}
