"""What sampled keys of a pattern hold: their figures, formats and names of fields, and how far values would shrink."""

import contextlib
import json
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

import msgspec

from redis_oom_tui.models.keys import PatternSample, SampledKey

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
