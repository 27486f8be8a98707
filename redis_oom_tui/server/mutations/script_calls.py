"""Calls of scripts: whole the first time on a connection, then by their SHA-1 alone.

A script is 3 KB, which in a cluster would go out for each key. A server forgets scripts (SCRIPT FLUSH, a restart,
another node after a failover): what it does not know is sent whole again. A user who may only EVAL, or only EVALSHA and
SCRIPT LOAD, is served by that.
"""

import hashlib
import re
from collections import deque
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any

from redis_oom_tui.models.errors import CommandMissing, CommandRefused, PermissionRefused, TriageError
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.mutations.scripts import DUE, NOT_SAVED, WANTS
from redis_oom_tui.server.resp import packed

_FIRST_TYPE = 3
_UNKNOWN_SCRIPT = "No matching script"
# Such a refusal is of the command itself; nothing of the script ran.
_MAY_NOT_CALL = re.compile(r"(permissions? to run the|unknown command) ['`](eval|evalsha)['`]", re.IGNORECASE)
# By its SHA-1, whole, by its SHA-1 behind SCRIPT LOAD, and once more where a flush came between.
_MOST_TRIES = 4


class _Way(Enum):
    """How a script is called."""

    WHOLE = "EVAL"
    BY_SHA = "EVALSHA"
    LOADED = "SCRIPT LOAD"

    # Looked up for each call: that of Enum takes longer than the look.
    __hash__ = object.__hash__


_NAMES = {_Way.WHOLE: ("EVAL",), _Way.BY_SHA: ("EVALSHA",), _Way.LOADED: ("SCRIPT LOAD", "EVALSHA")}


class ScriptCall:
    """One call of `script`; `arguments` begin with the number of keys. `reply` is None until it came."""

    __slots__ = ("arguments", "done", "reply", "script", "tries", "way")

    def __init__(self, script: bytes, arguments: Sequence[bytes]) -> None:
        self.script = script
        self.arguments = arguments
        self.way = _Way.WHOLE
        self.tries = 0
        self.reply: Any = None
        self.done = False


class ScriptCaller:
    """Calls scripts on `channel`, the replies in order, several calls on their way at once."""

    def __init__(self, channel: ExclusiveConnection) -> None:
        self._channel = channel
        # None stands for the reply to SCRIPT LOAD.
        self._on_the_way: deque[ScriptCall | None] = deque()

    async def call(self, *calls: ScriptCall) -> list[Any]:
        """The replies to `calls`. Raises ServerUnreachable where they were lost."""
        await self.send(*calls)
        return await self.replies(calls)

    async def send(self, *calls: ScriptCall) -> None:
        """Send `calls` without waiting for their replies. Raises as `call` does."""
        await self._channel.open()
        buffer: list[bytes] = []
        names: list[str] = []
        sent = len(self._on_the_way)
        for call in calls:
            call.way = self._way(call)
            call.tries += 1
            if call.way is _Way.LOADED:
                buffer.append(packed((b"SCRIPT", b"LOAD", call.script)))
                self._on_the_way.append(None)
            buffer.append(_packed(call))
            self._on_the_way.append(call)
            names += _NAMES[call.way]
            self._channel.scripts.known.add(call.script)
        await self._channel.send(names, b"".join(buffer), len(self._on_the_way) - sent)

    async def replies(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """The replies to `calls`, which were sent; a refusal stands in its place. Raises as `call` does."""
        while any(not call.done for call in calls):
            number = self._up_to({id(call) for call in calls if not call.done})
            waiting = list(islice(self._on_the_way, number))
            names = ["SCRIPT LOAD" if call is None else _NAMES[call.way][-1] for call in waiting]
            replies = await self._channel.replies(names)
            for _ in range(number):
                self._on_the_way.popleft()
            again = [call for call, reply in zip(waiting, replies, strict=True) if self._takes_again(call, reply)]
            if again:
                await self.send(*[call for call in again if call is not None])
        return [call.reply for call in calls]

    def _up_to(self, wanted: set[int]) -> int:
        """How many replies come until the last of the `wanted` calls has its own."""
        return 1 + max([at for at, call in enumerate(self._on_the_way) if id(call) in wanted])

    def _way(self, call: ScriptCall) -> _Way:
        scripts = self._channel.scripts
        if _Way.BY_SHA in scripts.refused:
            return _Way.WHOLE
        if call.script in scripts.known:
            return _Way.BY_SHA
        return _Way.LOADED if _Way.WHOLE in scripts.refused else _Way.WHOLE

    def _takes_again(self, call: ScriptCall | None, reply: object) -> bool:
        """Take the reply to `call`; whether it is to be sent again, another way."""
        if call is None:
            return False
        if not isinstance(reply, TriageError):
            call.reply, call.done = reply, True
            return False
        scripts = self._channel.scripts
        text = reply.text if isinstance(reply, (PermissionRefused, CommandMissing)) else ""
        refused = _MAY_NOT_CALL.search(text) is not None
        forgotten = isinstance(reply, CommandRefused) and _UNKNOWN_SCRIPT in reply.text
        if refused:
            scripts.refused.add(_Way.WHOLE if call.way is _Way.WHOLE else _Way.BY_SHA)
        if refused or forgotten:
            scripts.known.discard(call.script)
        hopeless = len(scripts.refused) > 1 or call.tries >= _MOST_TRIES
        if (refused or forgotten) and not hopeless:
            return True
        call.reply, call.done = reply, True
        return False


def checking(script: bytes, wanted: Sequence[Expected], due_ms: Sequence[int] = (), limit: bytes = b"") -> ScriptCall:
    """One call of `script` about keys as they are `wanted`; where it takes them, with `due_ms` or a `COPY_LIMIT`.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> checking(b"return 1", [Expected(KeyId(0, b"k"), "set", -1, -1, 9, 9)]).arguments[:2]
    [b'1', b'k']
    """
    kinds = [want.type for want in wanted]
    types = list(dict.fromkeys(kinds))
    number = {kind: at for at, kind in enumerate(types, _FIRST_TYPE)}
    records = [
        WANTS.pack(number[want.type], want.expires_ms, want.used_at, want.smallest, want.largest) for want in wanted
    ]
    if due_ms:
        records = [record + DUE.pack(due) for record, due in zip(records, due_ms, strict=True)]
    digests = [want.digest for want in wanted]
    saved = "".join([digest or NOT_SAVED for digest in digests]).encode("ascii") if any(digests) else b""
    names = [want.id.key for want in wanted]
    type_names = [kind.encode("ascii", "replace") for kind in types]
    return ScriptCall(script, [b"%d" % len(names), *names, limit + b"".join(records), saved, *type_names])


def _packed(call: ScriptCall) -> bytes:
    if call.way is _Way.WHOLE:
        return packed((b"EVAL", call.script, *call.arguments))
    return packed((b"EVALSHA", _sha(call.script), *call.arguments))


@lru_cache(maxsize=16)
def _sha(script: bytes) -> bytes:
    return hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()
