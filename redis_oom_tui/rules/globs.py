"""Redis's own globs, matched here: several patterns at once, of which SCAN takes only one."""

import functools
import re


@functools.lru_cache(maxsize=256)
def compiled(pattern: bytes) -> re.Pattern[bytes]:
    r"""`pattern` as Redis reads it (util.c, stringmatchlen), for `fullmatch`; linear in the length of a name.

    >>> [bool(compiled(b"u[a-c]?\\*").fullmatch(name)) for name in (b"ub1*", b"ud1*", b"ub12")]
    [True, False, False]
    >>> bool(compiled(b"[red]*").fullmatch(b"evening")), bool(compiled(b"*a*b").fullmatch(b"xaxbb"))
    (True, True)
    """
    pieces: list[bytes] = [b""]
    position = 0
    while position < len(pattern):
        char = pattern[position : position + 1]
        if char == b"*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append(b"")
            position += 1
        elif char == b"[":
            piece, position = _class(pattern, position + 1)
            pieces[-1] += piece
        else:
            if char == b"\\" and position + 1 < len(pattern):
                position += 1
                char = pattern[position : position + 1]
                pieces[-1] += re.escape(char)
            else:
                pieces[-1] += b"." if char == b"?" else re.escape(char)
            position += 1
    # The server matches the empty name with * alone: its loop over the pattern never begins for any other.
    begin = b"" if pattern in (b"", b"*") else b"(?=.)"
    return re.compile(begin + _joined(pieces), re.DOTALL)


def _joined(pieces: list[bytes]) -> bytes:
    """The pieces between stars as one expression that never looks back past a star it has settled."""
    if len(pieces) == 1:
        return pieces[0]
    middle = b"".join(b"(?>.*?" + piece + b")" for piece in pieces[1:-1])
    return pieces[0] + middle + b".*" + pieces[-1]


def _class(pattern: bytes, position: int) -> tuple[bytes, int]:
    """A bracket class, from behind its `[`: its expression, and where the pattern goes on (its end, if unclosed)."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    allowed: set[int] = set()
    while position < len(pattern) and pattern[position] != ord("]"):
        if pattern[position] == ord("\\") and position + 1 < len(pattern):
            allowed.add(pattern[position + 1])
            position += 2
        elif position + 2 < len(pattern) and pattern[position + 1] == ord("-"):
            low, high = sorted(map(_signed, (pattern[position], pattern[position + 2])))
            allowed.update(byte % 256 for byte in range(low, high + 1))
            position += 3
        else:
            allowed.add(pattern[position])
            position += 1
    if not allowed:
        return (b"." if negated else b"(?!)"), position + 1
    members = b"".join(b"\\x%02x" % byte for byte in sorted(allowed))
    return b"[" + (b"^" if negated else b"") + members + b"]", position + 1


def _signed(byte: int) -> int:
    """As the server's `char` has it on x86, where a range up to \\xff runs down instead; ARM alone differs."""
    return byte - 256 if byte > 127 else byte
