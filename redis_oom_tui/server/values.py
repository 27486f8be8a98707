"""A small sample of the largest patterns, read without a trace: names, sizes and encodings; values where allowed."""

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, field

from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.keys import KeyRow, PatternSample, SampledKey
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.applications import naming_rows, recognize
from redis_oom_tui.rules.applications.finished import JobNames, job_namer
from redis_oom_tui.rules.applications.recognizing import rows_to_sample
from redis_oom_tui.rules.headroom import at_once as at_once_of
from redis_oom_tui.rules.key_patterns import compiled_glob, matcher, one_name
from redis_oom_tui.rules.sampled_values import summarize
from redis_oom_tui.rules.sizing import SAMPLES
from redis_oom_tui.server.latency_monitor import throttled
from redis_oom_tui.server.replies import ROOM_QUESTIONS, group_health, room_in
from redis_oom_tui.server.scan.connection import ScanServer, ThrottledConnection
from redis_oom_tui.server.sizing import Words
from redis_oom_tui.server.tasks import not_busy

_PATTERNS = 40
_KEYS_EACH = 32
_PAGE = 500
_MOST_NAMES = 30_000
_HEAD_BYTES = 8192
# A job has a handful of fields, and one of them holds nearly all: each is looked at.
_FIELDS = 64
_LONGEST_ID = 1024
# Sets whose members are read: of few members, and together no larger than so many bytes.
_FEW_MEMBERS, _SMALL_SETS = 10_000, 16 * 1024 * 1024
# Sets of an application that name its keys are read whole where they have no more members than so many.
_MOST_NAMED = 2000
# The largest streams, whose readers are asked for: of so many, from so large on, and so many bytes a consumer.
_STREAMS, _STREAM_BYTES = 5, 64 * 1024
_CONSUMERS, _CONSUMER_BYTES = 1000, 128
# What stands before and behind the key's name: first what never leaves a mark, then what is for NO-TOUCH only.
_Question = tuple[Words, Words]
_SAFE: tuple[_Question, ...] = (((b"MEMORY", b"USAGE"), (b"SAMPLES", b"%d" % SAMPLES)), ((b"OBJECT", b"ENCODING"), ()))
_READS: dict[str, tuple[_Question, ...]] = {
    "string": (((b"STRLEN",), ()), ((b"GETRANGE",), (b"0", b"%d" % (_HEAD_BYTES - 1)))),
    "hash": (((b"HLEN",), ()),),
    "list": (((b"LLEN",), ()),),
    "set": (((b"SCARD",), ()), ((b"SSCAN",), (b"0", b"COUNT", b"4"))),
    "zset": (((b"ZCARD",), ()),),
}


class _Wanted(Struct):
    """A pattern, and the names found of it. Of an index of jobs, `job_names` names the keys of each; `names_keys` says
    that it is of sets whose members name keys."""

    row: PatternRow
    kind: str
    start: bytes
    matcher: re.Pattern[bytes]
    fields: tuple[str, ...] = ()
    names: list[bytes] = field(default_factory=list)
    job_names: JobNames | None = None
    names_keys: bool = False

    @property
    def names_itself(self) -> bool:
        """Whether the pattern is the name of one key, which need not be looked for."""
        return one_name(self.row.select) is not None

    def holds(self, name: bytes) -> bool:
        """Whether `name` was counted in this pattern."""
        if not name.startswith(self.start) or not self.matcher.fullmatch(name):
            return False
        return self.row.select is None or matcher(self.row.select).held([name])[0]


async def sample_patterns(
    server: ScanServer, scan: ScanView, *, applications_only: bool = False
) -> tuple[PatternSample, ...]:
    """Samples of the largest patterns of `scan`: at most 40 patterns, 32 keys each, 8 KiB a value, and 30,000 names of
    each database; beside them of at most 40 that tell of applications, or of these alone. Without that, the readers of
    the largest streams as well.

    Values and lengths are read only where CLIENT NO-TOUCH keeps their idle times. It gives way to others as a plan in
    the making does, and waits for a busy server. Raises one of `models.errors`.
    """
    recognition = recognize(scan)
    naming = naming_rows(recognition.found)
    telling = _of_one_type([*((row, frozenset[str]()) for row in naming), *rows_to_sample(scan, recognition)])
    for pattern in telling:
        pattern.job_names = job_namer(pattern.row, recognition)
        pattern.names_keys = pattern.row in naming
    known = {(pattern.row.db, pattern.row.pattern) for pattern in telling}
    largest = [] if applications_only else _largest(scan.patterns)
    wanted = telling + [pattern for pattern in largest if (pattern.row.db, pattern.row.pattern) not in known]
    streams = [] if applications_only else [key for key in scan.top if key.type == "stream"][:_STREAMS]
    if not wanted and not streams:
        return ()
    capabilities = await not_busy(server.capabilities)
    reads, stated = capabilities.has(Feature.NO_TOUCH), server.connection.stated_limit_bytes
    found: list[PatternSample] = []
    async with throttled(server, scanning=True) as throttle:
        for db in sorted({*(pattern.row.db or 0 for pattern in wanted), *(key.id.db for key in streams)}):
            here = [pattern for pattern in wanted if (pattern.row.db or 0) == db]
            connection = ThrottledConnection(server, db, throttle)
            try:
                await connection.open()
                await _gather(connection, here, lambda: _PAGE if throttle.window > 1 else throttle.per_page)
                for pattern in here:
                    if pattern.names:
                        found += await _sample(connection, pattern, stated, reads=reads)
                if reads:
                    found += await _readers(connection, [key for key in streams if key.id.db == db], stated)
            finally:
                await connection.close()
    return tuple(found)


