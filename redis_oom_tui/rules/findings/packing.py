"""Collections just over the compact-encoding limits, and values that compress well."""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from redis_oom_tui.formatting.sizes import count, known_bytes, percent, size
from redis_oom_tui.models.keys import FamilySample
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.findings.case import Case, finding

# The setting (new name, old name), its default, and the share of the bytes that the compact form saved when measured
# on Redis 6.2 and 7.0 and on Valkey 9.1 with members of 8 to 40 bytes. Lists are packed in any case: nothing to gain.
_LIMITS = {
    "hash": (("hash-max-listpack-entries", "hash-max-ziplist-entries"), 512, (0.30, 0.85)),
    "zset": (("zset-max-listpack-entries", "zset-max-ziplist-entries"), 128, (0.50, 0.95)),
    "intset": (("set-max-intset-entries",), 512, (0.80, 0.95)),
    "set": (("set-max-listpack-entries",), 128, (0.45, 0.80)),
}
# What one member takes in a table, to guess their number where it could not be read.
_EACH = {"hash": 95, "zset": 125, "intset": 58}
_TABLES = frozenset({"hashtable", "skiplist"})
# A member that takes more than this is too long for a compact encoding, whatever their number.
_LONG_MEMBER = 250
# More members than this many times the limit are not "just over" it: packed, they would cost too much CPU.
_JUST_OVER = 3.0
# Client libraries add a header and often base64; and what was read of a value may pack better than its rest.
_SPREAD = 0.10


@finding("encoding-limit")
def over_the_limit(case: Case) -> Iterator[Finding]:
    """Families of collections that a higher limit would keep in the compact encoding."""
    for row in case.leaves:
        sample = case.sample_of(row)
        if sample is None or sample.type not in _LIMITS or row.keys < 10:
            continue
        tables = sum(n for name, n in sample.encodings.items() if name in _TABLES) / sample.sampled_keys
        if tables >= 0.5:
            yield from _packed(case, row, sample, tables)


def _packed(case: Case, row: PatternRow, sample: FamilySample, tables: float) -> Iterator[Finding]:
    kind = "intset" if sample.type == "set" and (sample.integer_text_share or 0.0) > 0.9 else sample.type
    names, default, share = _LIMITS[kind]
    configured = next((case.settings[name] for name in names if name in case.settings), None)
    limit = int(configured) if configured is not None and configured.isdigit() else default
    if configured is None and kind == "set":
        return
    elements = sample.elements or _guessed(sample, kind, limit)
    if not limit < elements <= _JUST_OVER * limit or sample.key_bytes > _LONG_MEMBER * elements:
        return
    low, high = (int(row.size * tables * part * case.scale) for part in share)
    if case.matters(low):
        name = next((name for name in names if name in case.settings), names[0])
        wanted = int(elements * (1.25 if sample.elements else 2))
        yield Finding(
            id="encoding-limit",
            level=Level.OK,
            title=f"{case.named(row)} has about {elements:.0f} members each, just over {name} {limit}",
            advice=f"Set {name} to {wanted} on the server: each key packs itself when it is written anew or restored.",
            evidence=(f"{count(row.keys)} keys, {size(row.size)}", f"{percent(tables)} of the sampled ones are tables"),
            saves_bytes=(low, high),
            lever=Remedy("hogs", match=row.match, db=row.db, pattern=row.select),
            in_the_application=f"Or split each key so that a part holds fewer than {limit} members.",
        )


def _guessed(sample: FamilySample, kind: str, limit: int) -> float:
    """How many members, by the bytes; a table close to the limit is over it, or it would not be one."""
    guess = sample.key_bytes / _EACH.get(kind, 95)
    return max(guess, limit + 1.0) if guess > 0.6 * limit else guess


class _Packing(Struct, frozen=True):
    """A family whose values pack well: bytes saved, low and high, and the share of their size that stays."""

    row: PatternRow
    sample: FamilySample
    low: float
    high: float
    ratio: float


@finding("compressible")
def compressible(case: Case) -> Iterator[Finding]:
    """Large values that pack well, by what a small sample of them came to; sister families together."""
    groups: dict[tuple[int | None, bytes], list[_Packing]] = defaultdict(list)
    for row in case.leaves:
        packing = _packing(case, row)
        if packing is not None:
            groups[row.db, row.parent or row.pattern].append(packing)
    known = {(row.db, row.pattern): row for row in case.families}
    for name, group in groups.items():
        if case.matters(sum(packing.low for packing in group), 0.02):
            whole = known.get(name, group[0].row) if len(group) > 1 else group[0].row
            yield _compressed(case.named(whole), whole, group)


def _packing(case: Case, row: PatternRow) -> _Packing | None:
    sample = case.sample_of(row)
    if sample is None or sample.zlib_ratios is None or sample.large_share is None or not sample.value_bytes:
        return None
    lowest, mean, highest = sample.zlib_ratios
    if mean > 0.7:
        return None
    values = row.keys * sample.value_bytes * sample.large_share * case.scale
    low = values * max(0.0, 1 - highest - _SPREAD)
    held = known_bytes(row.size, row.keys)
    high = min(values if held is None else held * case.scale, values * (1 - lowest + _SPREAD))
    return _Packing(row, sample, low, high, mean)


def _compressed(name: str, whole: PatternRow, group: list[_Packing]) -> Finding:
    keys, held = sum(one.row.keys for one in group), sum(one.row.size for one in group)
    weights = [one.row.size if held else one.row.keys for one in group]
    ratio = sum(one.ratio * weight for one, weight in zip(group, weights, strict=True)) / sum(weights)
    largest = group[0].sample
    json = f", {percent(largest.json_share)} look like JSON" if largest.json_share else ""
    zstd = f", zstd to {percent(largest.zstd_ratios[1])}" if largest.zstd_ratios else ""
    return Finding(
        id="compressible",
        level=Level.OK,
        title=f"Values of {name} pack to {percent(ratio)} of their size",
        advice="Compress them in the application: the server stores what it is given.",
        evidence=(
            f"{sum(one.sample.sampled_keys for one in group)} sampled{json}",
            f"{size(int(largest.value_bytes or 0))} on average, zlib to {percent(ratio)}{zstd}",
            f"{count(keys)} keys, {size(known_bytes(held, keys))}",
        ),
        saves_bytes=(int(sum(one.low for one in group)), int(sum(one.high for one in group))),
        lever=Remedy("hogs", match=whole.match, db=whole.db, pattern=whole.select),
        in_the_application="Compress values over 512 bytes (zstd is quicker than zlib at like size), and mark them:"
        " readers must know both forms while they change.",
    )
