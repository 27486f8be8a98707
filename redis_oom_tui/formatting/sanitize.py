"""Names are bytes from strangers: the one way from bytes to something that may be shown.

What comes out has no control character, takes one terminal cell per character (two for wide letters) on every terminal
tried, and has a bounded width; whoever draws it must not parse it as markup. What decides (a confirmation, an audit
line) shows `escape_exact` instead, in which two look-alike names differ.
"""

import base64
import functools
import os
import re
import traceback
import unicodedata
from collections.abc import Sequence

from redis_oom_tui import __version__
from redis_oom_tui.models.errors import BadInput

# Printable by Unicode's book, but drawn with another width than counted, or as nothing at all, by real terminals.
# Hangul's vowels and finals (0x1160 to 0x11FF, 0xD7B0 to 0xD7FF) join the letter before them and take no cell.
_MISDRAWN = frozenset(
    {
        *(0x115F, 0x2800, 0x3164, 0xFFA0),
        *range(0x1160, 0x1200),
        *range(0xD7B0, 0xD800),
        *range(0xFE00, 0xFE10),
        *range(0x1F3FB, 0x1F400),
        *range(0x1F1E6, 0x1F200),
        # Narrow until Unicode 15, wide since 16: terminals are of both minds.
        *range(0x2630, 0x2638),
        *range(0x268A, 0x2690),
        *range(0x4DC0, 0x4E00),
        *range(0x1D300, 0x1D357),
        *range(0x1D360, 0x1D377),
    }
)
_ISSUES = "https://github.com/redis-oom-tui/redis-oom-tui/issues"
_URL_PASSWORD = re.compile(r"(?<=://)\S*(?=@)")
# A value as Python's errors quote it, up to where a long one is cut; no apostrophe within a word begins one.
_QUOTED = re.compile(r"""(?<!\w)b?(['"])(?:\\.|(?!\1).)*(?:\1|\Z)""", re.DOTALL)
# What these quote are names in code.
_QUOTING_CODE = (AttributeError, ImportError, NameError, TypeError)
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_GLOB_SPECIAL = b"*?[]\\"
_GLOB_PIECE = re.compile(r"\\x.{0,2}|\\.|[^\\]+|\\", re.DOTALL)


def safe_text(raw: bytes | str, width: int | None = None) -> str:
    r"""`raw` as harmless text, cut in the middle with `…` to at most `width` cells.

    >>> safe_text(b"user:1")
    'user:1'
    >>> safe_text(b"\x1b]0;x\x07[red]\xff")
    '\\x1b]0;x\\x07[red]\\xff'
    >>> safe_text("caf\u00e9 \u202e")
    'café \\u202e'
    >>> safe_text(b"\x80"), safe_text(b"\xc2\x80")
    ('\\x80', '\\xc2\\x80')
    >>> safe_text(b"abcdefghij", 5)
    'ab…ij'
    """
    if isinstance(raw, bytes):
        if raw.isascii() and (width is None or len(raw) <= width):
            text = raw.decode("ascii")
            if text.isprintable():
                return text
        # A name may be 512 MB long: beyond what could be shown, only its ends matter.
        bound = 4096 if width is None else max(64, 8 * width)
        if len(raw) > 2 * bound:
            raw = raw[:bound] + "…".encode() + raw[-bound:]
        raw = raw.decode("utf-8", "surrogateescape")
    text = "".join(map(_harmless, raw))
    return text if width is None else cut(text, width)


def key_text(raw: bytes, width: int | None = None) -> str:
    r"""`safe_text` of a key's name with its backslashes doubled, as `--key` reads them: no name looks like another's.

    >>> key_text(rb"\x41"), key_text(b"\x01")
    ('\\\\x41', '\\x01')
    """
    return safe_text(raw.replace(b"\\", b"\\\\"), width)


def escape_exact(raw: bytes) -> str:
    r"""The exact bytes, as printable ASCII with everything else (and the backslash) escaped.

    >>> escape_exact(b"a\\b\xc3\xa9")
    'a\\\\b\\xc3\\xa9'
    """
    if raw.isascii() and b"\\" not in raw:
        text = raw.decode("ascii")
        if text.isprintable():
            return text
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else "\\\\" if b == 92 else f"\\x{b:02x}" for b in raw)


def reads_otherwise(raw: bytes) -> bool:
    r"""Whether some of the name can be read where its exact bytes are escaped.

    >>> reads_otherwise("caf\u00e9".encode()), reads_otherwise(b"a\xff"), reads_otherwise(b"a")
    (True, False, False)
    """
    return not raw.isascii() and not safe_text(raw).isascii()


def escape_all(names: Sequence[bytes]) -> list[str]:
    r"""`escape_exact` of each, for many: one look at all of them tells whether any needs it, which is rare.

    >>> escape_all([b"a:1", b"b"]), escape_all([b"a", b"\n"])
    (['a:1', 'b'], ['a', '\\x0a'])
    """
    together = b"".join(names)
    if together.isascii() and b"\\" not in together and together.decode("ascii").isprintable():
        return [name.decode("ascii") for name in names]
    return [escape_exact(name) for name in names]