def _largest(rows: Sequence[PatternRow]) -> list[_Wanted]:
    parents = {(row.db, row.parent) for row in rows if row.parent is not None}
    leaves = [row for row in rows if (row.db, row.pattern) not in parents]
    return _of_one_type([(row, frozenset()) for row in sorted(leaves, key=lambda row: -row.size)])


def _of_one_type(rows: Sequence[tuple[PatternRow, frozenset[str]]]) -> list[_Wanted]:
    """The first of `rows` that are of one type; beside each the fields to ask its hashes about."""
    wanted: list[_Wanted] = []
    for row, fields in rows:
        kind, count = max(row.types, key=lambda item: item[1], default=("", 0))
        if kind in _READS and count >= 0.9 * row.keys and len(wanted) < _PATTERNS:
            start = re.split(rb"[*?\[\\]", row.match, maxsplit=1)[0]
            pattern = _Wanted(row, kind, start, compiled_glob(row.match), tuple(fields) if kind == "hash" else ())
            if pattern.names_itself and row.select is not None:
                pattern.names.append(b"".join(row.select.parts))
            wanted.append(pattern)
    return wanted


async def _gather(connection: ThrottledConnection, patterns: list[_Wanted], wanted: Callable[[], int]) -> None:
    """One scan for all of them, until each has its keys or enough names were read."""
    short, read = _short(patterns), 0
    if not short:
        return
    async with contextlib.aclosing(connection.pages(wanted)) as pages:
        async for names in pages:
            read += len(names)
            for name in names:
                pattern = next((one for one in short if one.holds(name)), None)
                if pattern is not None and len(pattern.names) < _KEYS_EACH:
                    pattern.names.append(name)
            short = _short(short)
            if not short or read >= _MOST_NAMES:
                return


def _short(patterns: list[_Wanted]) -> list[_Wanted]:
    """Those of which more names are wanted."""
    return [pattern for pattern in patterns if len(pattern.names) < min(_KEYS_EACH, pattern.row.keys)]


