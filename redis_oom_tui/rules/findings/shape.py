"""The same data in less memory: one hash for many keys, shorter names, plain numbers, compact encodings, compression.

The figures rest on measurements: Redis 6.2.14 and 7.0.15, Valkey 9.1.2, used_memory before and after, 10,000 keys.
"""

import math
from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes, number_of_keys, percent, size
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.findings.case import Case, finding, remedy_for
from redis_oom_tui.rules.flavours import ANY_INTEGER_SAVING, ANY_KEY_OVERHEAD, FLAVOURS
from redis_oom_tui.rules.savings import WIDEST, with_noise

# What a key takes in the tables beyond its MEMORY USAGE: without a TTL, and with one: an entry, and a place that is the
# smaller the fuller the table; with jemalloc 8 bytes more an entry than with libc.
_HIDDEN = (8, 27)
_HIDDEN_TTL = (40, 72)
# Where what an expiry takes is in MEMORY USAGE already: from 7.4 on, and on Valkey from 8.0.
_HIDDEN_TTL_COUNTED = (8, 40)
_FIELD_BYTES = 4
_HASH_SLACK = 40
# The default hash-max-listpack-value: a longer value makes the hash a table, which saves nothing.
_SMALL_VALUE = 64
# A key of this size on average may hold such values; whether it does, the sampled ones tell.
_SMALL_KEY = 160
# Allocators give names in steps of so many bytes; a name below 32 has a header that is two bytes shorter. Since Redis
# 8.2 a short name and its value are one piece, which comes in steps of 8 and saves as many beside.
_NAME_STEP, _NAME_HEADER = 16, 2
_PIECE_SINCE, _PIECE_STEP, _PIECE_BYTES = (8, 2), 8, 10


@finding("hash-grouping")
def hash_grouping(case: Case) -> Iterator[Finding]:
    """user:1:name, user:1:email, ... as fields of one hash user:1."""
    groups: dict[tuple[int | None, bytes], list[PatternRow]] = defaultdict(list)
    for row in case.leaves:
        stem, _, field = row.pattern.rpartition(b":")
        if stem.endswith(b"*") and field and b"*" not in field and _all_strings(row):
            groups[row.db, stem].append(row)
    for (_, stem), siblings in groups.items():
        most = max(row.keys for row in siblings)
        rows = [row for row in siblings if row.keys >= 0.5 * most and row.size < _SMALL_KEY * row.keys]
        if len(rows) >= 2 and most >= 100:
            yield from _grouped(case, stem, rows)


def _grouped(case: Case, stem: bytes, rows: list[PatternRow]) -> Iterator[Finding]:
    samples = [sample for sample in map(case.sample_of, rows) if sample is not None]
    if not samples or any((sample.longest_value or 0) > _SMALL_VALUE for sample in samples):
        return
    low, high = _grouping_saves(case, rows, samples)
    low, high = int(low * case.scale), int(high * case.scale)
    if high <= 0 or not case.matters(high):
        return
    fields = [row.pattern.rpartition(b":")[2] for row in rows]
    keys = case.keys_text(sum(row.keys for row in rows))
    each = case.keys_text(max(row.keys for row in rows)).removeprefix("~")
    yield Finding(
        id="hash-grouping",
        level=Level.OK,
        title=f"{keys} keys {safe_text(stem, 32)}:{{{safe_text(b','.join(fields), 40)}}} could be one hash each",
        advice=f"Keep them as fields of one hash {safe_text(stem, 32)}: a key costs more than a small value.",
        evidence=(
            f"{len(rows)} strings for each of about {each} {safe_text(stem, 32)}",
            f"{size(sum(row.size for row in rows))} now",
        ),
        # Where the low end is near nothing, allocators' rounding decides, and that cannot be told.
        saves_bytes=(max(low, int(high / WIDEST)), high) if 10 * low >= high else None,
        remedy=Remedy("hogs", match=rows[0].match.rpartition(b":")[0] + b":*"),
        in_the_application=f"HSET {safe_text(stem, 24)} {safe_text(fields[0], 16)} ... for SET, HGET for GET;"
        " one TTL then applies to the whole hash.",
    )


