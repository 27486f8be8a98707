"""Commands as they go over the wire: packed by hiredis, and each behind ASKING where that is needed.

Only questions about many keys are packed faster by hand (`scan.packing`).
"""

from collections.abc import Sequence

import hiredis

ASKING = b"ASKING"

_PACKED = b"*1\r\n$6\r\nASKING\r\n"


def packed(words: Sequence[bytes]) -> bytes:
    """One command.

    >>> packed([b"PING"])
    b'*1\\r\\n$4\\r\\nPING\\r\\n'
    """
    return bytes(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]


def asking(buffer: bytes) -> bytes:
    """`buffer`, commands as they go over the wire, with ASKING in front of each: it holds for one command only.

    >>> asking(b"*2\\r\\n$4\\r\\nTYPE\\r\\n$2\\r\\n*1\\r\\n*1\\r\\n$4\\r\\nPING\\r\\n").split(b"ASKING")[1:]
    [b'\\r\\n*2\\r\\n$4\\r\\nTYPE\\r\\n$2\\r\\n*1\\r\\n*1\\r\\n$6\\r\\n', b'\\r\\n*1\\r\\n$4\\r\\nPING\\r\\n']
    """
    parts = []
    start = 0
    while start < len(buffer):
        end = _behind_command(buffer, start)
        parts += [_PACKED, buffer[start:end]]
        start = end
    return b"".join(parts)


def _behind_command(buffer: bytes, start: int) -> int:
    """Where the command that begins at `start` ends. Words may hold anything, so their lengths are followed."""
    words, at = _number(buffer, start)
    for _ in range(words):
        length, at = _number(buffer, at)
        at += length + 2
    return at


def _number(buffer: bytes, start: int) -> tuple[int, int]:
    """The number in the line at `start`, behind its mark, and where the next line begins."""
    end = buffer.index(b"\r\n", start)
    return int(buffer[start + 1 : end]), end + 2
