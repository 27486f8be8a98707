"""The settings that a diagnosis looks at, as CONFIG GET tells them: a handful, and never one that holds a secret."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.capabilities import Capabilities, Feature

if TYPE_CHECKING:  # `check` does without the driver
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

# Redis 6.2 takes one pattern per CONFIG GET; these reach only sizes, counts and choices.
PATTERNS = (
    "maxmemory*",
    "lazyfree-lazy-*",
    "*-max-[lzi]*",
    "act*",
    "repl-backlog-size",
    "replica-ignore-maxmemory",
    "min-replicas-to-write",
    "stop-writes-on-bgsave-error",
    "save",
)
"""What CONFIG GET is asked for, one at a time."""
_DIGITS = 20


async def read_settings(client: "Redis") -> Mapping[str, str]:
    """Settings by name; those that may not be read are left out, all of them where CONFIG is not to be had.

    Raises redis-py's errors.
    """
    pipeline = client.pipeline(transaction=False)
    ask_settings(pipeline)
    return settings_in(await pipeline.execute(raise_on_error=False))


def ask_settings(pipeline: "Pipeline") -> int:
    """Add the questions to `pipeline`; returns how many replies they have."""
    for pattern in PATTERNS:
        pipeline.execute_command("CONFIG GET", pattern)
    return len(PATTERNS)


def settings_in(replies: Iterable[object]) -> Mapping[str, str]:
    """What the replies to those questions tell; a refused one tells nothing."""
    settings: dict[str, str] = {}
    for reply in replies:
        told = reply if isinstance(reply, list) and all(isinstance(word, bytes) for word in reply) else ()
        pairs = zip(told[::2], told[1::2], strict=False)
        # No setting is a number of so many digits, and Python itself refuses to read the longest of them.
        settings |= {_text(name): _text(value) for name, value in pairs if not _endless(value)}
    return MappingProxyType(settings)


def refused_settings(replies: Iterable[object]) -> Capabilities:
    """CONFIG GET as missing, in the server's words, where every one of those questions was refused.

    >>> refused_settings([ValueError("ERR unknown command 'CONFIG', with args beginning with: 'GET'")]).missing
    mappingproxy({<Feature.CONFIG_GET: 'CONFIG GET'>: "unknown command 'CONFIG'"})
    """
    known = Capabilities()
    asked = list(replies)
    if not asked or not all(isinstance(reply, Exception) for reply in asked):
        return known
    said = str(asked[0]).partition(", with args")[0].removeprefix("ERR ").removeprefix("NOPERM ")
    return known.without(Feature.CONFIG_GET, safe_text(said, 200))


def _endless(value: bytes) -> bool:
    return len(value) > _DIGITS and value.isdigit()


def _text(word: object) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
