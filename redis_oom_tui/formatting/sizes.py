"""Sizes, counts and durations: read as Redis reads them, said as people say them."""

import math
import re
from collections.abc import Iterable

import humanize

from redis_oom_tui.models.errors import BadInput

# redis.conf's own units: `k` is a thousand, `kb` is 1024 (util.c, memtoull).
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}
# Without ASCII, the Kelvin sign is a k, and the long s (U+017F) is an s.
_SIZE = re.compile(r"([0-9]+)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_LARGEST = 2**63 - 1
# No number of more digits is a size or a length of time, and Python refuses to read thousands of them.
_DIGITS = 20


def plain_number(text: str) -> int | None:
    """The whole number that `text` is, in the digits 0 to 9 and nothing else; None where it is none.

    >>> plain_number("16"), plain_number("1_6"), plain_number("\N{ARABIC-INDIC DIGIT THREE}"), plain_number("9" * 5000)
    (16, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def parse_size(text: str) -> int:
    """The bytes that `text` means to redis.conf: digits with b, k, kb, m, mb, g or gb.

    Raises BadInput where the server would refuse it, or take it for something else (an empty text would lift the
    limit, a huge one would overflow to 0: both seen on Redis 6.2 to 8.2 and Valkey 9.1).

    >>> parse_size("4gb"), parse_size("4G"), parse_size("512 mb"), parse_size("100")
    (4294967296, 4000000000, 536870912, 100)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise BadInput(f"{text!r} is not a size: write a whole number with b, kb, mb or gb, such as 4gb or 512mb")
    value = int(match[1]) * _UNITS[match[2].lower()] if len(match[1]) <= _DIGITS else _LARGEST + 1
    if value > _LARGEST:
        raise BadInput(f"{text!r} is more than a server can take: the largest size is 8 EiB")
    return value


def size(value: int | None) -> str:
    """A size for people, in powers of 1024 and at most four digits; `?` where it is unknown.

    >>> size(0), size(1023), size(1536), size(5 * 1024**3), size(None)
    ('0 B', '1023 B', '1.5 KiB', '5.0 GiB', '?')
    """
    if value is None:
        return "?"
    if abs(value) < 1024:
        return f"{value} B"
    text = humanize.naturalsize(value, binary=True, format="%.1f")
    number, unit = text.split(" ")
    return f"{round(float(number))} {unit}" if abs(float(number)) >= 1000 else text


def short_size(value: int | None) -> str:
    """A size in at most six cells, for columns.

    >>> short_size(1536), short_size(1023), short_size(10 * 1024**2), short_size(None)
    ('1.5K', '1023B', '10.0M', '?')
    """
    text = size(value)
    return text if value is None else text.replace("iB", "").replace(" ", "")


def count(value: int | None) -> str:
    """A count with its thousands apart.

    >>> count(1234567), count(None)
    ('1,234,567', '?')
    """
    return "?" if value is None else humanize.intcomma(value)


def known_bytes(value: int, keys: int) -> int | None:
    """The bytes of so many keys, None where nobody told their sizes: no key takes 0 bytes.

    >>> known_bytes(96, 1), known_bytes(0, 5), known_bytes(0, 0)
    (96, None, 0)
    """
    return None if keys and not value else value


def skipped_lines(skipped: int) -> str:
    """That so many lines of the audit log could not be read.

    >>> skipped_lines(1)
    '1 line of the audit log cannot be read and was skipped'
    """
    were = "was" if skipped == 1 else "were"
    return f"{number_of(skipped, 'line')} of the audit log cannot be read and {were} skipped"


def earlier_actions(before: str) -> str:
    """That actions before this time, as it is written there, are not listed.

    >>> earlier_actions("12:00")
    'Actions before 12:00 are not listed: the audit log has them'
    """
    return f"Actions before {before} are not listed: the audit log has them"


def number_of_keys(value: int | None) -> str:
    """So many keys.

    >>> number_of_keys(1), number_of_keys(2000), number_of_keys(None)
    ('1 key', '2,000 keys', '? keys')
    """
    return number_of(value, "key")


def number_of(value: int | None, thing: str) -> str:
    """So many of them.

    >>> number_of(1, "node"), number_of(2000, "replica")
    ('1 node', '2,000 replicas')
    """
    return f"{count(value)} {thing}" if value == 1 else f"{count(value)} {thing}s"


def about_number(value: int, thing: str, *, exact: bool) -> str:
    """So many of them, behind `about` where that is an estimate.

    >>> about_number(2000, "job", exact=False), about_number(1, "job", exact=True)
    ('about 2,000 jobs', '1 job')
    """
    return f"{'' if exact else 'about '}{number_of(value, thing)}"


def used_of(used: int | None, limit: int | None, share: float | None = None, digits: int = 0) -> str:
    """How much of a limit is in use, with the share where that is known; `limit` None is none.

    >>> used_of(6_606_029, None), used_of(950, 1000, 0.95)
    ('6.3 MiB used, no limit', '950 B of 1000 B (95%)')
    """
    if limit is None:
        return f"{size(used)} used, no limit"
    return f"{size(used)} of {size(limit)}" + ("" if share is None else f" ({percent(share, digits)})")


# From this share on a percentage tells nobody anything: with maxmemory 1 it has eleven digits.
_ABSURD_SHARE = 100.0


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage, as long as one makes sense.

    >>> percent(0.954), percent(0.954, 1), percent(None), percent(312_000_000.0)
    ('95%', '95.4%', '?', 'over 100x')
    """
    if share is None:
        return "?"
    return "over 100x" if share >= _ABSURD_SHARE else f"{share * 100:.{digits}f}%"


def share_of(share: str, whole: str, kind: str = "limit") -> str:
    """A share that `percent` wrote and what it is of; `kind` names that where the share is no percentage.

    >>> share_of("95%", "64.0 MiB"), share_of("over 100x", "1 B")
    ('95% of 64.0 MiB', 'over 100x the limit of 1 B')
    """
    return f"{share} of {whole}" if share.endswith("%") or share == "?" else f"{share} the {kind} of {whole}"


def percent_beside(share: float | None, marks: Iterable[float], digits: int = 0) -> str:
    """A share as a percentage that stands on the same side of each of `marks` as the share itself.

    >>> percent_beside(0.7951, (0.8, 0.95)), percent_beside(0.79999, (0.8,), 1), percent_beside(0.8, (0.8,))
    ('79.5%', '79.99%', '80%')
    """
    if share is None or share >= _ABSURD_SHARE:
        return percent(share)
    sides = [(round(mark * 100, 6), share < mark) for mark in marks]
    shown = round(share * 100, digits)
    for tried in range(digits, 4):
        # One more digit before the smaller number: 79.6% stands beside the 79.6% of the bar, not 79%.
        smaller = () if tried == digits else (math.floor(share * 100 * 10**tried) / 10**tried,)
        for shown in (round(share * 100, tried), *smaller):
            if all((shown < mark) == below for mark, below in sides):
                return f"{shown:.{tried}f}%"
    return f"{shown:.3f}%"


def duration(seconds: float | None) -> str:
    """A duration in its two largest units.

    >>> duration(5), duration(75), duration(3700), duration(90061), duration(86400 * 400), duration(None)
    ('5s', '1m15s', '1h01m', '1d01h', '400d', '?')
    """
    if seconds is None or not math.isfinite(seconds):
        return "?"
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days >= 100:
        return f"{days}d"
    if days:
        return f"{days}d{hours:02d}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    if minutes:
        return f"{minutes}m{left:02d}s"
    return f"{left}s"


def lasting(seconds: float | None, before: str = " for ") -> str:
    """A duration behind `before`; empty where it is not known, or less than a second: 0s would be a figure of nothing.

    >>> lasting(75), lasting(0.4), lasting(None)
    (' for 1m15s', '', '')
    """
    return "" if seconds is None or seconds < 1 else f"{before}{duration(seconds)}"


def progress(
    done: int,
    total: int,
    elapsed: float,
    things: str = "keys",
    *,
    per_second: float | None = None,
    remaining: float | None = None,
    width: int | None = None,
) -> str:
    """How far work is: what is done, its rate, what is left of it and what it took so far, in seconds.

    `total` is 0 where nobody knows it. Rate and rest follow from the average, unless `per_second` is given: then the
    rest is `remaining`, and not told where that is None. What does not fit into `width` cells is left out: first what
    it took, then the rate.

    >>> progress(12_000, 50_000, 2.0)
    '12,000 of 50,000 keys, 6,000/s, 7s left, 2s so far'
    >>> progress(12_000, 0, 2.0, "jobs"), progress(12_000, 50_000, 2.0, width=32)
    ('12,000 jobs, 6,000/s, 2s so far', '12,000 of 50,000 keys, 7s left')
    """
    rate = per_second if per_second is not None else done / elapsed if elapsed > 0 else 0.0
    if remaining is None and per_second is None and rate > 0:
        remaining = (total - done) / rate
    goes_on = done < total or not total
    parts = {
        "done": f"{count(done)} of {count(total)} {things}" if total else f"{count(done)} {things}",
        "rate": f"{count(round(rate))}/s" if rate >= 1 and goes_on else "",
        "left": f"{duration(math.ceil(remaining))} left" if remaining is not None and total and goes_on else "",
        "took": f"{duration(round(elapsed))} so far" if elapsed >= 1 else "",
    }
    for least in ("", "took", "rate", "left"):
        parts.pop(least, None)
        words = ", ".join(filter(None, parts.values()))
        if width is None or len(words) <= width:
            break
    return words


def typed_span(seconds: int) -> str:
    """A span as an option or a form takes it: `parse_duration` reads it back.

    >>> typed_span(86400), typed_span(5400)
    ('1d', '5400s')
    """
    return f"{seconds}s" if seconds % 86400 else f"{seconds // 86400}d"


def ago(seconds: float | None) -> str:
    """How long ago something was, in its largest unit.

    >>> ago(0.2), ago(75), ago(16 * 86400), ago(364 * 86400), ago(-5), ago(None)
    ('now', 'a minute ago', '16 days ago', '364 days ago', 'now', 'at an unknown time')
    """
    if seconds is None or not math.isfinite(seconds):
        return "at an unknown time"
    return humanize.naturaltime(max(0.0, seconds), months=False)


def spoken(seconds: float | None) -> str:
    """A duration for a sentence that needs no more than its largest unit.

    >>> spoken(75), spoken(16 * 86400), spoken(None)
    ('a minute', '16 days', '?')
    """
    if seconds is None or not math.isfinite(seconds):
        return "?"
    return humanize.naturaldelta(max(0.0, seconds), months=False)


def time_span(soonest: float, latest: float | None) -> str:
    """From when to when; an open end where the latest is not known.

    >>> time_span(1200, 2400), time_span(1200, None)
    ('20m00s to 40m00s', '20m00s or more')
    """
    return f"{duration(soonest)} or more" if latest is None else f"{duration(soonest)} to {duration(latest)}"


def full_in(soonest: float, latest: float | None) -> str:
    """When a limit will be met; what may be less than a second away is not counted in seconds.

    >>> full_in(1200, None), full_in(0.4, 75), full_in(0.4, None), full_in(0, 0)
    ('full in 20m00s or more', 'full within 1m15s', 'could be full any moment', 'full now')
    """
    if soonest >= 1:
        return f"full in {time_span(soonest, latest)}"
    if latest is None:
        return "could be full any moment"
    return f"full within {duration(latest)}" if latest >= 1 else "full now"


_DURATION = re.compile(r"([0-9]+)\s*([smhdw]?)", re.IGNORECASE | re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# A server counts the end of a key in milliseconds, and a time before 1970 is none to it.
_LONGEST = 36500 * 86400


def parse_duration(text: str) -> int:
    """The seconds that `text` means: a whole number with s, m, h, d or w, of a hundred years at most.

    >>> parse_duration("90"), parse_duration("15m"), parse_duration("7d")
    (90, 900, 604800)
    >>> parse_duration("999999999999d")
    Traceback (most recent call last):
    redis_oom_tui.models.errors.BadInput: '999999999999d' is too long: a length of time is 36500d at most
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{text!r} is not a length of time: write a whole number with s, m, h, d or w, such as 30d")
    seconds = int(match[1]) * _SECONDS[match[2].lower()] if len(match[1]) <= _DIGITS else _LONGEST + 1
    if seconds > _LONGEST:
        raise BadInput(f"{text!r} is too long: a length of time is {_LONGEST // 86400}d at most")
    return seconds


def per_second(rate: float | None) -> str:
    """A rate with a digit behind the point where it is small.

    >>> per_second(None), per_second(0.0), per_second(0.25), per_second(1234.5)
    ('?/s', '0/s', '0.2/s', '1,234/s')
    """
    if rate is None:
        return "?/s"
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.1f}/s"
