"""What Sentinels say of a master, and where one server is: as it was given, or as they name it."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from redis.asyncio import Redis

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Address, Connection, Sentinel
from redis_oom_tui.models.errors import LoginRefused, NotRedis, ServerUnreachable, TriageError
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.connection_options import with_tls_hint
from redis_oom_tui.server.errors import not_redis, translated
from redis_oom_tui.server.tasks import together

_ASK = ("SENTINEL GET-MASTER-ADDR-BY-NAME",)
# In two words: redis-py has a reader of its own for the one, which wants every field to be there.
_TELL, _LIST = ("SENTINEL", "MASTER"), ("SENTINEL", "MASTERS")
# How many names of other masters a refusal lists.
_NAMED = 5
_TLS_OPTIONS = re.compile(r"--(tls|cacert|cert|key|sni)\b")


class NamedMaster(NamedTuple):
    """The master as the Sentinels name it; `doubt` says in a sentence where they do not agree, else it is ''."""

    address: Address
    doubt: str = ""


async def master_of(connection: Connection, sentinel: Sentinel) -> NamedMaster:
    """Where the Sentinels say that the master is; a Sentinel cut off from the others is outvoted.

    The timeouts are those of `connection`, user and password the Sentinels' own, and TLS too where they have one.
    Returns as soon as more than half agree, in any case after one connect and one read timeout; where they do not, the
    one that knows of the latest failover is believed, which takes as long again. Raises what the last of them failed
    with, or NotRedis where none knows the name.
    """
    asking = {asyncio.ensure_future(_ask(connection, sentinel, where)): where for where in sentinel.addresses}
    masters: dict[Address, Address] = {}
    failure: TriageError | None = None
    unanswered = set(asking)
    try:
        while unanswered:
            answered, unanswered = await asyncio.wait(unanswered, return_when=asyncio.FIRST_COMPLETED)
            for answer in answered:
                named = answer.result()
                if isinstance(named, TriageError):
                    failure = named
                elif named is not None:
                    masters[asking[answer]] = named
            if masters and Counter(masters.values()).most_common(1)[0][1] * 2 > len(sentinel.addresses):
                break
    finally:
        for unfinished in unanswered:
            unfinished.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)
    if masters:
        return await _believed(connection, sentinel, masters)
    if failure is not None and len(sentinel.addresses) > 1:
        raise type(failure)(f"none of the {len(sentinel.addresses)} Sentinels named the master: {failure}")
    if failure is not None:
        raise failure
    known = await _known(connection, sentinel)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    others = f"; known: {', '.join(known[:_NAMED])}{more}" if known else ""
    raise NotRedis(f"no Sentinel knows a master named {safe_text(sentinel.master, 80)}: check --master{others}")


async def _known(connection: Connection, sentinel: Sentinel) -> list[str]:
    """The names of the masters that the Sentinels know, as harmless text."""
    answers = await together(_answer(connection, sentinel, where, _LIST) for where in sentinel.addresses)
    found = {fields.get(b"name") for answer in answers if isinstance(answer, list) for fields in map(_fields, answer)}
    return sorted(safe_text(name, 80) for name in found if isinstance(name, bytes))


async def _believed(connection: Connection, sentinel: Sentinel, named: Mapping[Address, Address]) -> NamedMaster:
    """Which of the masters that each Sentinel `named` is believed: that of most that were given, else of the latest
    failover, else of most that answered, else of the one given first.
    """
    votes = Counter(named.values())
    most, number = votes.most_common(1)[0]
    if len(votes) == 1 or number * 2 > len(sentinel.addresses):
        return NamedMaster(most)
    asked = [where for where in dict.fromkeys(sentinel.addresses) if where in named]
    found = await together(_epoch(connection, sentinel, where) for where in asked)
    epochs = dict(zip(asked, found, strict=True))

    def weight(where: Address) -> tuple[int, int]:
        epoch = epochs[where]
        return -1 if epoch is None else epoch, votes[named[where]]

    best = max(asked, key=weight)
    rivals = [where for where in asked if named[where] != named[best]]
    if weight(best)[0] > max(weight(where)[0] for where in rivals):
        why = "it knows of a later failover"
    elif votes[named[best]] > max(votes[named[where]] for where in rivals):
        why = "more of them say so"
    else:
        why = "it was given first; ask others with --sentinel"
    each = ", ".join(f"{where} names {named[where]} ({_epoch_words(epochs[where])})" for where in asked)
    master = safe_text(sentinel.master, 80)
    return NamedMaster(
        named[best], f"the Sentinels disagree about the master of {master}: {each}; {best} is believed, as {why}"
    )


def _epoch_words(epoch: int | None) -> str:
    return "config-epoch unknown" if epoch is None else f"config-epoch {epoch}"


def doubt(where: Address, sentinel: Sentinel) -> str:
    """What to say of a server that the Sentinels take for the master, and that says itself that it is none."""
    return (
        f"the Sentinels name {where} as master of {safe_text(sentinel.master, 80)}, and it says that it is a replica:"
        " they may be isolated, or a failover may be under way; ask others with --sentinel"
    )


async def _ask(connection: Connection, sentinel: Sentinel, where: Address) -> Address | TriageError | None:
    """The master that the Sentinel at `where` names, None for none, or why it did not say."""
    found = await _answer(connection, sentinel, where, _ASK, sentinel.master)
    if found is None or isinstance(found, TriageError):
        return found
    words = found if isinstance(found, list) else []
    if [type(word) for word in words] != [bytes, bytes] or not re.fullmatch(rb"[0-9]{1,5}", words[1]):
        return not_redis(f"{where}, a Sentinel,")
    return Address(words[0].decode("utf-8", "replace"), int(words[1]))


async def _epoch(connection: Connection, sentinel: Sentinel, where: Address) -> int | None:
    """The number of the latest failover that the Sentinel at `where` knows of; None where it does not tell."""
    epoch = _fields(await _answer(connection, sentinel, where, _TELL, sentinel.master)).get(b"config-epoch")
    return int(epoch) if isinstance(epoch, bytes) and re.fullmatch(rb"[0-9]{1,20}", epoch) else None


def _fields(answer: Any) -> dict[bytes, Any]:
    """Names and values that come in turns; {} where an answer is no such list."""
    words = answer if isinstance(answer, list) else []
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if isinstance(name, bytes)}


async def _answer(
    connection: Connection, sentinel: Sentinel, where: Address, command: tuple[str, ...], *arguments: str
) -> Any:
    """What the Sentinel at `where` answers to `command` with these `arguments`, or why it did not answer."""
    tls = sentinel.tls_beside(connection.tls)
    login = replace(connection, username=sentinel.username, password=sentinel.password)
    way = replace(login, address=where, sentinel=None, tls=tls)
    asked = make_client(way)
    try:
        return await with_tls_hint(way, _asked(asked, command, arguments, where))
    except LoginRefused:
        return LoginRefused(f"{where}, a Sentinel, refused the login: check --sentinel-user and --sentinel-pass")
    except TriageError as error:
        return type(error)(_as_sentinels(error, where))
    finally:
        await asked.aclose()


async def _asked(asked: Redis, command: tuple[str, ...], arguments: tuple[str, ...], where: Address) -> Any:
    with translated(where, " ".join(command)):
        return await asked.execute_command(*command, *arguments)


def _as_sentinels(error: TriageError, where: Address) -> str:
    """The sentence of `error` with the options that are the Sentinels' own: the servers' may be right as they are."""
    own = str(error).replace("without --tls", "--no-sentinel-tls")
    return _TLS_OPTIONS.sub(r"--sentinel-\1", own).replace(str(where), f"{where}, asked as a Sentinel,", 1)


class MasterLocator:
    """`connection` leads to the server, as known by now. Each change is said once, in `new_notes`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._doubted = ""
        self._disagreed = ""
        self._new_notes: tuple[str, ...] = ()

    async def find(self) -> bool:
        """Ask the Sentinels, if there are any; True where they name another address than before.

        Raises one of `models.errors` where none of them names the master.
        """
        sentinel = self.connection.sentinel
        if sentinel is None:
            return False
        named = await master_of(self.connection, sentinel)
        if named.doubt and named.doubt != self._disagreed:
            self._new_notes += (named.doubt,)
        self._disagreed = named.doubt
        if named.address == self.connection.address:
            return False
        self.connection = replace(self.connection, address=named.address)
        return True

    async def follow(self) -> bool:
        """Whether a failover was found: `connection` leads to the new master then. False where nobody tells."""
        before = self.connection.address
        try:
            moved = await self.find()
        except TriageError:
            return False
        if moved:
            note = f"failover: the Sentinels now name {self.connection.address} as master of {self._name()}"
            self._new_notes = (f"{note}, instead of {before}", *self._new_notes)
        return moved

    def doubt(self) -> None:
        """The server is a replica: say once of each address that the Sentinels take it for the master."""
        sentinel, where = self.connection.sentinel, str(self.connection.address)
        if sentinel is not None and self._doubted != where:
            self._doubted = where
            self._new_notes += (doubt(self.connection.address, sentinel),)

    def new_notes(self) -> tuple[str, ...]:
        """What there is to say since this was asked last."""
        new_notes, self._new_notes = self._new_notes, ()
        return new_notes

    def named(self, error: ServerUnreachable) -> ServerUnreachable:
        """`error`, with who sent us there."""
        if self.connection.sentinel is None:
            return error
        return ServerUnreachable(f"{error} (the Sentinels name it as master of {self._name()})")

    def _name(self) -> str:
        sentinel = self.connection.sentinel
        return "" if sentinel is None else safe_text(sentinel.master, 80)
