"""What the demo server holds: values as applications write them, and patterns of keys with TTLs and idle times."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

from msgspec import Struct

from redis_oom_tui.demo.wire import Argument

# A verb and what follows the key: ("SET", value), ("RPUSH", a, b, c).
Step: TypeAlias = tuple[Argument, ...]
Steps: TypeAlias = Iterator[Step]
Maker: TypeAlias = Callable[[Random], Steps]

# fmt: off
WORDS = (
    "amber", "basin", "cedar", "delta", "ember", "field", "grove", "harbour", "island", "juniper", "kettle", "lantern",
    "meadow", "north", "orchard", "pepper", "quarry", "river", "saddle", "timber", "upland", "valley", "willow",
)
# fmt: on


def text(rng: Random, length: int) -> str:
    """Words up to `length` characters: compressible, as real text is."""
    return " ".join(rng.choices(WORDS, k=length // 6 + 1))[:length]


def blob(low: int, high: int) -> Maker:
    """A rendered page or fragment of `low` to `high` bytes."""

    def make(rng: Random) -> Steps:
        yield "SET", text(rng, rng.randint(low, high))

    return make


def one_of(*values: str) -> Maker:
    """A short string out of a few."""

    def make(rng: Random) -> Steps:
        yield "SET", rng.choice(values)

    return make


def number(low: int, high: int) -> Maker:
    """A counter."""

    def make(rng: Random) -> Steps:
        yield "SET", rng.randint(low, high)

    return make


def email(rng: Random) -> Steps:
    """A mail address."""
    yield "SET", f"{rng.choice(WORDS)}.{rng.choice(WORDS)}{rng.randint(1, 999)}@example.com"


def full_name(rng: Random) -> Steps:
    """A person's name."""
    yield "SET", f"{rng.choice(WORDS).title()} {rng.choice(WORDS).title()}"


def session(rng: Random) -> Steps:
    """A web session as JSON."""
    data = {
        "user_id": rng.randint(1, 90_000),
        "csrf": f"{rng.getrandbits(160):040x}",
        "locale": rng.choice(("en_GB", "de_DE", "fr_FR", "ja_JP")),
        "last_page": f"/products/{rng.choice(WORDS)}/{rng.randint(1, 9999)}",
        "flash": [text(rng, rng.randint(0, 120))],
    }
    yield "SET", json.dumps(data)


def task_result(rng: Random) -> Steps:
    """What a task queue keeps of a finished task, for ever."""
    data = {"status": "SUCCESS", "result": text(rng, rng.randint(40, 260)), "traceback": None, "date_done": "2026-11"}
    yield "SET", json.dumps(data)


def cart(rng: Random) -> Steps:
    """A hash of item to quantity and note."""
    for _ in range(rng.randint(1, 6)):
        item = rng.randint(10_000, 99_999)
        yield "HSET", f"item:{item}", rng.randint(1, 4), f"note:{item}", text(rng, 18)


def profile(rng: Random) -> Steps:
    """A hash as a product record."""
    yield (
        *("HSET", "title", text(rng, 30), "price", rng.randint(100, 99_999), "stock", rng.randint(0, 500)),
        *("vendor", rng.choice(WORDS), "summary", text(rng, rng.randint(60, 160))),
    )


def small_set(rng: Random) -> Steps:
    """A set of product numbers."""
    yield "SADD", *(rng.randint(1, 60_000) for _ in range(rng.randint(3, 24)))


def week_board(rng: Random) -> Steps:
    """One week's scores."""
    pairs: list[Argument] = []
    for _ in range(rng.randint(40, 120)):
        pairs += [rng.randint(10, 99_999), f"player:{rng.randint(1, 50_000)}"]
    yield "ZADD", *pairs


def visitors(rng: Random) -> Steps:
    """A day's HyperLogLog."""
    for _ in range(4):
        yield "PFADD", *(rng.getrandbits(40) for _ in range(800))


def bitmap(rng: Random) -> Steps:
    """A day's bitmap of users seen."""
    yield "SETBIT", rng.randint(60_000, 90_000), 1


