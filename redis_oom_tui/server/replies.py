"""The texts that servers answer with, taken apart."""

import re
from collections.abc import Iterable, Mapping

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.rules.headroom import headroom_in

ROOM_QUESTIONS: tuple[tuple[bytes, ...], ...] = tuple(
    (b"INFO", section) for section in (b"memory", b"keyspace", b"replication")
)
"""What is asked to know what is free for replies."""

_WHOLE = re.compile(r"-?[0-9]{1,18}")


def info_in(reply: bytes) -> dict[str, object]:
    """INFO's fields, their values left as text; `a=1,b=2` becomes a mapping.

    >>> info_in(b"# Keyspace\\r\\nused_memory:12\\r\\ndb0:keys=3,expires=1\\r\\n")
    {'used_memory': '12', 'db0': {'keys': '3', 'expires': '1'}}
    """
    fields: dict[str, object] = {}
    modules = []
    for line in _text(reply).splitlines():
        name, colon, value = line.partition(":")
        if name == "module":
            # The one name that stands there several times.
            modules.append(_pairs(value))
        elif colon and not line.startswith("#"):
            fields[name] = _pairs(value) if "=" in value else value
    return fields | {"module": modules} if modules else fields


def room_in(replies: Iterable[object], stated_limit: int | None) -> int | None:
    """Bytes free below maxmemory by the replies to `ROOM_QUESTIONS`; None where nothing bounds a reply, 0 where INFO is
    refused. `stated_limit` is the operator's word for the limit of a server that tells none.
    """
    texts = [reply for reply in replies if isinstance(reply, bytes)]
    if len(texts) < len(ROOM_QUESTIONS):
        return 0
    return headroom_in(info_in(b"\n".join(texts)), stated_limit)


def _pairs(value: str) -> dict[str, str]:
    return {name: held for name, _, held in (pair.rpartition("=") for pair in value.split(","))}


def clients_in(reply: bytes) -> list[dict[str, str]]:
    """CLIENT LIST's lines. A value may hold spaces: the path of a unix socket does.

    >>> clients_in(b"id=3 addr=/a b/c:0 name= cmd=get\\n")
    [{'id': '3', 'addr': '/a b/c:0', 'name': '', 'cmd': 'get'}]
    """
    return [_client(line) for line in _text(reply).splitlines() if "=" in line]


def _client(line: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for word in line.split(" "):
        name, equals, value = word.partition("=")
        if equals:
            fields[name], last = value, name
        elif last:
            fields[last] += f" {word}"
    return fields


def client_buffers(lines: Iterable[Mapping[str, str]]) -> tuple[ClientBuffer, ...]:
    """What each client holds, the largest holders of memory first."""
    return tuple(sorted(map(_client_buffer, lines), key=lambda buffer: -buffer.total_bytes))


def _client_buffer(line: Mapping[str, str]) -> ClientBuffer:
    def number(field: str) -> int:
        text = str(line.get(field, "0"))
        return int(text) if _WHOLE.fullmatch(text) else 0

    def raw(field: str) -> bytes:
        return str(line.get(field, "")).encode("utf-8", "surrogateescape")

    output = number("omem")
    query = number("qbuf") + number("qbuf-free")
    return ClientBuffer(
        id=number("id"),
        address=str(line.get("addr", "")),
        name=raw("name"),
        library=raw("lib-name"),
        user=raw("user"),
        command=raw("cmd"),
        flags=str(line.get("flags", "")),
        total_bytes=max(number("tot-mem"), output + query),
        output_bytes=output,
        query_bytes=query,
        queued_bytes=number("multi-mem"),
        age_seconds=number("age"),
        idle_seconds=number("idle"),
        subscriptions=number("sub") + number("psub") + number("ssub"),
    )


def _text(reply: bytes) -> str:
    return reply.decode("utf-8", "replace")
