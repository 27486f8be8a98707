"""A scan that broke off, as plain values (JSON's): where its walks stand and all it has counted, to go on from."""

import base64
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from msgspec import Struct

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.formatting.typed import KEY_ROW, KEY_ROW_LATER, key_row, number, optional, taken, text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.rules.pattern_tree import tree_from, tree_rows
from redis_oom_tui.server.scan.aggregates import ScanAggregates, TopKey
from redis_oom_tui.server.scan.cursor_ranges import CursorRange
from redis_oom_tui.server.scan.view import ScanProgress

_COUNTS = ("keys", "bytes", "volatile_keys", "volatile_bytes", "vanished", "refused", "threshold", "pages")
_LARGEST = 2**64
_WALK = ("db", "part", "bits", "cursor", "ended")


class Checkpoint(Struct, frozen=True):
    """What an earlier run had come to."""

    options: ScanOptions
    standing: ScanProgress
    tally: ScanAggregates
    elapsed: float


def checkpoint_values(begun: Checkpoint) -> dict[str, Any] | None:
    """What `checkpoint_from` needs; None for a scan that is complete or not begun, or whose server has no run id."""
    standing = begun.standing
    if standing.state is ScanState.COMPLETE or standing.run_id is None or not standing.walks:
        return None
    return {
        "run_id": standing.run_id,
        "elapsed": begun.elapsed,
        "options": _options_written(begun.options),
        "walks": [[_walk_written(walk) for walk in walks] for walks in standing.walks.values()],
        "tally": _tally_written(begun.tally),
    }


def checkpoint_from(progress: Mapping[str, Any], *, pace: Pace | None = None, sample: int | None = None) -> Checkpoint:
    """What `checkpoint_values` wrote, to resume at `pace`, up to a `sample` of so many keys in all. Raises BadInput."""
    try:
        options = _options(progress["options"], pace, sample)
        tally = _tally(progress["tally"], options)
        walks = [_chained([_walk(one) for one in some]) for some in progress["walks"]]
        standing = ScanProgress(
            state=ScanState.STOPPED,
            walks={some[0].db: some for some in walks},
            run_id=taken(progress, "run_id", text),
            notes=(f"{count(tally.keys)} keys were counted in an earlier run: what became of them since is not seen",),
        )
        return Checkpoint(options, standing, tally, taken(progress, "elapsed", number))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise BadInput("what the saved scan holds to go on from is damaged: start a new one") from None


def _options_written(options: ScanOptions) -> dict[str, Any]:
    return {
        "databases": options.databases,
        "match": None if options.match is None else _text(options.match),
        "type": options.type,
        "pace": options.pace.value,
        "top": options.top,
        "idle": options.idle,
        "delimiters": _text(options.delimiters),
        "max_patterns": options.max_patterns,
        "pattern": None if options.pattern is None else pattern_text.fields(options.pattern),
    }


def _options(found: Mapping[str, Any], pace: Pace | None, sample: int | None) -> ScanOptions:
    databases = found["databases"]
    return ScanOptions(
        databases=None if databases is None else tuple(_number(db) for db in databases),
        match=None if found["match"] is None else _bytes(found["match"]),
        type=taken(found, "type", optional(text)),
        pace=Pace(found["pace"]) if pace is None else pace,
        top=_number(found["top"]),
        sample=sample,
        idle=bool(found["idle"]),
        delimiters=_bytes(found["delimiters"]),
        max_patterns=_number(found["max_patterns"]),
        # Files of before it was written have none.
        pattern=None if found.get("pattern") is None else pattern_text.from_fields(found["pattern"]),
    )


def _walk_written(walk: CursorRange) -> dict[str, Any]:
    return {name: getattr(walk, name) for name in _WALK} | {
        "page": _texts(walk.page),
        "head": None if walk.head is None else _texts(walk.head),
        "given": _texts(walk.given),
    }


def _walk(found: Mapping[str, Any]) -> CursorRange:
    return CursorRange(
        _number(found["db"]),
        part=_number(found["part"]),
        bits=_number(found["bits"]),
        cursor=_number(found["cursor"]),
        ended=found["ended"] is True,
        page=_names(found["page"]),
        head=None if found["head"] is None else set(_names(found["head"])),
        given=frozenset(_names(found["given"])),
    )


def _chained(walks: list[CursorRange]) -> list[CursorRange]:
    for before, walk in pairwise(walks):
        walk.before = before
    return walks


def _tally_written(tally: ScanAggregates) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in (*_COUNTS, "unsized")} | {
        "group_keys": tally.group_keys,
        "group_bytes": tally.group_bytes,
        "types": [[kind.decode("latin-1"), keys, tally.type_bytes[kind]] for kind, keys in tally.type_keys.items()],
        "top": [_top_written(top) for top in tally.top.values()],
        "tree": tree_rows(tally.tree),
    }


def _tally(found: Mapping[str, Any], options: ScanOptions) -> ScanAggregates:
    tally = ScanAggregates(options)
    for name in _COUNTS:
        setattr(tally, name, _number(found[name]))
    tally.unsized = _number(found.get("unsized", 0))
    for name in ("group_keys", "group_bytes"):
        groups = [_number(one) for one in found[name]]
        if len(groups) != len(getattr(tally, name)):
            raise ValueError(name)
        setattr(tally, name, groups)
    for kind, keys, size in found["types"]:
        tally.type_keys[kind.encode("latin-1")] = _number(keys)
        tally.type_bytes[kind.encode("latin-1")] = _number(size)
    for top in map(_top, found["top"]):
        tally.top[top.row.id.db, top.row.id.key] = top
    tree_from(found["tree"], tally.tree)
    return tally


def _top_written(top: TopKey) -> dict[str, Any]:
    return {name: getattr(top.row, name) for name in (*KEY_ROW, *KEY_ROW_LATER)} | {
        "db": top.row.id.db,
        "key": _text(top.row.id.key),
        "counted": top.size,
        "group": top.group,
        "asked": top.asked,
        "answered": top.answered,
    }


def _top(found: Mapping[str, Any]) -> TopKey:
    row = KeyRow(KeyId(_number(found["db"]), _bytes(found["key"])), **key_row(found))
    # Files of before it was written have the size from a few elements itself.
    answered = _number(found.get("answered", found["counted"]))
    return TopKey(row, _number(found["counted"]), _number(found["group"]), found["asked"] is True, answered)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_LARGEST < value < _LARGEST:
        raise TypeError(value)
    return value


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _texts(names: Any) -> list[str]:
    return [_text(name) for name in names]


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _names(texts: Any) -> list[bytes]:
    return [_bytes(text) for text in texts]