def many(
    verb: str, count: int, element: Callable[[Random, int], tuple[Argument, ...]], *, per_step: int = 500
) -> Maker:
    """A collection of `count` elements, `per_step` of them in a command."""

    def make(rng: Random) -> Steps:
        for start in range(0, count, per_step):
            flat: list[Argument] = []
            for index in range(start, min(start + per_step, count)):
                flat += element(rng, index)
            yield verb, *flat

    return make


MINUTE, HOUR, DAY = 60, 3600, 86_400
# No key expires within this time: the shortage must not end by itself while somebody looks at it.
SHORTEST_TTL = HOUR

PARAGRAPHS = tuple(text(Random(number), 72).encode() for number in range(50))  # noqa: S311 - data for show

Namer: TypeAlias = Callable[[Random, int], bytes]


class Idle(Struct, frozen=True):
    """Idle times in seconds between `low` and `high`; a `skew` above 1 leans them towards `low`."""

    low: int
    high: int
    skew: float = 1.0

    def draw(self, rng: Random) -> int:
        """One idle time in seconds."""
        return self.low + int((self.high - self.low) * rng.random() ** self.skew)


class DemoPattern(Struct, frozen=True):
    """Keys that one piece of an application writes.

    `share` is its part of the keyspace, `makers` are used in turn, `variants` is how many different values each makes.
    `lifetime` is the expiry that each use renews, in seconds; None for keys that never expire. `expiring` is the part
    of them that has it.
    """

    name: str
    share: float
    namer: Namer
    makers: tuple[Maker, ...]
    idle: Idle
    lifetime: int | None = None
    expiring: float = 1.0
    db: int = 0
    variants: int = 24

    def ttl(self, rng: Random, idle: int) -> int:
        """Seconds left for a key idle that long; 0 for no expiry, as RESTORE has it."""
        if self.lifetime is None or rng.random() >= self.expiring:
            return 0
        return max(SHORTEST_TTL + int(rng.random() * HOUR), self.lifetime - idle)


class Single(Struct, frozen=True):
    """One key of its own. `make` takes the number of elements, `elements` is that number at full size."""

    name: bytes
    elements: int
    make: Callable[[int], Maker]
    idle: int
    ttl: int = 0
    db: int = 0


USER_FIELDS = (b"name", b"email", b"plan", b"locale", b"logins")
LOCALES = (b"en", b"de", b"fr")
PAGES = (b"product", b"category", b"search", b"help")


