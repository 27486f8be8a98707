"""Who sends large values, by the server's own logs: COMMANDLOG on Valkey 8.1 and later, else SLOWLOG."""

import re
from collections.abc import Iterator
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio import Redis

from redis_oom_tui.models.address import Address, LargeCommand
from redis_oom_tui.server.errors import translated

_ASKED = 128
_LEAST_BYTES = 64 * 1024
_KEPT = 20
# SLOWLOG cuts arguments of more than 128 bytes, and says by how much.
_CUT = re.compile(rb"\.\.\. \((\d+) more bytes\)$")
_SHOWN = 128
# Commands whose first argument is no key, as numbers and scripts are.
_NO_KEY = frozenset({b"eval", b"evalsha", b"fcall", b"eval_ro", b"evalsha_ro", b"fcall_ro", b"publish", b"spublish"})


class _Server(Protocol):
    @property
    def address(self) -> Address: ...

    def client(self) -> Redis: ...


async def large_commands(server: _Server) -> tuple[LargeCommand, ...]:
    """The largest of late, each command of a client on a key once; empty where no log may be read.

    A command that was refused is in none of them.
    """
    with translated(server.address, "SLOWLOG GET"):
        for command in (("COMMANDLOG", "GET", _ASKED, "LARGE-REQUEST"), ("SLOWLOG", "GET", _ASKED)):
            try:
                entries = await server.client().execute_command(*command)
            except exceptions.ResponseError:
                continue
            return _largest(entries if isinstance(entries, list) else [], measured=command[0] == "COMMANDLOG")
    return ()


def _largest(entries: list[Any], *, measured: bool) -> tuple[LargeCommand, ...]:
    found: dict[tuple[bytes, bytes, bytes], LargeCommand] = {}
    for one in _read(entries, measured=measured):
        who = (one.command, one.key, one.name or one.address.rpartition(":")[0].encode())
        if who not in found or found[who].size < one.size:
            found[who] = one
    return tuple(sorted(found.values(), key=lambda one: -one.size)[:_KEPT])


def _read(entries: list[Any], *, measured: bool) -> Iterator[LargeCommand]:
    """Those of the entries that are whole and large enough."""
    for entry in entries:
        match entry:
            case [int(), int(at), int(figure), [bytes(command), *rest], bytes(address), bytes(name), *_]:
                arguments = [part for part in rest if isinstance(part, bytes)]
                size = figure if measured else sum(map(_length, arguments))
                key = arguments[0] if arguments and command.lower() not in _NO_KEY else b""
                if size >= _LEAST_BYTES:
                    where = address.decode("utf-8", "replace")
                    yield LargeCommand(command, key, size, float(at), where, name)
            case _:
                continue


def _length(argument: bytes) -> int:
    cut = _CUT.search(argument)
    return len(argument) if cut is None else _SHOWN + int(cut[1])
