"""Simulated memory curves with a known future: (samples so far, the limit, seconds until it is really met or None)."""

import math
import random
from collections.abc import Callable

from redis_oom_tui.models.trend import TrendSample

MIB = 2**20
Curve = Callable[[float], float]


def simulate(kind: str, seed: int) -> tuple[list[TrendSample], int, float | None]:
    """One curve of `kind`, watched for a while; the limit is met within 0.2 to 2 times that, or never."""
    rng = random.Random(f"{kind}{seed}")
    watched = rng.choice([60.0, 300.0, 1200.0, 7200.0])
    level = _CURVES[kind](rng, watched)
    noise = {"noisy": 6.0, "none": 3.0}.get(kind, 0.3) * MIB
    step = watched / rng.choice([60, 150, 300])
    samples = []
    t = 0.0
    while t <= watched:
        value = int(max(0.0, level(t) + rng.gauss(0, noise)))
        samples.append(TrendSample(monotonic=t, at=t, used_bytes=value, counted_bytes=value))
        t += step
    ahead = watched * rng.uniform(0.2, 2.0)
    limit = int(level(watched + ahead)) if kind != "none" else int(level(watched) + 200 * MIB)
    limit = max(limit, int(level(watched)) + 12 * MIB)
    if kind == "slowing" and seed % 2:
        # Never met: it ends below.
        limit = int(level(1e9)) + 12 * MIB
    return samples, limit, _meets(level, watched, limit)


def _meets(level: Curve, start: float, limit: int) -> float | None:
    span = start / 200
    return next((n * span for n in range(4000) if level(start + n * span) >= limit), None)


def _steady(rng: random.Random, watched: float) -> Curve:
    rate = rng.uniform(50, 800) * MIB / watched
    return lambda t: 300 * MIB + rate * t


def _noisy(rng: random.Random, watched: float) -> Curve:
    rate = rng.uniform(40, 300) * MIB / watched
    return lambda t: 300 * MIB + rate * t


def _stepped(rng: random.Random, watched: float) -> Curve:
    """Jumps of uneven size at uneven times, as batch jobs make them."""
    every = watched / rng.uniform(8, 25)
    jumps, t = [], 0.0
    while t < 30 * watched:
        t += every * rng.uniform(0.5, 1.5)
        jumps.append((t, rng.uniform(5, 25) * MIB))
    return lambda t: 300 * MIB + sum(size for at, size in jumps if at <= t)


def _wave(rng: random.Random, watched: float) -> Curve:
    """A day's up and down on top of some growth, watched for a part of it or more."""
    period = watched / rng.uniform(0.1, 3.0)
    rate = rng.uniform(20, 300) * MIB / watched
    height = rng.uniform(20, 200) * MIB
    phase = rng.uniform(0, 2 * math.pi)
    return lambda t: 500 * MIB + rate * t + height * math.sin(phase + 2 * math.pi * t / period)


def _days(rng: random.Random, watched: float) -> Curve:
    """Days that differ: steep mornings, each day's height its own, as caches of real sites show them."""
    period = watched / rng.uniform(1.4, 6.0)
    rate = rng.uniform(20, 300) * MIB / watched
    height = rng.uniform(20, 200) * MIB
    phase, steep = rng.random(), rng.uniform(0.2, 0.5)
    heights = [height * rng.uniform(0.85, 1.15) for _ in range(400)]

    def level(t: float) -> float:
        day, within = divmod(t / period + phase, 1.0)
        rises = within / steep if within < steep else (1 - within) / (1 - steep)
        return 500 * MIB + rate * t + heights[int(day) % 400] * (1 - math.cos(math.pi * rises)) / 2

    return level


def _saw(rng: random.Random, watched: float) -> Curve:
    """Fills up and is cleared in part, again and again, each time a little higher."""
    period = watched / rng.uniform(2.5, 12.0)
    rate = rng.uniform(20, 300) * MIB / watched
    height = rng.uniform(20, 200) * MIB
    phase = rng.random()
    return lambda t: 500 * MIB + rate * t + height * ((t / period + phase) % 1.0)


def _slowing(rng: random.Random, watched: float) -> Curve:
    """Growth that wears off."""
    lasts = watched * rng.uniform(0.7, 3.0)
    height = rng.uniform(200, 1500) * MIB
    return lambda t: 300 * MIB + height * (1 - math.exp(-t / lasts))


def _none(rng: random.Random, watched: float) -> Curve:
    return lambda t: 500 * MIB


_CURVES: dict[str, Callable[[random.Random, float], Curve]] = {
    "steady": _steady,
    "noisy": _noisy,
    "stepped": _stepped,
    "wave": _wave,
    "days": _days,
    "saw": _saw,
    "slowing": _slowing,
    "none": _none,
}
KINDS = tuple(_CURVES)