def _page(_: Random, index: int) -> bytes:
    return b"cache:page:%b:/%b/%d" % (LOCALES[index % 3], PAGES[index // 3 % 4], index)


def _rate(_: Random, index: int) -> bytes:
    return b"rate:api:198.51.%d.%d:2026-11-22" % (index // 250 % 250, index % 250)


def _task(rng: Random, _: int) -> bytes:
    raw = f"{rng.getrandbits(128):032x}"
    return f"celery-task-meta-{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}".encode()


def _flag(_: Random, index: int) -> bytes:
    return f"flag:{WORDS[index % len(WORDS)]}-{WORDS[index // len(WORDS) % len(WORDS)]}".encode()


PATTERNS = (
    DemoPattern(
        *("user fields", 0.397, lambda _, i: b"user:%d:%b" % (1000 + i // 5, USER_FIELDS[i % 5])),
        (full_name, email, one_of("free", "plus", "team"), one_of("en_GB", "de_DE", "fr_FR"), number(1, 900)),
        Idle(30, 150 * DAY, 2.0),
    ),
    DemoPattern(
        *("sessions", 0.17, lambda r, _: b"sess:%032x" % r.getrandbits(128), (session,)),
        Idle(1, 13 * DAY, 3.0),
        lifetime=14 * DAY,
    ),
    # Somebody moved to cache:page: last summer and nobody removed these.
    DemoPattern(
        *("old cache", 0.137, lambda _, i: b"cache:v1:render:product:%d" % (20_000 + i), (blob(380, 900),)),
        Idle(45 * DAY, 120 * DAY),
    ),
    DemoPattern(*("rate limits", 0.09, _rate, (number(1, 400),)), Idle(1, 20 * HOUR, 2.0), lifetime=DAY),
    DemoPattern("page cache", 0.06, _page, (blob(900, 2600),), Idle(5, 5 * HOUR, 2.0), lifetime=6 * HOUR),
    DemoPattern(
        *("carts", 0.05, lambda _, i: b"cart:%d" % (5000 + i * 7), (cart,)),
        Idle(10, 100 * DAY, 1.5),
        lifetime=30 * DAY,
        expiring=0.35,
    ),
    DemoPattern("tag sets", 0.03, lambda _, i: b"tags:product:%d" % i, (small_set,), Idle(MINUTE, 40 * DAY)),
    DemoPattern("products", 0.02, lambda _, i: b"product:%d" % (20_000 + i), (profile,), Idle(1, 20 * DAY, 3.0)),
    DemoPattern("task results", 0.045, _task, (task_result,), Idle(HOUR, 90 * DAY), db=3),
    DemoPattern(
        *("leader boards", 0.0015, lambda _, i: b"leaderboard:%b:2026-W%02d" % (WORDS[i % 12].encode(), i // 12 % 53)),
        (week_board,),
        Idle(HOUR, 140 * DAY),
    ),
    DemoPattern(*("flags", 0.0005, _flag, (one_of("on", "off", "canary"),)), Idle(1, 2 * HOUR)),
    DemoPattern("visitors", 0.0002, lambda _, i: b"uniq:visitors:day-%03d" % i, (visitors,), Idle(DAY, 60 * DAY)),
    DemoPattern("bitmaps", 0.0002, lambda _, i: b"seen:day-%03d" % i, (bitmap,), Idle(DAY, 60 * DAY)),
)


def _audit_field(rng: Random, index: int) -> tuple[Argument, ...]:
    return b"evt-%07d" % index, b"%b row %d" % (PARAGRAPHS[int(rng.random() * 50)], index)


def _job(rng: Random, index: int) -> tuple[Argument, ...]:
    return (b'{"job":%d,"kind":"deliver","body":"%b"}' % (index, PARAGRAPHS[int(rng.random() * 50)]),)


def _score(rng: Random, index: int) -> tuple[Argument, ...]:
    return int(rng.random() * 1e6), b"player:%d" % index


def _click(rng: Random, index: int) -> tuple[Argument, ...]:
    path = b"/%b/%d" % (PAGES[index % 4], int(rng.random() * 1e4))
    return b"%d-0" % (1_763_000_000_000 + index * 37), b"path", path, b"visit", b"%032x" % rng.getrandbits(128)


SINGLES = (
    Single(b"audit:import:2025-06", 90_000, lambda n: many("HSET", n, _audit_field), 131 * DAY),
    Single(b"stream:clicks", 50_000, lambda n: many("XADD", n, _click, per_step=1), 3),
    Single(b"queue:webhooks:dead", 24_000, lambda n: many("RPUSH", n, _job), 9 * DAY),
    Single(b"queue:emails", 3_000, lambda n: many("RPUSH", n, _job), 2),
    Single(b"queue:thumbnails", 800, lambda n: many("RPUSH", n, _job), 4),
    Single(b"leaderboard:all-time", 30_000, lambda n: many("ZADD", n, _score), 40),
    Single(b"online:users", 12_000, lambda n: many("SADD", n, lambda _, i: (f"u{i * 3}",)), 1),
    Single(b"report:2026-11-21:draft", 1, lambda _: blob(1_500_000, 1_500_000), 7 * HOUR, ttl=2 * DAY),
    Single(b"unacked", 4_000, lambda n: many("HSET", n, _audit_field), 5 * DAY, db=3),
)

# Names that break tools which print what they read.
HOSTILE_NAMES = (
    b"",
    b"[/x]",
    b"[red]alert[/red]",
    b"\x1b[2J\x1b[31mcleared",
    b"\x1b]0;title\x07",
    b"\xff\xfe\x80 not utf-8",
    b"nul\x00byte",
    b"two\r\nlines",
    "кеш:страница:1".encode(),
    "カート:42".encode(),
    "party:🎉:users".encode(),
    "abc\u202etxt.exe".encode(),
    b"glob:*?[a-z]\\",
    b"long:" + b"x" * 4000,
)
