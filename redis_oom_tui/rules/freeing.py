"""What UNLINK frees in one go, in which the server serves nobody else, and what it leaves to its background thread.

A server leaves a value to the background thread when it counts more than 64 allocations in it (lazyfree.c): table
entries of a hash, set or zset, nodes of a list; of a stream its nodes, and its groups times the pending entries of the
first. Measured on Redis 6.2 and 7.0 and Valkey 9.1, as the time that UNLINK itself took (milliseconds):

| Value | 6.2 | 7.0 | 9.1 |
|---|---|---|---|
| hash of 5M fields, set of 5M, zset of 2M, list of 5M, stream of 2M | 0.01-4 | 0.01-3 | 0.01-0.06 |
| string of 500 MB | 31-39 | 45-51 | 30-38 |
| list, or hash, of 60 elements of 10 MB | 38 | 52-82 | 45-55 |
| trimmed stream, 1M entries pending in its second group | 305 | 208 | 251 |
| stream with 300k consumers | 68 | 99 | 142 |

So the only value that a server is long about for its size is a stream that is light in entries and heavy in groups, and
`scripts.DELETE` has it counted as the heavy thing it is: then UNLINK takes 1-4 ms. What is left is in proportion to its
bytes, and a string cannot be made shorter. What modules do is not known.
"""

from collections.abc import Iterable

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import number_of_keys, size
from redis_oom_tui.models.plan import PlannedKey

_OWN_TYPES = frozenset({"string", "list", "set", "zset", "hash", "stream"})
_LARGE_STRING = 256 * 1024 * 1024
_LARGE_MODULE = 1024 * 1024
_SECONDS_A_BYTE = 1e-10


def flags(keys: Iterable[PlannedKey]) -> tuple[str, ...]:
    """Sentences for the keys of a plan whose deletion holds the server up, as far as types and sizes tell.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> flags([PlannedKey(KeyId(0, b"k"), "string", 500_000_000), PlannedKey(KeyId(0, b"l"), "hash", 500_000_000)])
    ('1 key is a string of 476.8 MiB: its memory is freed in one go, about 50 ms in which nobody else is served.',)
    """
    listed = [key for key in keys if (key.size or 0) >= _LARGE_MODULE]
    strings = [key.size or 0 for key in listed if key.type == "string" and (key.size or 0) >= _LARGE_STRING]
    modules = [key for key in listed if key.type not in _OWN_TYPES]
    found = []
    if strings:
        takes = f"about {max(strings) * _SECONDS_A_BYTE * 1000:.0f} ms in which nobody else is served."
        if len(strings) == 1:
            found.append(f"1 key is a string of {size(strings[0])}: its memory is freed in one go, {takes}")
        else:
            found.append(
                f"{number_of_keys(len(strings))} are strings of up to {size(max(strings))}: the memory of each is freed"
                f" in one go, {takes}"
            )
    if modules:
        largest = max(modules, key=lambda key: key.size or 0)
        found.append(
            f"{number_of_keys(len(modules))} belong to a module (the largest, {size(largest.size)}, is of type"
            f" {safe_text(largest.type, 40)}): whether it frees them in the background is not known."
        )
    return tuple(found)
