"""What the beginning of a value tells of who wrote it: its format, and the names in an object."""

import json
import re

import msgspec

_FORMATS = (
    (re.compile(rb"\x80[\x02-\x05]"), "<pickle>"),
    (re.compile(rb"\x04\x08[\"iI{\[:o\x30TFu]"), "<marshal>"),
    (re.compile(rb"\xac\xed\x00\x05"), "<java>"),
    (re.compile(rb"(?:[asO]:\d+:[{\"]|[ibd]:-?[\d.]+;|N;)"), "<php>"),
)
_MAPS = (*range(0x80, 0x90), 0xDE, 0xDF)
# Of an object that was cut off, its first name is sure to be its own and not one of an object inside.
_FIRST_NAME = re.compile(rb'\s*\{\s*"([^"\\]{1,64})"\s*:\s*(\{?)')


def fields_of(value: bytes) -> frozenset[str]:
    r"""The format of a value in angle brackets, and the names in a JSON object or in a map of MessagePack; a name whose
    value is an object stands there with braces too.

    >>> sorted(fields_of(b'{"cookie": {}, "user": 1}')), sorted(fields_of(b'{"cookie": {"expires": "2026'))
    (['<json>', 'cookie', 'cookie{}', 'user'], ['<json>', 'cookie', 'cookie{}'])
    >>> sorted(fields_of(b"\x82\xaa_permanent\xc3\xa4user\x01")), fields_of(b"7"), fields_of(b'a:1:{s:5:"title";i:1;}')
    (['<msgpack>', '_permanent', 'user'], frozenset(), frozenset({'<php>'}))
    """
    for beginning, name in _FORMATS:
        if beginning.match(value):
            return frozenset({name})
    if value[:1] and value[0] in _MAPS:
        return _names("<msgpack>", _unpacked(value))
    if value.lstrip()[:1] in (b"{", b"["):
        try:
            return _names("<json>", json.loads(value))
        except (ValueError, RecursionError):
            first = _FIRST_NAME.match(value)
            return (
                frozenset()
                if first is None
                else _names("<json>", {first[1].decode("utf-8", "replace"): {} if first[2] else None})
            )
    return frozenset()


def _unpacked(value: bytes) -> object:
    try:
        return msgspec.msgpack.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None


def _names(kind: str, held: object) -> frozenset[str]:
    if isinstance(held, dict):
        names = [name for name in held if isinstance(name, str)]
        return frozenset({kind, *names, *(f"{name}{{}}" for name in names if isinstance(held[name], dict))})
    return frozenset({kind} if isinstance(held, list) else ())
