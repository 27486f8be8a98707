"""Values as applications write them: each maker returns the commands that build one key, without the key's name."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

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
