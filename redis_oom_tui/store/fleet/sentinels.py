"""Asking Sentinels for the master: all at once, and believing the answer that most of them give."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from redis_oom_tui.models.address import Address, Connection, Sentinel
from redis_oom_tui.models.errors import LoginRefused, NotRedis, TriageError
from redis_oom_tui.store.client import make_client
from redis_oom_tui.store.errors import translated
from redis_oom_tui.store.other_way import heeded
from redis_oom_tui.words.hostile import safe_text

_ASK = "SENTINEL GET-MASTER-ADDR-BY-NAME"
_TLS_OPTIONS = re.compile(r"--(tls|cacert|cert|key|sni)\b")


async def master_of(connection: Connection, sentinel: Sentinel) -> Address:
    """Where the Sentinels say that the master is; a Sentinel cut off from the others is outvoted.

    The timeouts are those of `connection`, user and password the Sentinels' own, and TLS too where they have one.
    Returns as soon as more than half agree, in any case after one connect and one read timeout. Raises what the last
    of them failed with, or NotRedis where none knows the name.
    """
    asking = {asyncio.ensure_future(_ask(connection, sentinel, where)) for where in sentinel.addresses}
    votes: Counter[Address] = Counter()
    failure: TriageError | None = None
    try:
        while asking:
            answered, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for answer in answered:
                named = answer.result()
                if isinstance(named, TriageError):
                    failure = named
                elif named is not None:
                    votes[named] += 1
            if votes and votes.most_common(1)[0][1] * 2 > len(sentinel.addresses):
                break
    finally:
        for unfinished in asking:
            unfinished.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    if votes:
        return votes.most_common(1)[0][0]
    if failure is not None and len(sentinel.addresses) > 1:
        raise type(failure)(f"none of the {len(sentinel.addresses)} Sentinels named the master: {failure}")
    raise failure or NotRedis(f"no Sentinel knows a master named {safe_text(sentinel.master, 80)}: check --master")


def doubt(where: Address, sentinel: Sentinel) -> str:
    """What to say of a server that the Sentinels take for the master, and that says itself that it is none."""
    return (
        f"the Sentinels name {where} as master of {safe_text(sentinel.master, 80)}, and it says that it is a replica:"
        " they may be cut off, or a failover may be under way; ask others with --sentinel"
    )


async def _ask(connection: Connection, sentinel: Sentinel, where: Address) -> Address | TriageError | None:
    tls = sentinel.tls_beside(connection.tls)
    login = replace(connection, username=sentinel.username, password=sentinel.password)
    way = replace(login, address=where, sentinel=None, tls=tls)
    asked = make_client(way)
    try:
        found = await heeded(way, _named(asked, sentinel.master, where))
    except LoginRefused:
        return LoginRefused(
            f"{where}, a Sentinel, refused the login: its own go with --sentinel-user and --sentinel-pass"
        )
    except TriageError as error:
        return type(error)(_as_sentinels(error, where))
    finally:
        await asked.aclose()
    return None if found is None else Address(str(found[0], "utf-8", "replace"), int(found[1]))


async def _named(asked: Redis, master: str, where: Address) -> Any:
    with translated(where, _ASK):
        return await asked.execute_command(_ASK, master)


def _as_sentinels(error: TriageError, where: Address) -> str:
    """The sentence of `error` with the options that are the Sentinels' own: the servers' may be right as they are."""
    own = str(error).replace("without --tls", "--no-sentinel-tls")
    return _TLS_OPTIONS.sub(r"--sentinel-\1", own).replace(str(where), f"{where}, asked as a Sentinel,", 1)