def _grouping_saves(case: Case, rows: list[PatternRow], samples: list[PatternSample]) -> tuple[float, float]:
    """Bytes for all entities together, low and high; the hash is taken to stay in its compact encoding."""
    entities = max(row.keys for row in rows)
    number = sum(row.keys for row in rows) / entities
    separate = sum(row.size for row in rows) / entities
    expiring = sum(row.keys - row.no_ttl_keys for row in rows) > 0.5 * sum(row.keys for row in rows)
    hidden = (_HIDDEN_TTL_COUNTED if _tells_expiry(case) else _HIDDEN_TTL) if expiring else _HIDDEN
    field_bytes = sum(_field(row.pattern) * row.keys for row in rows) / entities
    # The stem is as long for every field: any sample tells it.
    stem = sum(sample.name_bytes - _field(sample.pattern) - 1 for sample in samples) / len(samples)
    names = stem + 1 + field_bytes / number
    mean = separate / number
    around_low, around_high = _around(case, samples, mean - names)
    values_high = number * (mean - names - around_low)
    values_low = number * (mean - names - around_high)
    fixed = field_bytes + _FIELD_BYTES * number + stem
    low = separate + (number - 1) * hidden[0] - around_low - fixed - values_high - _HASH_SLACK
    high = separate + (number - 1) * hidden[1] - around_high - fixed - max(number, values_low)
    return min(low, high) * entities, max(low, high) * entities


def _tells_expiry(case: Case) -> bool:
    """Whether MEMORY USAGE counts what an expiry takes."""
    server = case.now.server
    least = {"redis": (7, 4), "valkey": (8, 0)}.get(server.flavour)
    return least is not None and server.release >= least


def _field(pattern: bytes) -> int:
    return len(pattern.rpartition(b":")[2])


def _around(case: Case, samples: list[PatternSample], beyond_name: float) -> tuple[float, float]:
    """What surrounds a value in its key: measured here where lengths could be read, else what its flavour is known for.

    `beyond_name` is what a key takes on average beyond its name.
    """
    read = [s.key_bytes - s.name_bytes - s.value_bytes for s in samples if s.value_bytes is not None]
    if read:
        middle = sum(read) / len(read)
        return middle - 3, middle + 3
    flavour = FLAVOURS.get(case.now.server.flavour)
    low, high = ANY_KEY_OVERHEAD if flavour is None else flavour.key_overhead
    return min(low, beyond_name - 1), min(high, beyond_name)


@finding("long-names")
def long_names(case: Case) -> Iterator[Finding]:
    """Names whose fixed parts are long, many times over."""
    for row in case.leaves:
        fixed = [part for part in row.pattern.split(b":") if part and b"*" not in part]
        cut = sum(len(part) - 4 for part in fixed if len(part) > 8)
        low, high = with_noise(*(int(row.keys * each * case.scale) for each in _shorter(cut, case.now.server)))
        if row.keys >= 1000 and cut >= 16 and case.matters(low):
            yield Finding(
                id="long-names",
                level=Level.OK,
                title=f"{case.keys_text(row.keys)} key names in {case.named(row)} repeat"
                f" {cut + 4 * len(fixed)} constant bytes",
                advice=f"Names with four letters for each long part would be {cut} bytes shorter, every time.",
                evidence=(case.seen_text(row),),
                saves_bytes=(low, high),
                remedy=remedy_for(row, "hogs"),
                in_the_application="Shorten the fixed parts where names are built; keep a list of what they mean.",
            )
            return