async def _sample(
    connection: ThrottledConnection, pattern: _Wanted, stated: int | None, *, reads: bool
) -> list[PatternSample]:
    """One sample, or none where no key of the pattern is here: it may be on another node of the cluster."""
    free_bytes = room_in(await connection.ask(ROOM_QUESTIONS), stated) if reads else None
    # Of each value at most its head comes; the members of a set are of any length.
    at_once = max(1, at_once_of(free_bytes, _KEYS_EACH * _HEAD_BYTES) // _HEAD_BYTES)
    keys: list[SampledKey] = []
    for start in range(0, len(pattern.names), at_once):
        names = pattern.names[start : start + at_once]
        commands = _READS[pattern.kind] if reads else ()
        if reads and pattern.kind == "set" and not await _small(connection, names, free_bytes):
            commands = commands[:1]
        fields = pattern.fields if reads else ()
        commands += tuple(((b"HEXISTS",), (name.encode(),)) for name in fields)
        asked = (*_SAFE, *commands)
        replies = await connection.ask([(*before, name, *after) for name in names for before, after in asked])
        width = len(asked)
        keys += [_key(name, replies[n * width : (n + 1) * width], fields) for n, name in enumerate(names)]
    if pattern.names_itself:
        keys = [key for key in keys if key.encoding is not None or key.size is not None]
    if not keys:
        return []
    jobs = await _job_sizes(connection, pattern, keys[0]) if reads else ()
    named = await _members(connection, pattern, keys, free_bytes) if reads and pattern.names_keys else None
    summary = summarize(pattern.row.pattern, pattern.kind, keys, db=pattern.row.db or 0)
    return [replace(summary, job_bytes=jobs, named=named)]


async def _members(
    connection: ThrottledConnection, pattern: _Wanted, keys: Sequence[SampledKey], free_bytes: int | None
) -> tuple[bytes, ...] | None:
    """All members of the sets of a pattern that are here: in a cluster others may be on other nodes.

    None where they are too many, or more sets than are sampled.
    """
    members = sum(_MOST_NAMED + 1 if key.length is None else key.length for key in keys)
    names = [key.name for key in keys]
    if pattern.kind != "set" or pattern.row.keys > _KEYS_EACH or members > _MOST_NAMED:
        return None
    if not await _small(connection, names, free_bytes):
        return None
    found: list[bytes] = []
    for name in names:
        cursor = b""
        while cursor != b"0":
            (reply,) = await connection.ask([(b"SSCAN", name, cursor or b"0", b"COUNT", b"%d" % _PAGE)])
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
                return None
            cursor = reply[0]
            found += reply[1]
    return tuple(dict.fromkeys(found))


async def _readers(
    connection: ThrottledConnection, streams: Sequence[KeyRow], stated: int | None
) -> list[PatternSample]:
    """The groups of these streams with their consumers, as far as the replies have room."""

    async def ask(commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        return await connection.ask(
            [tuple(word if isinstance(word, bytes) else str(word).encode() for word in words) for words in commands]
        )

    found = []
    for key in streams:
        if (key.size or 0) < _STREAM_BYTES:
            continue
        free_bytes = room_in(await connection.ask(ROOM_QUESTIONS), stated)
        most = at_once_of(free_bytes, _CONSUMERS * _CONSUMER_BYTES) // _CONSUMER_BYTES
        if groups := await group_health(ask, key.id.key, most=most):
            size = float(key.size or 0)
            found.append(PatternSample(key.id.key, "stream", 1, key_bytes=size, db=key.id.db, groups=groups))
    return found


_MEMBERS: dict[str, tuple[bytes, Words]] = {
    "zset": (b"ZSCAN", (b"0", b"COUNT", b"%d" % _KEYS_EACH)),
    "list": (b"LRANGE", (b"0", b"%d" % (_KEYS_EACH - 1))),
}


async def _job_sizes(connection: ThrottledConnection, pattern: _Wanted, index: SampledKey) -> tuple[int, ...]:
    """What some of the jobs hold that an index lists. Ids are short; an index of anything longer is left alone."""
    long = (index.size or 0) > _LONGEST_ID * max(1, index.length or 0)
    if pattern.job_names is None or pattern.kind not in _MEMBERS or long:
        return ()
    command, rest = _MEMBERS[pattern.kind]
    (reply,) = await connection.ask([(command, index.name, *rest)])
    members = reply[1][::2] if command == b"ZSCAN" and isinstance(reply, list) and len(reply) == 2 else reply
    if not isinstance(members, list) or not members:
        return ()
    some = members[:: max(1, len(members) // _KEYS_EACH)][:_KEYS_EACH]
    jobs = [pattern.job_names(index.name, member) for member in some if isinstance(member, bytes)]
    names = [name for job in jobs for name in job]
    replies = await connection.ask([(b"MEMORY", b"USAGE", name, b"SAMPLES", b"%d" % _FIELDS) for name in names])
    sizes = iter([size if isinstance(size, int) else 0 for size in replies])
    found = [sum(next(sizes) for _ in job) for job in jobs]
    return tuple(size for size in found if size)


async def _small(connection: ThrottledConnection, names: Sequence[bytes], free_bytes: int | None) -> bool:
    """Whether these sets are so small, all members looked at, that the replies about their members have room."""
    lengths = await connection.ask([(b"SCARD", name) for name in names])
    if not all(isinstance(length, int) and length <= _FEW_MEMBERS for length in lengths):
        return False
    sizes = await connection.ask([(b"MEMORY", b"USAGE", name, b"SAMPLES", b"0") for name in names])
    known = [size for size in sizes if isinstance(size, int)]
    return len(known) == len(sizes) and sum(known) <= at_once_of(free_bytes, _SMALL_SETS)


def _key(name: bytes, replies: list[Any], fields: tuple[str, ...]) -> SampledKey:
    size, encoding, length, head = (*replies, None, None)[:4]
    if isinstance(head, list):
        # SSCAN's cursor and members.
        members = head[1] if len(head) > 1 and isinstance(head[1], list) else ()
        head = next(iter(members), None)
    return SampledKey(
        name=name,
        size=size if isinstance(size, int) else None,
        encoding=encoding.decode("ascii", "replace") if isinstance(encoding, bytes) else None,
        length=length if isinstance(length, int) else None,
        head=head if isinstance(head, bytes) else None,
        # The answers about fields come last; a refusal is no 1.
        fields=frozenset(
            name for name, there in zip(fields, replies[len(replies) - len(fields) :], strict=True) if there == 1
        ),
    )
