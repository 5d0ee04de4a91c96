"""Loads the app once, before the instance is frozen, and handles one request in each thawed one."""

import gc
import importlib.util
import io
import os
import site
import sys
import types

# The module `json` and what it needs would be in every image.
from _json import scanstring

CONFIGURATION = "/dayfly/dayfly.json"

# Where packages lie beside a script, as `pip install --target` puts them there.
PACKAGES = ("vendor", "site-packages")

sys.modules["dayfly"] = types.ModuleType("dayfly")
sys.modules["dayfly"].__path__ = ["/dayfly"]

# What a handler imports of these is not looked for at a request.
from dayfly import blobs, http, key_value, llm, messaging, mqtt, mysql, postgres, redis, sqlite
from dayfly import variables, websocket
from dayfly.bridge import Error, bridge, native
from dayfly.request import Answer, Request, renew_environment

sys.modules["dayfly"].Error = Error


def initialize():
    """What the driver keeps: the handler, its arguments, what it gives back if all went well, what went
    wrong here, and where its own functions belong."""
    # What is printed goes to the log: standard output is the answer.
    sys.stdout = sys.stderr
    try:
        serve = serving(load(configured_entry()))
        forget_folders()
    except BaseException as error:  # A script's `exit` is an error like any other.
        return None, (None,), True, told(error).encode(errors="backslashreplace"), native
    gc.collect()
    # A collection would write to all that lives, and so copy it.
    gc.freeze()
    return handler(serve), (None,), True, b"", native


def configured_entry():
    with open(CONFIGURATION, encoding="utf-8") as file:
        text = file.read()
    return scanstring(text, text.index(':"') + 2)[0]


def load(entry):
    """The app of the module that `entry` is the file of."""
    folder, file = os.path.split(entry)
    os.chdir(folder)
    sys.argv = [entry]
    sys.path.insert(0, folder)
    for name in PACKAGES:
        if os.path.isdir(f"{folder}/{name}"):
            site.addsitedir(f"{folder}/{name}")
    name = os.path.splitext(file)[0]
    spec = importlib.util.spec_from_file_location(name, entry)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("app", "application"):
        app = getattr(module, name, None)
        if callable(app):
            return app
    raise LookupError(f"`{entry}` has no app: name one `app` or `application` (WSGI or ASGI)")


def forget_folders():
    """Has imports find nothing in folders that are not there at a request. What looks there would
    end in an error that no import expects."""
    for path in sys.path_importer_cache:
        if path.startswith(("/app", "/dayfly")):
            sys.path_importer_cache[path] = None


def serving(app):
    """What answers a request by the convention that the app follows."""
    if is_asynchronous(app):
        from dayfly.asgi import Server
    else:
        from dayfly.wsgi import Server
    return Server(app).serve


def is_asynchronous(app):
    """Whether a call of it gives something to await, as ASGI has it."""
    if isinstance(app, type):
        return hasattr(app, "__await__")
    while hasattr(app, "func"):  # A `functools.partial`.
        app = app.func
    function = app if hasattr(app, "__code__") else type(app).__call__
    code = getattr(getattr(app, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)  # CO_COROUTINE


def handler(serve):
    def handle(environment):
        request = Request(environment)
        answer = Answer(request.is_event)
        try:
            thaw(request)
            serve(request, answer)
        except BaseException as error:
            sys.stderr.write(told(error))
            answer.fail()
        sys.stderr.flush()
        return answer.succeeded

    return handle


def thaw(request):
    """Makes new what a thawed instance must not share with the others."""
    bridge.open = True
    renew_environment(request)
    if random := sys.modules.get("random"):
        random.seed()
    if tempfile := sys.modules.get("tempfile"):
        tempfile._name_sequence = None
    if uuid := sys.modules.get("uuid"):
        uuid._node = uuid._last_timestamp = None


def told(error):
    """An error as Python tells it, without what is ours of its traceback."""
    trace = error.__traceback__
    while trace and is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    error.__traceback__ = trace
    log, sys.stderr = sys.stderr, io.StringIO()
    try:
        sys.__excepthook__(type(error), error, trace)
        return sys.stderr.getvalue()
    finally:
        sys.stderr = log


def is_ours(file):
    """Whether it is what comes before the app in a traceback."""
    return file.startswith(("/dayfly/", "<frozen importlib")) or "/Lib/asyncio/" in file
