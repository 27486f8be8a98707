"""What the demo server holds: families of keys with their share of the keyspace, their expiry and their idle times."""

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from msgspec import Struct

from redis_oom_tui.demo import values
from redis_oom_tui.demo.values import WORDS, Maker
from redis_oom_tui.demo.wire import Argument

MINUTE, HOUR, DAY = 60, 3600, 86_400
# No key expires within this time: the shortage must not mend itself while somebody looks at it.
SHORTEST_TTL = HOUR

PARAGRAPHS = tuple(values.text(Random(number), 72).encode() for number in range(50))  # noqa: S311 - data for show

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


FAMILIES = (
    DemoPattern(
        *("user fields", 0.397, lambda _, i: b"user:%d:%b" % (1000 + i // 5, USER_FIELDS[i % 5])),
        (
            values.full_name,
            values.email,
            values.one_of("free", "plus", "team"),
            values.one_of("en_GB", "de_DE", "fr_FR"),
            values.number(1, 900),
        ),
        Idle(30, 150 * DAY, 2.0),
    ),
    DemoPattern(
        *("sessions", 0.17, lambda r, _: b"sess:%032x" % r.getrandbits(128), (values.session,)),
        Idle(1, 13 * DAY, 3.0),
        lifetime=14 * DAY,
    ),
    # Somebody moved to cache:page: last summer and nobody removed these.
    DemoPattern(
        *("old cache", 0.137, lambda _, i: b"cache:v1:render:product:%d" % (20_000 + i), (values.blob(380, 900),)),
        Idle(45 * DAY, 120 * DAY),
    ),
    DemoPattern(
        *("rate limits", 0.09, _rate, (values.number(1, 400),)),
        Idle(1, 20 * HOUR, 2.0),
        lifetime=DAY,
    ),
    DemoPattern("page cache", 0.06, _page, (values.blob(900, 2600),), Idle(5, 5 * HOUR, 2.0), lifetime=6 * HOUR),
    DemoPattern(
        *("carts", 0.05, lambda _, i: b"cart:%d" % (5000 + i * 7), (values.cart,)),
        Idle(10, 100 * DAY, 1.5),
        lifetime=30 * DAY,
        expiring=0.35,
    ),
    DemoPattern("tag sets", 0.03, lambda _, i: b"tags:product:%d" % i, (values.small_set,), Idle(MINUTE, 40 * DAY)),
    DemoPattern("products", 0.02, lambda _, i: b"product:%d" % (20_000 + i), (values.profile,), Idle(1, 20 * DAY, 3.0)),
    DemoPattern("task results", 0.045, _task, (values.task_result,), Idle(HOUR, 90 * DAY), db=3),
    DemoPattern(
        *("leader boards", 0.0015, lambda _, i: b"leaderboard:%b:2026-W%02d" % (WORDS[i % 12].encode(), i // 12 % 53)),
        (values.week_board,),
        Idle(HOUR, 140 * DAY),
    ),
    DemoPattern(
        *("flags", 0.0005, _flag, (values.one_of("on", "off", "canary"),)),
        Idle(1, 2 * HOUR),
    ),
    DemoPattern(
        "visitors", 0.0002, lambda _, i: b"uniq:visitors:day-%03d" % i, (values.visitors,), Idle(DAY, 60 * DAY)
    ),
    DemoPattern("bitmaps", 0.0002, lambda _, i: b"seen:day-%03d" % i, (values.bitmap,), Idle(DAY, 60 * DAY)),
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
    Single(b"audit:import:2025-06", 90_000, lambda n: values.many("HSET", n, _audit_field), 131 * DAY),
    Single(b"stream:clicks", 50_000, lambda n: values.many("XADD", n, _click, per_step=1), 3),
    Single(b"queue:webhooks:dead", 24_000, lambda n: values.many("RPUSH", n, _job), 9 * DAY),
    Single(b"queue:emails", 3_000, lambda n: values.many("RPUSH", n, _job), 2),
    Single(b"queue:thumbnails", 800, lambda n: values.many("RPUSH", n, _job), 4),
    Single(b"leaderboard:all-time", 30_000, lambda n: values.many("ZADD", n, _score), 40),
    Single(b"online:users", 12_000, lambda n: values.many("SADD", n, lambda _, i: (f"u{i * 3}",)), 1),
    Single(b"report:2026-11-21:draft", 1, lambda _: values.blob(1_500_000, 1_500_000), 7 * HOUR, ttl=2 * DAY),
    Single(b"unacked", 4_000, lambda n: values.many("HSET", n, _audit_field), 5 * DAY, db=3),
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
