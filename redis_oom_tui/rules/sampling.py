"""What a part says of the whole: estimates with intervals, histograms of times, figures of sampled keys.

SCAN goes in the order of the hash, so the keys seen are a fair sample of all keys. The error is taken from how groups
of pages differ. A few giant keys would break any such interval: they are taken out, counted as they are, and how many
of their kind may still be unseen is a Poisson question of its own.
"""

import contextlib
import json
import math
import re
import statistics
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from operator import add
from types import MappingProxyType

import msgspec
from msgspec import Struct

from redis_oom_tui.models.keys import PatternSample, SampledKey
from redis_oom_tui.models.scan import CURVE_SHARES, Interval

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
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return _names("<msgpack>", msgspec.msgpack.decode(value))
    if value.lstrip()[:1] in (b"{", b"["):
        try:
            return _names("<json>", json.loads(value))
        except (ValueError, RecursionError):
            first = _FIRST_NAME.match(value)
            if first is not None:
                return _names("<json>", {first[1].decode("utf-8", "replace"): {} if first[2] else None})
    return frozenset()


def _names(kind: str, held: object) -> frozenset[str]:
    if isinstance(held, dict):
        names = [name for name in held if isinstance(name, str)]
        return frozenset({kind, *names, *(f"{name}{{}}" for name in names if isinstance(held[name], dict))})
    return frozenset({kind} if isinstance(held, list) else ())


# Student's t for 95%, by degrees of freedom: the interval is over a handful of groups.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
# A key over this share of all that was seen is a giant.
_GIANT_SHARE = 1 / 64
_FEWEST_GROUPS = 4


class SampledShare(Struct, frozen=True, dict=True):
    """How much of the whole was seen: keys in each group of pages, and how many keys there are in all.

    `total_bytes` is what all of them cannot exceed (used_memory), where that is known.
    """

    keys: tuple[int, ...]
    total_keys: int
    total_bytes: int | None = None

    @cached_property
    def seen(self) -> int:
        """Keys seen."""
        return sum(self.keys)

    @cached_property
    def fraction(self) -> float:
        """The share of all keys that was seen, at most 1."""
        return min(1.0, self.seen / self.total_keys) if self.total_keys else 1.0


def counted(value: float) -> Interval:
    """What needs no estimate.

    >>> counted(5.0).low == counted(5.0).high
    True
    """
    return Interval(value, value, value)


def together(parts: Sequence[Interval | None], at_most: int | None) -> Interval | None:
    """The sum of `parts`, each with an error of its own; `at_most` is what it cannot exceed. None where one is unknown,
    and of no part.

    >>> together([counted(5), Interval(10, 8, 14)], 16)
    Interval(value=15, low=13, high=16)
    """
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    low = sum(part.low for part in known)
    bound = math.inf if at_most is None else max(low, at_most)
    return Interval(min(bound, sum(part.value for part in known)), low, min(bound, sum(part.high for part in known)))


def giants(sizes: Iterable[int], total: int) -> list[int]:
    """Those of `sizes` (largest first) that weigh too much to stand for others: each over 1/64 of all the rest.

    >>> giants([1000, 10, 9, 8], 1100)
    [1000, 10, 9, 8]
    >>> giants([50, 50], 100_000)
    []
    """
    found = []
    rest = total
    for size in sizes:
        if size <= (rest - size) * _GIANT_SHARE:
            break
        rest -= size
        found.append(size)
    return found


def extrapolated(
    amounts: Sequence[int], sample: SampledShare, huge: Sequence[int] = (), *, at_most: int | None = None
) -> Interval | None:
    """The whole of which `amounts` (one for each group, giants left out) were seen, with `huge` the giants seen.

    `at_most` is what the whole cannot exceed.
    None before enough pages were seen to tell how they differ. Exact once everything was seen.
    """
    seen = float(sum(amounts) + sum(huge))
    if sample.fraction >= 1.0:
        return counted(seen)
    groups = [(keys, amount) for keys, amount in zip(sample.keys, amounts, strict=True) if keys]
    if len(groups) < _FEWEST_GROUPS:
        return None
    fraction = sample.fraction
    ratio = sum(amounts) / sample.seen
    spread = sum((amount - ratio * keys) ** 2 for keys, amount in groups) * len(groups) / (len(groups) - 1)
    error = _T[min(len(groups) - 1, len(_T)) - 1] * math.sqrt(spread * (1 - fraction)) / fraction
    rest = ratio * sample.total_keys
    unseen_low, unseen, unseen_high = _unseen_giants(len(huge), fraction)
    each = sum(huge) / len(huge) if huge else 0.0
    bound = math.inf if at_most is None else max(seen, float(at_most))
    return Interval(
        value=min(bound, rest + sum(huge) + unseen * each),
        low=min(bound, max(seen, rest - error + sum(huge) + unseen_low * each)),
        high=min(bound, rest + error + sum(huge) + unseen_high * each),
    )


