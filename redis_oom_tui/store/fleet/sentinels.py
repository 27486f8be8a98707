"""Asking Sentinels for the master: all at once, and believing the answer that most of them give."""

import asyncio
import re
from collections import Counter
from dataclasses import replace

from redis_oom_tui.models.address import Address, Connection, Sentinel
from redis_oom_tui.models.errors import LoginRefused, NotRedis, TriageError
from redis_oom_tui.store.client import make_client
from redis_oom_tui.store.errors import translated
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
    raise failure or NotRedis(f"no Sentinel knows a master named {safe_text(sentinel.master, 80)}: check --master")


async def _ask(connection: Connection, sentinel: Sentinel, where: Address) -> Address | TriageError | None:
    tls = sentinel.tls_beside(connection.tls)
    login = replace(connection, username=sentinel.username, password=sentinel.password)
    asked = make_client(replace(login, address=where, sentinel=None, tls=tls))
    try:
        with translated(where, _ASK):
            found = await asked.execute_command(_ASK, sentinel.master)
    except LoginRefused:
        return LoginRefused(
            f"{where}, a Sentinel, refused the login: its own go with --sentinel-user and --sentinel-pass"
        )
    except TriageError as error:
        return type(error)(_as_sentinels(error, where, over_tls=tls is not None))
    finally:
        await asked.aclose()
    return None if found is None else Address(str(found[0], "utf-8", "replace"), int(found[1]))


def _as_sentinels(error: TriageError, where: Address, *, over_tls: bool) -> str:
    """The sentence of `error` with the options that are the Sentinels' own: the servers' may be right as they are.

    One without TLS answers a greeting over TLS with silence, as it waits for the end of a line.
    """
    told = _TLS_OPTIONS.sub(r"--sentinel-\1", str(error)).replace(str(where), f"{where}, asked as a Sentinel,", 1)
    silent = over_tls and "did not answer in time" in told
    return f"{told}, or it does not speak TLS: try --no-sentinel-tls" if silent else told
