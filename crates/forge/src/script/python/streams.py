"""Streams of the host's: what comes and goes piece by piece."""

from dayfly.bridge import Error, Failure, Handle, bridge, call
from dayfly.key_value import bytes_of

PIECE_BYTES = 65536


def is_whole(content):
    return isinstance(content, (bytes, bytearray, memoryview, str))


def read(stream, size=PIECE_BYTES):
    """The next piece, of so many bytes at most; an empty one at the end."""
    while (piece := on(stream, "read", size)) is not None:
        if piece:
            return piece
        wait(stream)
    return b""


def pour(stream, content):
    """Writes bytes, a text, or an iterable of these, as long as the other side takes more."""
    for piece in [content] if is_whole(content) else content:
        if not write(stream, memoryview(bytes_of(piece))):
            break


def write(stream, piece):
    """Whether the other side takes more."""
    while piece:
        room = on(stream, "check-write")
        if room is None:
            return False
        if room:
            on(stream, "write", piece[:room])
            piece = piece[room:]
        else:
            wait(stream)
    on(stream, "flush")
    return True


def wait(handle):
    with Handle("poll.pollable", handle._call("subscribe")) as pollable:
        pollable._call("block")


def on(stream, function, *arguments):
    """What a stream gives; `None` if it is closed."""
    try:
        return bridge.call(f"{stream._resource}.{function}", stream._number, *arguments)
    except Failure as failure:
        kind, error = failure.error
        if kind == "closed":
            return None
    with Handle("error.error", error) as error:
        code = call("types.http-error-code", error._number)
        kind = code[0] if code else "failed"
        text = kind.replace("-", " ") if code else error._call("to-debug-string").partition("\n")[0]
        raise Error(f"the body failed: {text}", kind)
