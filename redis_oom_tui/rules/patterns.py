"""Which parts of a key's name vary (numbers, dates, UUIDs, hashes, tokens), and the pattern that a name belongs to."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar, cast

from msgspec import Struct

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_glob

# A name that has this byte anyway gets a `*` there, which still matches.
VARIABLE = pattern_text.VARIABLE
# Beyond these a name tells nothing more about its pattern, and one odd key must not cost megabytes.
LONGEST_PART = 64
DEEPEST = 8
LONGEST_NAME = 512

_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_HEX_TO_ZERO = bytes.maketrans(b"123456789abcdef", b"000000000000000")
_JOINS = b"-._/"
_LOWER_HEX = b"0123456789abcdef-"
_HEX = _LOWER_HEX + b"ABCDEF"
_NO_DIGITS = bytes(char for char in range(256) if not 48 <= char <= 57)
_UUID_LENGTH = 36
_KNOWN_WORDS = 4096
_TOKEN_SPECIALS = b"+/_-"


def shape(name: bytes) -> bytes:
    """`name` with every digit as 0: names of one shape nearly always belong to one pattern, and a dict finds it.

    >>> shape(b"user:42:cart")
    b'user:00:cart'
    """
    return name.translate(_DIGITS_TO_ZERO)


def shapes(names: list[bytes]) -> list[bytes]:
    """`shape` of each, in one pass over all of them: a fifth of the time."""
    return _translated(names, _DIGITS_TO_ZERO)


def hex_shapes(shapes: list[bytes]) -> list[bytes]:
    """Each with its small hex letters as 0 too: names with a hash of one length at one place have the same.

    >>> hex_shapes([b"session:0f0d00b0", b"session:d00000c0"])
    [b's0ssion:00000000', b's0ssion:00000000']
    """
    return _translated(shapes, _HEX_TO_ZERO)


def _translated(names: list[bytes], table: bytes) -> list[bytes]:
    found = b"\n".join(names).translate(table).split(b"\n")
    return found if len(found) == len(names) else [name.translate(table) for name in names]


def settled(normal: bytes) -> bool:
    """Whether all names of the same shape share this pattern: not where a digit was left standing, as in `v2`.

    >>> settled(b"api:v2:x"), settled(b"user:\\0")
    (False, True)
    """
    return normal.translate(_DIGITS_TO_ZERO).find(b"0") < 0


class Normaliser:
    r"""Finds the variable parts of names, and puts `VARIABLE` for them.

    >>> Normaliser().names([b"user:42:cart", b"log:2024-01-31", b"api:v2:item7"])
    [b'user:\x00:cart', b'log:\x00', b'api:v2:item\x00']
    """

    def __init__(self, delimiters: bytes = b":") -> None:
        self.delimiters = delimiters
        # Where one delimiter stands alone between parts, a part can be judged by itself, and known words at once.
        self._single = delimiters if len(delimiters) == 1 and delimiters in b":/.|#@,;" else None
        self._words: dict[bytes, bytes] = {}

    def names(self, names: Sequence[bytes]) -> list[bytes]:
        """Each of `names`, normalised."""
        return [self.name(name) for name in names]

    def name(self, name: bytes) -> bytes:
        """`name`, normalised."""
        if len(name) > LONGEST_NAME:
            # The search takes the square of a name's length: on 100 KB of dashes, six seconds.
            return self.name(name[: LONGEST_NAME - 1]) + VARIABLE
        if self._single is None:
            return _variable(self.delimiters).sub(VARIABLE, name)
        words = self._words
        found = []
        for part in name.split(self._single):
            known = words.get(part)
            found.append(self._part(part) if known is None else known)
        return self._single.join(found)

    def token(self, name: bytes) -> tuple[int, int] | None:
        """Where in `name` its one hash or UUID in small letters stands, its end excluded; None for none or several.

        >>> Normaliser().token(b"session:9f86d081:cart")
        (8, 16)
        """
        if self._single is None or len(name) > LONGEST_NAME:
            return None
        found = []
        start = 0
        for part in name.split(self._single):
            if not part.translate(None, _LOWER_HEX) and not part.isdigit() and _is_token(part):
                found.append((start, start + len(part)))
            start += len(part) + 1
        return found[0] if len(found) == 1 else None

    def _part(self, part: bytes) -> bytes:
        """One part that is no known word. What random tokens look like is told by what is left without hex digits."""
        if part.isdigit():
            return VARIABLE
        if len(part) < _UUID_LENGTH and not part.translate(None, _NO_DIGITS):
            # Everything that varies has a digit in it, but for a UUID of letters alone.
            if len(self._words) < _KNOWN_WORDS:
                self._words[part] = part
            return part
        if not part.translate(None, _HEX) and _is_token(part):
            return VARIABLE
        normal = _variable(self.delimiters).sub(VARIABLE, part)
        if normal != VARIABLE:
            if len(self._words) >= _KNOWN_WORDS:
                self._words.clear()
            self._words[part] = normal
        return normal


def _is_token(part: bytes) -> bool:
    if len(part) == _UUID_LENGTH:
        return part[8] == part[13] == part[18] == part[23] == 45 and part.count(b"-") == 4
    if len(part) < 8 or b"-" in part or part.isalpha():
        return False
    return part.islower() or part.isupper()


def parts(normal: bytes, delimiters: bytes = b":") -> list[bytes]:
    r"""A normalised name in its parts, each with the delimiter that ends it; bounded in number and length.

    >>> parts(b"user:\0:cart")
    [b'user:', b'\x00:', b'cart']
    """
    found: list[bytes] = _splitter(delimiters).findall(normal[:LONGEST_NAME]) or [b""]
    if len(normal) > LONGEST_NAME or len(found) > DEEPEST:
        found = [*found[: DEEPEST - 1], VARIABLE]
    return [wild(part, delimiters) if len(part) > LONGEST_PART else part for part in found]


def shown(normal: bytes) -> bytes:
    r"""A normalised name as people write it.

    >>> shown(b"user:\0:cart")
    b'user:*:cart'
    """
    return normal.replace(VARIABLE, b"*")


def glob(normal: bytes) -> bytes:
    r"""A glob for SCAN MATCH: literal parts escaped, variable ones `*`.

    >>> glob(b"a[1]:\0")
    b'a\\[1\\]:*'
    """
    return b"*".join(escape_glob(literal) for literal in normal.split(VARIABLE))


def wild(part: bytes, delimiters: bytes) -> bytes:
    """The part that takes in `part` where it has no row of its own."""
    return VARIABLE + part[-1:] if part and part[-1] in delimiters else VARIABLE


@lru_cache(maxsize=16)
def _splitter(delimiters: bytes) -> re.Pattern[bytes]:
    if not delimiters:
        return re.compile(rb".+", re.DOTALL)
    inside = re.escape(delimiters)
    return re.compile(rb"[^%b]*[%b]|[^%b]+" % (inside, inside, inside))


@lru_cache(maxsize=16)
def _variable(delimiters: bytes) -> re.Pattern[bytes]:
    """What varies, most telling first. A number may stand anywhere but in a version such as `v2`; the others must be
    whole tokens. A random token is told from a CamelCase word by how often letters and digits alternate in it, one with
    dashes from words with a hash between them by a lone letter or digit between two of other kinds."""
    joins = re.escape(bytes(char for char in _JOINS if char not in delimiters))
    specials = re.escape(bytes(char for char in _TOKEN_SPECIALS if char not in delimiters))
    token = b"A-Za-z0-9" + specials
    turn = rb"(?:[A-Za-z][0-9]|[0-9][A-Za-z])"
    lone = rb"(?:[A-Z][a-z][A-Z0-9]|[0-9][a-z][A-Z]|[A-Z][0-9][a-z]|[a-z][A-Z][0-9]|[a-z][0-9][A-Z])"
    number = rb"[0-9]+(?:[%bT][0-9]+)*" % joins
    whole = [
        rb"(?=[%b]{20})(?=(?:[%b]*?(?=%b)[%b]){2})[%b]{20,}={0,2}" % (token, token, lone, token, token),
        rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        rb"(?=[a-f]*[0-9])[0-9a-f]{8,}",
        rb"(?=[A-F]*[0-9])[0-9A-F]{8,}",
        rb"(?=(?:[a-z0-9]*?%b){3})[a-z0-9]{16,}" % turn,
        rb"(?=(?:[A-Z0-9]*?%b){3})[A-Z0-9]{16,}" % turn,
        rb"(?=[A-Z0-9]*[a-z])(?=[a-z0-9]*[A-Z])(?=(?:[A-Za-z0-9]*?%b){2})[A-Za-z0-9]{16,}={0,2}" % turn,
        rb"(?=[%b]*[a-z])(?=[%b]*[A-Z])(?=(?:[%b]*?%b){3})[%b]{20,}={0,2}" % (token, token, token, turn, token),
    ]
    version = rb"(?<!(?<![A-Za-z0-9])v)"
    return re.compile(
        rb"(?<![A-Za-z0-9])(?:%b)(?![A-Za-z0-9])" % b"|".join(whole)
        + rb"|(?<![0-9])(?:%b|(?![0-9]{1,3}(?![A-Za-z0-9])))%b" % (version, number)
    )


_CACHED = 30_000
_SHAPES_OF_ONE = 64

Pattern = TypeVar("Pattern", bound=Hashable)


class _HexShape(Struct, Generic[Pattern], frozen=True):
    """Names that are alike but for one hash or UUID between `start` and `end`; `before` and `after` it, by shape."""

    before: bytes
    after: bytes
    start: int
    end: int
    pattern: Pattern

    def fits(self, shape: bytes) -> bool:
        """Whether a name with this `shape` is one of them. Letters alone are a word, `defaced`, not a hash."""
        return (
            shape.startswith(self.before) and shape.endswith(self.after) and shape.find(b"0", self.start, self.end) >= 0
        )


class PatternCache(Generic[Pattern]):
    """Finds the pattern of a name by the name's shape, by that without hex letters, by what it normalises to; else
    `pattern` makes it of that."""

    def __init__(self, normaliser: Normaliser, pattern: Callable[[bytes], Pattern]) -> None:
        self._normaliser = normaliser
        self._pattern = pattern
        self._by_shape: dict[bytes, Pattern] = {}
        self._by_hex_shape: dict[bytes, _HexShape[Pattern]] = {}
        self._by_normal: dict[bytes, Pattern] = {}
        self._shapes_of: Counter[Pattern] = Counter()

    def patterns_of(self, names: list[bytes]) -> list[Pattern]:
        """The pattern of each."""
        found_shapes = shapes(names)
        found = [self._by_shape.get(shape) for shape in found_shapes]
        if None in found:
            missing = [index for index, pattern in enumerate(found) if pattern is None]
            missing_hex_shapes = hex_shapes([found_shapes[index] for index in missing])
            for index, hex_shape in zip(missing, missing_hex_shapes, strict=True):
                known = self._by_hex_shape.get(hex_shape)
                if known is not None and known.fits(found_shapes[index]):
                    found[index] = known.pattern
                else:
                    found[index] = self._learned(names[index], found_shapes[index], hex_shape)
            if len(self._by_shape) + len(self._by_normal) + len(self._by_hex_shape) > _CACHED:
                self.forget()
        return cast("list[Pattern]", found)

    def forget(self) -> None:
        """Patterns have changed: look every name up again."""
        for known in (self._by_shape, self._by_hex_shape, self._by_normal, self._shapes_of):
            known.clear()

    def _learned(self, name: bytes, shape: bytes, hex_shape: bytes) -> Pattern:
        normal = self._normaliser.name(name)
        pattern = self._by_normal.get(normal)
        if pattern is None:
            pattern = self._by_normal[normal] = self._pattern(normal)
        # Numbers come in few shapes; random letters never come in the same one again.
        few = self._shapes_of[pattern] < _SHAPES_OF_ONE
        if few and len(name) <= LONGEST_NAME and settled(normal):
            # The names of one call may be many of one shape.
            self._shapes_of[pattern] += shape not in self._by_shape
            self._by_shape[shape] = pattern
            token = self._normaliser.token(name)
            if token is not None:
                start, end = token
                self._by_hex_shape[hex_shape] = _HexShape(shape[:start], shape[end:], start, end, pattern)
        return pattern
