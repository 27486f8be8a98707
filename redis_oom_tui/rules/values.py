"""A family's sampled keys, boiled down to the few figures that findings go by."""

import json
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

from redis_oom_tui.models.values import FamilySample, SampledKey

# Compressing less than this saves little and costs a header.
LARGE_BYTES = 512
_NUMBER = re.compile(rb"\s*[\"']?[+-]?\d{1,18}(?:\.0+)?[\"']?\s*")

Compress = Callable[[bytes], bytes]


def were_read(samples: Sequence[FamilySample]) -> bool | None:
    """Whether values were looked into, which needs CLIENT NO-TOUCH; None where there were none to look into."""
    texts = [sample for sample in samples if sample.type == "string"]
    return any(sample.value_bytes is not None for sample in texts) if texts else None


def summarize(pattern: bytes, kind: str, keys: Sequence[SampledKey], *, db: int = 0) -> FamilySample:
    """The figures of one family in database `db`; `kind` is its type. At least one key is needed."""
    sizes = [key.size for key in keys if key.size is not None]
    lengths = [key.length for key in keys if key.length is not None]
    is_string = kind == "string"
    heads = [key for key in keys if key.head is not None]
    large = [key for key in heads if is_string and (key.length or 0) >= LARGE_BYTES]
    return FamilySample(
        pattern=pattern,
        type=kind,
        sampled_keys=len(keys),
        key_bytes=statistics.fmean(sizes) if sizes else 0.0,
        name_bytes=statistics.fmean(len(key.name) for key in keys),
        value_bytes=statistics.fmean(lengths) if lengths and is_string else None,
        longest_value=max(lengths) if lengths and is_string else None,
        zlib_ratios=_ratios(large, _zlib),
        zstd_ratios=_ratios(large, _zstd()),
        large_share=_share_of_bytes(large, heads) if is_string else None,
        json_share=_share(heads, _is_json) if is_string else None,
        integer_text_share=_share(heads, _is_number_as_text),
        elements=statistics.fmean(lengths) if lengths and not is_string else None,
        encodings=MappingProxyType(dict(Counter(key.encoding for key in keys if key.encoding))),
        db=db,
    )


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


def _zlib(data: bytes) -> bytes:
    return zlib.compress(data, 6)


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
