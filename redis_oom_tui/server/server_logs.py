"""What the server itself keeps: its hottest keys (HOTKEYS), and who sends large values (COMMANDLOG, SLOWLOG)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio import Redis

from redis_oom_tui.models.address import Address, LargeCommand
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import HotKeys
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import TellsHotKeys
from redis_oom_tui.rules.clients import OWN_NAME
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.tasks import together


async def hot_keys(client: Redis, address: Address) -> HotKeys:
    """What was tracked. Raises CommandRefused where the server has none."""
    with translated(address, "HOTKEYS GET"):
        return hot_keys_in(await client.execute_command("HOTKEYS", "GET"))


async def hot_keys_of(nodes: Mapping[str, TellsHotKeys]) -> tuple[HotKeys, ...]:
    """What each of `nodes`, by their names, has tracked, or why it does not tell. Raises where none of them tells."""
    refusals: list[TriageError] = []

    async def asked(name: str, node: TellsHotKeys) -> HotKeys:
        try:
            (found,) = await node.hot_keys()
        except TriageError as error:
            refusals.append(error)
            return HotKeys(tracked=False, node=name, error=str(error))
        return replace(found, node=name)

    found = await together(asked(name, node) for name, node in nodes.items())
    if refusals and len(refusals) == len(found):
        raise refusals[0]
    return tuple(found)


def hot_keys_in(reply: Any) -> HotKeys:
    """The reply of HOTKEYS GET: a map, or names and values in turn, perhaps as the only element of a list.

    >>> hot_keys_in([[b"tracking-active", 1, b"by-net-bytes", [b"k", 40]]]).by_net
    ((b'k', 40),)
    >>> hot_keys_in(None).tracked
    False
    """
    if isinstance(reply, list) and len(reply) == 1:
        reply = reply[0]
    fields = _pairs(reply)
    if b"tracking-active" not in fields:
        return HotKeys(tracked=False)
    began, lasted = _whole(fields, b"collection-start-time-unix-ms"), _whole(fields, b"collection-duration-ms")
    return HotKeys(
        active=fields[b"tracking-active"] == 1,
        sample_ratio=_whole(fields, b"sample-ratio") or 1,
        began_at=None if began is None else began / 1000,
        seconds=None if lasted is None else lasted / 1000,
        cpu_us=_whole(fields, b"all-commands-all-slots-us"),
        net_bytes=_whole(fields, b"net-bytes-all-commands-all-slots"),
        by_cpu=_keys(fields, b"by-cpu-time-us"),
        by_net=_keys(fields, b"by-net-bytes"),
    )


def _pairs(reply: Any) -> Mapping[Any, Any]:
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=False)) if isinstance(reply, list) else {}


def _whole(fields: Mapping[bytes, Any], name: bytes) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def _keys(fields: Mapping[bytes, Any], name: bytes) -> tuple[tuple[bytes, int], ...] | None:
    """The keys, the hottest first; None where that was not tracked."""
    if name not in fields:
        return None
    pairs = _pairs(fields[name]).items()
    found = [(key, used) for key, used in pairs if isinstance(key, bytes) and isinstance(used, int)]
    return tuple(sorted(found, key=lambda one: -one[1]))


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

    A command that was refused is in none of them. What this tool itself sent, to restore keys, is left out.
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
                if size >= _LEAST_BYTES and name != OWN_NAME:
                    where = address.decode("utf-8", "replace")
                    yield LargeCommand(command, key, size, float(at), where, name)
            case _:
                continue


def _length(argument: bytes) -> int:
    cut = _CUT.search(argument)
    return len(argument) if cut is None else _SHOWN + int(cut[1])
