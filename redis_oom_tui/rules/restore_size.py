"""What keys take in memory when they are restored: their sizes, and the tables that name them.

Measured with 50,000 keys of each kind on Redis 6.2, 7.0, 8.2 and Valkey 9.1, MEMORY USAGE before against used_memory
after: strings took 12 to 30 bytes a key more than their sizes, of which the table is about 10; with a TTL 26 to 61;
small hashes and lists 9 to 35; collections in tables of their own up to 11 % more (7.0, 8.2: RESTORE makes a table for
all elements at once).
"""

# A slot of a table, and the old table beside the new one while a server moves from one to the other.
_SLOT_BYTES = 8
# Tables this small are there anyway.
_SMALL_TABLE = 1024
_STRING_MORE, _OTHER_MORE, _TTL_MORE = 16, 24, 24
_TABLE_FROM, _TABLE_SHARE = 4096, 8


def restored_size(kind: str, size: int, *, expires: bool) -> int:
    """Bytes that a key of `kind` takes that measured `size` before, without its place in the tables of its database.

    >>> restored_size("string", 100, expires=False), restored_size("hash", 8000, expires=True)
    (116, 9048)
    """
    more = _STRING_MORE if kind == "string" else _OTHER_MORE
    if kind != "string" and size > _TABLE_FROM:
        more += size // _TABLE_SHARE
    return size + more + (_TTL_MORE if expires else 0)


def table_growth(before: int, more: int) -> int:
    """Bytes by which a table of `before` keys grows when so many more come, its old half included.

    >>> table_growth(0, 100), table_growth(0, 50_000), table_growth(60_000, 100), table_growth(65_000, 1_000)
    (0, 786432, 0, 1048576)
    """
    had, has = _slots(before), _slots(before + more)
    return 0 if has <= had or has <= _SMALL_TABLE else _SLOT_BYTES * (has - had) + _SLOT_BYTES * has // 2


def _slots(keys: int) -> int:
    return 1 << max(2, (keys - 1).bit_length()) if keys else 0
