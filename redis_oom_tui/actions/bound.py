"""A run's bound in bytes: what it may still take, and what it has taken by the larger of plan and used_memory."""

import asyncio
import time
from collections.abc import Sequence

from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.rules.sizing import weight
from redis_oom_tui.server.live import LiveServer

# The first batch holds at most this share of the bound, so that sizes which are wrong show before it is too late, and
# those behind it the second share of what is left.
_FIRST_SHARE, _SHARE_OF_REST = 16, 4
# What used_memory moves by without anybody's keys: buffers of connections, tables that shrink.
_NOISE_BYTES, _NOISE_SHARE = 128 * 1024, 64
_POLL_SECONDS, _LONGEST_SECONDS = 0.02, 30.0


class ByteBound:
    """Holds a run on `server` to `limit` bytes. `used_bytes` is used_memory before it; where it is not known, only the
    plan's own figures count. What others write at the same time hides what was freed, so each batch counts with the
    plan's own figures where used_memory fell by less.
    """

    def __init__(self, server: LiveServer, limit: int, used_bytes: int | None) -> None:
        self.limit = limit
        self.charged = 0
        self.reached = False
        self._planned = 0
        self._server = server
        self._used = used_bytes

    def cut(self, keys: Sequence[PlannedKey], batch: Sequence[int]) -> list[int]:
        """The first positions of `batch` that may be acted on before used_memory is looked at again."""
        excess = self.charged - self._planned
        noise = excess <= max(_NOISE_BYTES, self.limit // _NOISE_SHARE)
        left = self.limit - (self._planned if noise else self.charged)
        room = min(left, max(left // _SHARE_OF_REST if self._planned else 0, self.limit // _FIRST_SHARE))
        # Where more was freed than planned, the next keys are taken to hold that much more as well.
        factor = 1.0 if noise or not self._planned else self.charged / self._planned
        held = 0.0
        for number, at in enumerate(batch):
            most = keys[at].most
            held += left + 1 if most is None else weight(most) * factor
            # The first may take all that is left: a plan may hold one key that is nearly as large as the bound.
            if held > (room if number else left):
                self.reached = self.reached or not number
                return list(batch[:number])
        return list(batch)

    async def charge(self, planned: int) -> None:
        """Count a batch of which `planned` bytes are gone by the plan's own figures. Waits until they are free."""
        used = await self._freed()
        self._planned += planned
        fell = 0 if used is None or self._used is None else self._used - used
        self.charged += max(planned, fell)
        self._used = used

    async def _freed(self) -> int | None:
        """used_memory once nothing waits to be freed in the background any more, or that takes too long."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while True:
            memory = (await self._server.snapshot()).memory
            if not memory.lazyfree_pending_objects or time.monotonic() >= deadline:
                return memory.used_bytes
            await asyncio.sleep(_POLL_SECONDS)
