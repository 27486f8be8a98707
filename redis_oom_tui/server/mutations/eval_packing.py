"""EVAL as it goes over the wire, packed by hand: redis-py's own packing costs more than the server's whole check."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server.mutations.scripts import NOT_SAVED, WANTS

_FIRST_TYPE = 3


class Check(NamedTuple):
    """A key and how it must look for anything to be done to it."""

    id: KeyId
    expected: Expected


Due = tuple[int, ...]
"""What a script wants of a key besides: when it is due, in Unix milliseconds, or how much of it may be copied."""


def packed(script: bytes, checks: Sequence[Check], dues: Sequence[Due] = ()) -> bytes:
    """One EVAL of `script` with `checks`, and with `dues` where the script wants them.

    >>> packed(b"return 1", [Check(KeyId(0, b"k"), Expected("set", -1, -1, 9, 9))])[:45]
    b'*7\\r\\n$4\\r\\nEVAL\\r\\n$8\\r\\nreturn 1\\r\\n$1\\r\\n1\\r\\n$1\\r\\nk\\r\\n$34'
    """
    wanted = [check.expected for check in checks]
    kinds, *facts, told = zip(*wanted, strict=True)
    types = list(dict.fromkeys(kinds))
    number = {kind: at for at, kind in enumerate(types, _FIRST_TYPE)}
    records = list(map(WANTS.pack, map(number.__getitem__, kinds), *facts))
    if dues:
        more = struct.Struct(f"<{len(dues[0])}d")
        records = [record + more.pack(*due) for record, due in zip(records, dues, strict=True)]
    digests = "".join([digest or NOT_SAVED for digest in told]).encode("ascii") if any(told) else b""
    names = [check.id.key for check in checks]
    words = [b"EVAL", script, b"%d" % len(checks), *names]
    words += [b"".join(records), digests, *[kind.encode("ascii", "replace") for kind in types]]
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
