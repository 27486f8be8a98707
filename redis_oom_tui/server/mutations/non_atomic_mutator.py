"""Check keys and then act on them in two steps, where EVAL is refused: a change within that moment would go unseen."""

from collections.abc import Sequence
from typing import Any

from redis_oom_tui.models.errors import ErrorClass, ServerBusy, TriageError
from redis_oom_tui.rules.expected_state import (
    IN_USE,
    SHARED_ROOM,
    SHARED_USERS,
    Expected,
    ServerTime,
    difference,
    may_be_shared,
)
from redis_oom_tui.rules.headroom import size_is_reported
from redis_oom_tui.rules.sizing import SAMPLES
from redis_oom_tui.server.mutations.connections import Command, ExclusiveConnection
from redis_oom_tui.server.mutations.replies import (
    ASKED,
    Limit,
    ReplyOrError,
    Saved,
    Uncopied,
    digest,
    integer,
    reply_or_error,
    saved,
    string,
    time_of_replies,
)
from redis_oom_tui.server.mutations.scripts import Reply

_TRIES = 3
_DIFFERENCES = {"gone": Reply.GONE, "type": Reply.TYPE, "ttl": Reply.TTL, "used": Reply.USED, "size": Reply.SIZE}


class NonAtomicMutator:
    """What `scripts` do to keys, by single commands on `channel`."""

    def __init__(self, channel: ExclusiveConnection) -> None:
        self._channel = channel

    async def delete(self, wanted: Sequence[Expected]) -> list[ReplyOrError]:
        """UNLINK each key that looks as expected."""
        differences, _, _ = await self._differences(wanted)
        return await self._act([*differences], [("UNLINK", want.id.key) for want in wanted])

    async def expire(self, wanted: Sequence[Expected], due_ms: Sequence[int]) -> list[ReplyOrError]:
        """Give each key that looks as expected its end, in a second at the earliest; EARLIER where it ends sooner."""
        differences, ttls, now = await self._differences(wanted)
        commands: list[Command | None] = []
        for want, ttl, due in zip(wanted, ttls, due_ms, strict=True):
            # By what it has now, as the script does: never is a TTL made longer.
            sooner = 0 <= ttl <= due - now.ms
            commands.append(None if sooner else ("PEXPIREAT", want.id.key, max(due, now.ms + 1000)))
        return await self._act([*differences], commands)

    async def _act(self, results: list[ReplyOrError], commands: Sequence[Command | None]) -> list[ReplyOrError]:
        """Send the command of each key that is DONE; a key without one is EARLIER."""
        acting = [at for at, reply in enumerate(results) if reply is Reply.DONE and commands[at] is not None]
        for at, reply in enumerate(results):
            if reply is Reply.DONE and commands[at] is None:
                results[at] = Reply.EARLIER
        replies = await self._channel.call([command for at in acting if (command := commands[at]) is not None])
        for at, reply in zip(acting, replies, strict=True):
            results[at] = reply_or_error(reply)
        return results

    async def save(self, wanted: Sequence[Expected], limit: Limit) -> list[Saved | Uncopied | ReplyOrError]:
        """The value of each key that looks as expected and fits into `limit`."""
        differences, _, _ = await self._differences(wanted, saving=True)
        results: list[Saved | Uncopied | ReplyOrError] = [*differences]
        try:
            sizes = await self._sizes(wanted, [at for at, reply in enumerate(results) if reply is Reply.DONE])
        except ServerBusy as busy:
            return [busy if reply is Reply.DONE else reply for reply in results]
        held = 0
        for at, size in sizes.items():
            if not limit.unsized if size is None else size > limit.most:
                results[at] = Uncopied(size)
            elif held and held + (size or 0) > limit.at_once:
                results[at] = Reply.LATER
            else:
                held += size or 0
        acting = [at for at in sizes if results[at] is Reply.DONE]
        commands: list[Command] = []
        for at in acting:
            name = wanted[at].id.key
            commands += [("OBJECT", "IDLETIME", name), ("OBJECT", "FREQ", name), ("PTTL", name), ("DUMP", name)]
        replies = await self._channel.call([*ASKED, *commands])
        try:
            now = time_of_replies(replies[: len(ASKED)])
        except ServerBusy as busy:
            return [busy if reply is Reply.DONE else reply for reply in results]
        del replies[: len(ASKED)]
        for number, at in enumerate(acting):
            idle, frequency, ttl, payload = replies[4 * number : 4 * number + 4]
            if isinstance(payload, bytes):
                known = [reply if isinstance(reply, int) else -1 for reply in (ttl, idle, frequency)]
                size = sizes[at]
                results[at] = saved([payload, *known, -1 if size is None else size, now.ms])
            else:
                results[at] = Reply.GONE if payload is None else reply_or_error(payload)
        return results

    async def _sizes(self, wanted: Sequence[Expected], places: Sequence[int]) -> dict[int, int | None]:
        """How large the keys at `places` are, all their elements looked at; None where nobody knows."""
        commands: list[Command] = [("MEMORY", "USAGE", wanted[at].id.key, "SAMPLES", 0) for at in places]
        sizes: dict[int, int | None] = {}
        for at, reply in zip(places, await self._channel.call(commands), strict=True):
            if (busy := _not_of_key(reply)) is not None:
                raise busy
            size = reply if isinstance(reply, int) else None
            if size is None and wanted[at].type == "string":
                length = (await self._channel.call([("STRLEN", wanted[at].id.key)]))[0]
                size = length + len(wanted[at].id.key) + SHARED_ROOM if isinstance(length, int) else None
            known = size_is_reported(wanted[at].type, size, len(wanted[at].id.key))
            sizes[at] = size if known else None
        return sizes

    async def _differences(
        self, wanted: Sequence[Expected], *, saving: bool = False
    ) -> tuple[list[ReplyOrError], list[int], ServerTime]:
        """DONE for each key that looks as expected, its PTTL (-1: none), and the server's time of both."""
        try:
            replies, now = await self._facts(wanted)
        except ServerBusy as busy:
            return [busy] * len(wanted), [-1] * len(wanted), ServerTime(0)
        # After the idle times: a key that came to share a number since then was changed within that moment.
        unseen = await self._unseen(wanted)
        results: list[ReplyOrError] = []
        ttls: list[int] = []
        for at, want in enumerate(wanted):
            kind, ttl, idle, size = replies[4 * at : 4 * at + 4]
            kind, ttl = string(kind), integer(ttl)
            ttls.append(-1 if isinstance(ttl, TriageError) else ttl)
            if isinstance(kind, TriageError):
                results.append(kind)
                continue
            if isinstance(ttl, TriageError):
                results.append(ttl)
                continue
            if (refusal := _not_of_key(idle) or _not_of_key(size)) is not None:
                results.append(refusal)
                continue
            differs = difference(
                want,
                None if kind == b"none" or ttl == -2 else kind.decode("ascii", "replace"),
                None if ttl < 0 else ttl,
                idle if isinstance(idle, int) and at not in unseen else None,
                size if isinstance(size, int) else None,
                now,
            )
            allowed = saving or bool(want.digest)
            in_use = Reply.IN_USE if want.used_at == IN_USE else Reply.DONE
            same = Reply.DONE if allowed else unseen.get(at, in_use)
            results.append(same if differs is None else _DIFFERENCES[differs])
        return await self._same_content(wanted, results), ttls, now

    async def _facts(self, wanted: Sequence[Expected]) -> tuple[list[Any], ServerTime]:
        """Type, PTTL, idle time and size of each key, and the time when they were told.

        They are asked again where the clock of idle times went on meanwhile: then it is not known of which second they
        are. After some tries the later one counts, by which a key may look used that was not.
        """
        commands: list[Command] = []
        for want in wanted:
            name = want.id.key
            commands += [("TYPE", name), ("PTTL", name), ("OBJECT", "IDLETIME", name)]
            commands.append(("MEMORY", "USAGE", name, "SAMPLES", SAMPLES))
        for left in reversed(range(_TRIES)):
            replies = await self._channel.call([*ASKED, *commands, *ASKED])
            before, now = time_of_replies(replies[: len(ASKED)]), time_of_replies(replies[-len(ASKED) :])
            if not left or before.idle_clock == now.idle_clock:
                break
        return replies[len(ASKED) : -len(ASKED)], now

    async def _unseen(self, wanted: Sequence[Expected]) -> dict[int, ReplyOrError]:
        """The keys whose idle time is not, or may not be, their own, and why; by position."""
        asked = [at for at, want in enumerate(wanted) if may_be_shared(want)]
        users = await self._of("REFCOUNT", [wanted[at] for at in asked])
        unseen: dict[int, ReplyOrError] = {
            at: Reply.SHARED for at, number in zip(asked, users, strict=True) if _is_shared(number)
        }
        refused = [at for at, number in zip(asked, users, strict=True) if isinstance(number, TriageError)]
        for at, encoding in zip(refused, await self._of("ENCODING", [wanted[at] for at in refused]), strict=True):
            if encoding == b"int" or isinstance(encoding, TriageError):
                unseen[at] = _not_of_key(encoding) or Reply.UNSURE
        return unseen

    async def _of(self, fact: str, wanted: Sequence[Expected]) -> list[Any]:
        return await self._channel.call([("OBJECT", fact, want.id.key) for want in wanted])

    async def _same_content(self, wanted: Sequence[Expected], results: list[ReplyOrError]) -> list[ReplyOrError]:
        """`results`, with CONTENT for the keys that are no longer as they were saved."""
        kept = [at for at, reply in enumerate(results) if reply is Reply.DONE and wanted[at].digest]
        dumps = await self._channel.call([("DUMP", wanted[at].id.key) for at in kept])
        for at, payload in zip(kept, dumps, strict=True):
            if payload is None:
                results[at] = Reply.GONE
            elif isinstance(payload, TriageError):
                results[at] = payload
            elif not isinstance(payload, bytes) or digest(payload) != wanted[at].digest:
                results[at] = Reply.CONTENT
        return results


def _not_of_key(reply: object) -> TriageError | None:
    """The refusal, where it says nothing about the key: then nothing is known of that, and nothing may be done."""
    of_another = isinstance(reply, TriageError) and reply.error_class is not ErrorClass.KEY
    return reply if isinstance(reply, TriageError) and of_another else None


def _is_shared(users: Any) -> bool:
    return isinstance(users, int) and users > SHARED_USERS