def _unseen_giants(count: int, fraction: float) -> tuple[float, float, float]:
    """How many more giants there may be, after `count` were found in `fraction` of the keys: low, likely, high.

    The largest is taken as the only one of its kind, so that one forgotten giant is not multiplied.
    """
    if not count:
        return 0.0, 0.0, 0.0
    odds = (1 - fraction) / fraction
    # Of a fixed number of giants, so many were met by chance: the error is the binomial's, 1/sqrt(1 - f) wider.
    wider = odds / math.sqrt(1 - fraction)
    low = count * odds + (_poisson_low(count) - count) * wider
    return max(0.0, low), (count - 1) * odds, count * odds + (_poisson_high(count) - count) * wider


def _poisson_low(count: int) -> float:
    """The lower end of a 95% interval for a Poisson mean (Wilson and Hilferty), 0 for a single event."""
    if count <= 1:
        return 0.0
    return float(count * (1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3)


def _poisson_high(count: int) -> float:
    more = count + 1
    return float(more * (1 - 1 / (9 * more) + 1.96 / (3 * math.sqrt(more))) ** 3)


# Four steps to each doubling, so that a quantile is right within a fifth.
_STEPS_A_DOUBLING = 4
STEPS = _STEPS_A_DOUBLING * 34
"""How long such a histogram is: 24 bits of seconds and some air."""

Curve = tuple[int, ...]


def step_of(value: int) -> int:
    """Where in a histogram a number of seconds, or a frequency, goes.

    >>> step_of(0), step_of(1), step_of(86400) - step_of(43200)
    (0, 4, 4)
    """
    if value <= 0:
        return 0
    octave = value.bit_length() - 1
    return min(STEPS - 1, _STEPS_A_DOUBLING * (octave + 1) + ((value << 2 >> octave) & 3))


def add_histograms(one: list[list[int]], other: list[list[int]]) -> list[list[int]]:
    """Histograms of both, place by place."""
    return [
        list(map(add, mine, theirs)) if mine and theirs else mine or theirs
        for mine, theirs in zip(one, other, strict=True)
    ]


def quantiles(histogram: Sequence[int]) -> tuple[int, int, int] | None:
    """p10, p50 and p90; None where nothing was counted."""
    found = _at(histogram, (0.1, 0.5, 0.9))
    return (found[0], found[1], found[2]) if found else None


def curve(histogram: Sequence[int]) -> Curve:
    """The values at `CURVE_SHARES`; empty where nothing was counted."""
    return _at(histogram, CURVE_SHARES)


def _at(histogram: Sequence[int], shares: Sequence[float]) -> Curve:
    total = sum(histogram)
    if not total:
        return ()
    found: list[int] = []
    running = 0
    wanted = list(shares)
    for step, keys in enumerate(histogram):
        running += keys
        while keys and wanted and running >= wanted[0] * total:
            found.append(_value(step))
            del wanted[0]
    return tuple(found)


def _value(step: int) -> int:
    octave, quarter = divmod(step, _STEPS_A_DOUBLING)
    return 0 if octave == 0 else (4 + quarter) << (octave - 1) >> 2


def falling(rising: Curve) -> Curve:
    """The curve of the same values with their signs turned: what was largest comes first."""
    return tuple(-value for value in reversed(rising))


def share_up_to(values: Curve, most: float) -> float:
    """The share of the keys whose value is at most `most`.

    >>> share_up_to((1,) * 5 + (9,) * 6, 5), share_up_to((1,) * 5 + (9,) * 6, 9)
    (0.375, 1.0)
    """
    place = bisect_right(values, most)
    if place in (0, len(values)):
        return 0.0 if place == 0 else 1.0
    low, high = values[place - 1], values[place]
    part = (most - low) / (high - low)
    return CURVE_SHARES[place - 1] + part * (CURVE_SHARES[place] - CURVE_SHARES[place - 1])


# Compressing less than this saves little and costs a header.
LARGE_BYTES = 512
_NUMBER = re.compile(rb"\s*[\"']?[+-]?\d{1,18}(?:\.0+)?[\"']?\s*")

Compress = Callable[[bytes], bytes]


def were_read(samples: Sequence[PatternSample]) -> bool | None:
    """Whether values were looked into, which needs CLIENT NO-TOUCH; None where there were none to look into."""
    texts = [sample for sample in samples if sample.type == "string"]
    return any(sample.value_bytes is not None for sample in texts) if texts else None


def summarize(pattern: bytes, kind: str, keys: Sequence[SampledKey], *, db: int = 0) -> PatternSample:
    """The figures of one pattern in database `db`; `kind` is its type. At least one key is needed."""
    sizes = [key.size for key in keys if key.size is not None]
    lengths = [key.length for key in keys if key.length is not None]
    is_string = kind == "string"
    heads = [key for key in keys if key.head is not None]
    large = [key for key in heads if is_string and (key.length or 0) >= LARGE_BYTES]
    return PatternSample(
        pattern=pattern,
        type=kind,
        sampled_keys=len(keys),
        key_bytes=statistics.fmean(sizes) if sizes else 0.0,
        name_bytes=statistics.fmean(len(key.name) for key in keys),
        value_bytes=statistics.fmean(lengths) if lengths and is_string else None,
        longest_value=max(lengths) if lengths and is_string else None,
        zlib_ratios=_ratios(large, zlib.compress),
        zstd_ratios=_ratios(large, _zstd()),
        large_share=_share_of_bytes(large, heads) if is_string else None,
        json_share=_share(heads, _is_json) if is_string else None,
        integer_text_share=_share(heads, _is_number_as_text),
        elements=statistics.fmean(lengths) if lengths and not is_string else None,
        encodings=MappingProxyType(dict(Counter(key.encoding for key in keys if key.encoding))),
        db=db,
        fields=_fields_of_all(heads if is_string else keys),
    )


def _fields_of_all(keys: Sequence[SampledKey]) -> frozenset[str]:
    of_keys = [key.fields | fields_of(key.head or b"") for key in keys]
    return frozenset.intersection(*of_keys) if of_keys else frozenset()


def _share(keys: Sequence[SampledKey], holds: Callable[[SampledKey], bool]) -> float | None:
    return sum(map(holds, keys)) / len(keys) if keys else None


def _share_of_bytes(some: Sequence[SampledKey], keys: Sequence[SampledKey]) -> float | None:
    whole = sum(key.length or 0 for key in keys)
    return sum(key.length or 0 for key in some) / whole if whole else None


def _ratios(keys: Sequence[SampledKey], compress: Compress | None) -> tuple[float, float, float] | None:
    """Lowest, mean and highest of the compressed over the plain size, by what was read of each value."""
    heads = [key.head for key in keys if key.head]
    if not heads or compress is None:
        return None
    ratios = sorted(len(compress(head)) / len(head) for head in heads)
    weighed = sum(len(compress(head)) for head in heads) / sum(map(len, heads))
    return ratios[len(ratios) // 10], weighed, ratios[-1 - len(ratios) // 10]


def _zstd() -> Compress | None:
    """zstd at its default level where this Python has it: its own from 3.14 on, or the zstandard package."""
    for name in ("compression.zstd", "zstandard"):
        package = name.split(".", maxsplit=1)[0]
        if find_spec(package) is not None and find_spec(name) is not None:
            compress: Compress = import_module(name).compress
            return compress
    return None


def _is_json(key: SampledKey) -> bool:
    head = (key.head or b"").strip()
    if head[:1] not in (b"{", b"["):
        return False
    if key.length != len(key.head or b""):
        return b'"' in head[:64]
    try:
        json.loads(head)
    except ValueError:
        return False
    return True


def _is_number_as_text(key: SampledKey) -> bool:
    """A whole number, in other clothes (zeros, quotes, `.0`) or in a table of text, that is not stored as a number."""
    return key.encoding not in ("int", "intset") and _NUMBER.fullmatch(key.head or b"") is not None
