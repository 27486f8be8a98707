"""Pouring the families into a server: each value is built once, dumped, and restored under many names."""

from collections.abc import Callable, Iterator
from random import Random

from redis_oom_tui.demo.patterns import FAMILIES, HOSTILE_NAMES, SINGLES, DemoPattern, Single
from redis_oom_tui.demo.values import Maker
from redis_oom_tui.demo.wire import Wire, pack

TEMPLATE = b"demo:template"
BATCH = 1000

Progress = Callable[[int, int], None]


def fill(wire: Wire, *, keys: int, seed: int, on_progress: Progress | None = None) -> int:
    """Write about `keys` keys and return how many; the same for the same seed and number.

    `on_progress` hears how many of how many are done.
    """
    rng = Random(seed)  # noqa: S311 - data for show
    scale = keys / 300_000
    counts = [(family, max(len(family.makers), round(family.share * keys))) for family in FAMILIES]
    total = sum(count for _, count in counts) + len(SINGLES) + len(HOSTILE_NAMES)
    done = 0
    for single in SINGLES:
        _put_single(wire, rng, single, scale)
    _put_hostile(wire, rng)
    done += len(SINGLES) + len(HOSTILE_NAMES)
    for family, count in counts:
        wire.call("SELECT", family.db)
        for poured in wire.pour(_batches(wire, rng, family, count)):
            done += poured
            if on_progress is not None:
                on_progress(done, total)
    wire.call("SELECT", 0)
    return done


def _payload(wire: Wire, rng: Random, maker: Maker) -> bytes:
    """The DUMP of a key built by `maker`: its value in the server's own form."""
    wire.call_all([pack(verb, TEMPLATE, *rest) for verb, *rest in maker(rng)])
    payload = wire.call("DUMP", TEMPLATE)
    wire.call("UNLINK", TEMPLATE)
    if not isinstance(payload, bytes):
        raise TypeError("the server did not dump the template")
    return payload


def _batches(wire: Wire, rng: Random, family: DemoPattern, count: int) -> Iterator[list[bytes]]:
    variants = min(family.variants, count)
    pools = [[_bulk(_payload(wire, rng, maker)) for _ in range(variants)] for maker in family.makers]
    batch: list[bytes] = []
    for index in range(count):
        idle = family.idle.draw(rng)
        payload = pools[index % len(pools)][int(rng.random() * variants)]
        batch.append(_restore(family.namer(rng, index), payload, ttl=family.ttl(rng, idle), idle=idle))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _put_single(wire: Wire, rng: Random, single: Single, scale: float) -> None:
    wire.call("SELECT", single.db)
    payload = _payload(wire, rng, single.make(max(1, round(single.elements * scale))))
    wire.call("RESTORE", single.name, single.ttl * 1000, payload, "IDLETIME", single.idle)


def _put_hostile(wire: Wire, rng: Random) -> None:
    wire.call("SELECT", 0)
    for name in HOSTILE_NAMES:
        wire.call("SET", name, rng.getrandbits(64))


def _bulk(raw: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def _restore(name: bytes, bulk_payload: bytes, *, ttl: int, idle: int) -> bytes:
    """RESTORE name ttl payload IDLETIME idle, packed by hand: this runs once a key."""
    milliseconds, seconds = b"%d" % (ttl * 1000), b"%d" % idle
    return b"*6\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b$8\r\nIDLETIME\r\n$%d\r\n%b\r\n" % (
        len(name),
        name,
        len(milliseconds),
        milliseconds,
        bulk_payload,
        len(seconds),
        seconds,
    )
