"""Names as nobody would want them, by the hundred thousand and the same in every run."""

import random
import unicodedata
from collections.abc import Iterator

TRAPS = [
    b"\x1b]0;owned\x07", b"\x1b[2J", b"\x9b31m", b"\xc2\x9b31m", b"\x00", b"\x7f", b"[/red]", b"[@click=app.quit]x[/]",
    b"[link=http://x]", b"\xff\xfe", b"\xed\xa0\x80", b"\t", b"\r\n", b"\\x41", b"",
    *(text.encode() for text in (
        "\u202e", "\u2066", "\u200b", "\ufe0f", "\U0001f44d\U0001f3fd", "e\u0301", "\u3164", "\u0915\u094d", "猫",
        "\U0001f468\u200d\U0001f469", "\U000e0041", "\u0600", "\u00ad", "ﷺ",
    )),
]  # fmt: skip


_MARKUP = ("[bold]", "[/]", "[", "]", "[@click=app.quit]", "[link=http://x]", "`", "**", "<b>", "|", "{x}", "%s")
_LARGE = 100 * 1024


def names(count: int, seed: int = 7) -> Iterator[bytes]:
    """So many names: raw bytes, letters from all of Unicode, escape sequences, markup, pairs of known traps, and one in
    five thousand that is 100 KB long.
    """
    source = random.Random(seed)
    for number in range(count):
        if number % 5000 == 4999:
            yield (source.choice(TRAPS) + source.randbytes(64)) * (_LARGE // 64)
            continue
        kind = source.random()
        if kind < 0.25:
            yield source.randbytes(source.randrange(12))
        elif kind < 0.5:
            points = (
                source.choice((source.randrange(0x20, 0x3000), source.randrange(0x3000, 0x20000))) for _ in range(5)
            )
            yield "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000).encode()
        elif kind < 0.6:
            yield b"\x1b" + source.choice(b"[]PX^_()#cN").to_bytes(1, "big") + source.randbytes(5)
        elif kind < 0.7:
            yield "".join(source.choice(_MARKUP) for _ in range(4)).encode()
        else:
            yield b"k:" + source.choice(TRAPS) + b":" + source.choice(TRAPS)


def harmless(text: str) -> bool:
    """Whether a terminal does nothing but show it."""
    return text.isprintable() and not any(
        unicodedata.category(char) in ("Cf", "Cc", "Mn", "Me", "Zl", "Zp") for char in text
    )