def _shorter(cut: int, server: Server) -> tuple[int, int]:
    """What a key takes less, least and most, whose name is `cut` bytes shorter."""
    low, high = cut // _NAME_STEP * _NAME_STEP, math.ceil((cut + _NAME_HEADER) / _NAME_STEP) * _NAME_STEP
    if server.flavour == "redis" and server.release >= _PIECE_SINCE:
        return low, max(high, math.ceil((cut + _PIECE_BYTES) / _PIECE_STEP) * _PIECE_STEP)
    return low, high


@finding("numbers-as-text")
def numbers_as_text(case: Case) -> Iterator[Finding]:
    """Numbers that the server could store as such, but for zeros, quotes or a `.0` around them."""
    for row in case.leaves:
        sample = case.sample_of(row)
        share = None if sample is None else sample.integer_text_share
        if sample is None or sample.type != "string" or share is None or share < 0.5:
            continue
        flavour = FLAVOURS.get(case.now.server.flavour)
        _, most = ANY_INTEGER_SAVING if flavour is None else flavour.integer_saving
        high = int(row.keys * share * most * case.scale)
        if case.matters(high):
            yield Finding(
                id="numbers-as-text",
                level=Level.OK,
                title=f"{case.named(row)} stores numbers as text",
                advice='Write plain integers (42, not 0042, 42.0 or "42"): they then live inside the key\'s own entry.',
                evidence=(f"{share * 100:.0f}% of {sample.sampled_keys} sampled values", _encodings(sample)),
                saves_bytes=_integers_save(case, row.keys * share * case.scale, sample),
                remedy=remedy_for(row, "hogs"),
                in_the_application="Use INCR and plain decimal integers; keep formatting for the screen.",
            )


# An object of 16 bytes holds a number; a short text is allocated with it, behind a header of 4, in steps of 16 bytes.
_OBJECT, _HEADER, _STEP = 16, 4, 16


def _integers_save(case: Case, values: float, sample: PatternSample) -> tuple[int, int] | None:
    """What so many texts free as numbers; None on Valkey, where rounding around name and value decides it."""
    if case.now.server.flavour != "redis" or not sample.value_bytes:
        return None
    text = math.ceil((_OBJECT + _HEADER + sample.value_bytes) / _STEP) * _STEP
    return int(0.45 * values * (text - _OBJECT)), int(1.12 * values * (text - _OBJECT))


def _all_strings(row: PatternRow) -> bool:
    return {name for name, _ in row.types} == {"string"}


def _encodings(sample: PatternSample) -> str:
    return "encodings " + ", ".join(f"{safe_text(name, 16)} {n}" for name, n in sorted(sample.encodings.items()))


# The setting (new name, old name) and its default. Lists are packed in any case: nothing to gain.
_LIMITS = {
    "hash": (("hash-max-listpack-entries", "hash-max-ziplist-entries"), 512),
    "zset": (("zset-max-listpack-entries", "zset-max-ziplist-entries"), 128),
    "intset": (("set-max-intset-entries",), 512),
    "set": (("set-max-listpack-entries",), 128),
}
# Bytes that a packed member saves, least and most: measured on Valkey 9.1 and Redis 7.0 and 8.2 with members of 4 to 60
# bytes (hash: field and value each), and numbers up to 10^12. Their length matters little, as what is saved is what
# surrounds them; but on Redis long fields of a hash save 18 to 81, of which no range can be made.
_PACKED_SAVES = {
    "valkey": {"hash": (16, 31), "zset": (56, 78), "intset": (29, 38), "set": (20, 38)},
    "redis": {"hash": (40, 66), "zset": (80, 124), "intset": (24, 31), "set": (16, 26)},
}
_LONG_FIELD = 95
# What such a hash saves at least, of all that it takes.
_LEAST_SAVED = 0.1
_TABLES = frozenset({"hashtable", "skiplist"})
# A member that takes more than this is too long for a compact encoding, whatever their number.
_LONG_MEMBER = 250
# More members than this many times the limit are not "just over" it: packed, they would cost too much CPU.
_JUST_OVER = 3.0
# Client libraries add a header and often base64; and what was read of a value may pack better than its rest.
_SPREAD = 0.12