def unescape_exact(text: str) -> bytes:
    r"""The bytes that `escape_exact` wrote; also what a person may type for a pattern with odd bytes in it.

    >>> unescape_exact("a\\\\b\\xc3")
    b'a\\b\xc3'
    """
    if "\\" not in text:
        return text.encode("utf-8", "surrogateescape")
    out = bytearray()
    position = 0
    while position < len(text):
        char = text[position]
        if char != "\\":
            out += char.encode("utf-8", "surrogateescape")
            position += 1
        elif text[position : position + 2] == "\\\\":
            out.append(92)
            position += 2
        elif text[position + 1 : position + 2] == "x" and len(text) >= position + 4:
            try:
                out.append(int(text[position + 2 : position + 4], 16))
            except ValueError:
                raise BadInput(f"{text!r} has a \\x without two hex digits behind it") from None
            position += 4
        else:
            raise BadInput(f"{text!r} has a lone backslash: write \\\\ for one, or \\xNN for a byte")
    return bytes(out)


def from_glob(text: str) -> bytes:
    r"""A glob as typed: `\xNN` is a byte, any other backslash is the glob's own.

    >>> from_glob("a\\*\\xff"), from_glob("a\\\\x41")
    (b'a\\*\xff', b'a\\\\x41')
    """
    out = b""
    for piece in _GLOB_PIECE.findall(text):
        out += unescape_exact(piece) if piece.startswith("\\x") else piece.encode("utf-8", "surrogateescape")
    return out


def glob_text(glob: bytes) -> str:
    r"""A glob in printable ASCII, for `from_glob` and the options that take a glob.

    >>> glob_text(b"v\\*:\xff*")
    'v\\*:\\xff*'
    """
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in glob)


def key_fields(raw: bytes) -> tuple[str, str | None]:
    """A key for JSON and CSV: its printable form, and its exact bytes in base64 where that form is not them.

    >>> key_fields(b"a"), key_fields(bytes([255]))
    (('a', None), ('\\\\xff', '/w=='))
    """
    text = safe_text(raw)
    faithful = text.encode("utf-8", "surrogateescape") == raw
    return text, None if faithful else base64.b64encode(raw).decode("ascii")


def escape_glob(raw: bytes) -> bytes:
    r"""A pattern that matches exactly `raw` (util.c, stringmatchlen: only these five are special outside brackets).

    >>> escape_glob(b"[red]*")
    b'\\[red\\]\\*'
    """
    if not any(char in raw for char in _GLOB_SPECIAL):
        return raw
    return b"".join(b"\\" + bytes((char,)) if char in _GLOB_SPECIAL else bytes((char,)) for char in raw)


def cells(text: str) -> int:
    """How many terminal cells `text`, made by `safe_text`, takes."""
    return len(text) if text.isascii() else sum(_width(char) for char in text)


def cut(text: str, width: int) -> str:
    r"""`text` in at most `width` cells, its middle given up for a `…`: both ends of a key tell something.

    An escape stays whole or goes: half of one would look like letters of the name.

    >>> cut("session:abcdef", 9), cut("ab", 9), cut("ab", 0), cut(r"caf\u0301:long:\xffz", 10)
    ('sess…cdef', 'ab', '', 'caf…z')
    """
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 2
    start, end = len(_start(text, width - 1 - tail)), len(text) - len(_start(text[::-1], tail))
    if "\\" in text:
        for escape in _ESCAPE.finditer(text):
            if escape.start() < start < escape.end():
                start = escape.start()
            if escape.start() < end < escape.end():
                end = escape.end()
    return f"{text[:start]}…{text[end:]}"


def _start(text: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(text):
        taken += _width(char)
        if taken > width:
            return text[:index]
    return text


@functools.lru_cache(maxsize=4096)
def _width(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@functools.lru_cache(maxsize=4096)
def _harmless(char: str) -> str:
    code = ord(char)
    if 32 <= code < 127:
        return char
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape carries it
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() and not unicodedata.category(char).startswith("M") and code not in _MISDRAWN:
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    if code < 0x100:
        # By its bytes: one byte alone is another name, and is shown by one.
        return "".join(f"\\x{byte:02x}" for byte in char.encode())
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def crash_report(error: BaseException) -> str:
    """What is told of a defect: where, what, in which versions; no values of variables, which may be secrets."""
    return "\n".join(
        (
            "redis-oom-tui crashed (a bug in it). No further commands were sent.",
            f"Please report these lines at {_ISSUES}",
            *defect_lines(error),
            _versions(),
        )
    )


def defect_lines(error: BaseException) -> list[str]:
    """Where it happened, the innermost frame last but one, and what it was, without the values that it quotes."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    message = _URL_PASSWORD.sub("***", str(error))
    if not isinstance(error, _QUOTING_CODE):
        message = _QUOTED.sub("***", message)
    return [
        *(f"  {safe_text(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames),
        f"{type(error).__name__}: {safe_text(message, 300)}",
    ]


def _versions() -> str:
    """This tool's version, and those of what a defect may depend on."""
    # Heavy, and needed by nobody else.
    import platform  # noqa: PLC0415
    from importlib import metadata  # noqa: PLC0415

    # The bundle does not know the versions of all that it holds.
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    packages = (f"{name} {installed[name]}" for name in ("redis", "hiredis", "textual") if name in installed)
    term = safe_text(os.environ.get("TERM", "none"), 40)
    python = f"Python {platform.python_version()}"
    return ", ".join((f"redis-oom-tui {__version__}", python, *packages, platform.platform(), f"TERM {term}"))