@finding("encoding-limit")
def over_the_limit(case: Case) -> Iterator[Finding]:
    """Patterns of collections that a higher limit would keep in the compact encoding."""
    for row in case.leaves:
        sample = case.sample_of(row)
        if sample is None or sample.type not in _LIMITS or row.keys < 10:
            continue
        tables = sum(n for name, n in sample.encodings.items() if name in _TABLES) / sample.sampled_keys
        if tables >= 0.5:
            yield from _packed(case, row, sample, tables)


def _packed(case: Case, row: PatternRow, sample: PatternSample, tables: float) -> Iterator[Finding]:
    kind = "intset" if sample.type == "set" and (sample.integer_text_share or 0.0) > 0.9 else sample.type
    names, default = _LIMITS[kind]
    configured = next((case.settings[name] for name in names if name in case.settings), None)
    limit = int(configured) if configured is not None and configured.isdigit() else default
    if configured is None and kind == "set":
        return
    elements = sample.elements
    # By their size alone nobody knows how many there are: one long value makes a table of a hash with few fields.
    if not elements or not limit < elements <= _JUST_OVER * limit or sample.key_bytes > _LONG_MEMBER * elements:
        return
    each = _PACKED_SAVES.get(case.now.server.flavour, {}).get(kind)
    if kind == "hash" and case.now.server.flavour == "redis" and sample.key_bytes > _LONG_FIELD * elements:
        each = None
    saves = None if each is None else with_noise(*(int(row.keys * elements * tables * n * case.scale) for n in each))
    if case.matters(_LEAST_SAVED * row.size * tables * case.scale if saves is None else saves[0]):
        name = next((name for name in names if name in case.settings), names[0])
        wanted = int(elements * 1.25)
        yield Finding(
            id="encoding-limit",
            level=Level.OK,
            title=f"Keys in {case.named(row)} have about {elements:.0f} members, just above {name} {limit}",
            advice=f"Set {name} to {wanted} on the server: each key is re-encoded when it is next written or restored.",
            evidence=(case.seen_text(row), f"{percent(tables)} of the sampled ones are tables"),
            saves_bytes=saves,
            remedy=remedy_for(row, "hogs"),
            in_the_application=f"Or split each key so that a part holds fewer than {limit} members.",
        )


class _Packing(Struct, frozen=True):
    """A pattern whose values pack well: bytes saved, low and high, and the share of their size that stays."""

    row: PatternRow
    sample: PatternSample
    low: float
    high: float
    ratio: float


@finding("compressible")
def compressible(case: Case) -> Iterator[Finding]:
    """Large values that compress well, by a small sample of them; sister patterns together."""
    groups: dict[tuple[int | None, bytes], list[_Packing]] = defaultdict(list)
    for row in case.leaves:
        packing = _packing(case, row)
        if packing is not None:
            groups[row.db, row.parent or row.pattern].append(packing)
    known = {(row.db, row.pattern): row for row in case.patterns}
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
        title=f"Values in {name} compress to {percent(ratio)} of their size",
        advice="Compress them in the application: the server stores what it is given.",
        evidence=(
            f"{sum(one.sample.sampled_keys for one in group)} sampled{json}",
            f"{size(int(largest.value_bytes or 0))} on average, zlib to {percent(ratio)}{zstd}",
            f"{number_of_keys(keys)}, {size(known_bytes(held, keys))}",
        ),
        saves_bytes=(int(sum(one.low for one in group)), int(sum(one.high for one in group))),
        remedy=remedy_for(whole, "hogs"),
        in_the_application="Compress values over 512 bytes (zstd is faster than zlib at a similar size), and mark them:"
        " readers must know both forms while they change.",
    )
