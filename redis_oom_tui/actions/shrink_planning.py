"""Which elements of a key would go: read without changing anything, counted, and frozen."""

import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TypeVar

from redis_oom_tui.actions.context import ActionContext, PacedWork
from redis_oom_tui.actions.deployment import ActionNode, Deployment
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import BadInput, ServerUnreachable, TriageError
from redis_oom_tui.models.stepped import Element, MarkedElement, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import headroom, shrinking, streams
from redis_oom_tui.rules.applications.losses import lost_by_shrinking
from redis_oom_tui.server.call_throttle import CallThrottle, paced
from redis_oom_tui.server.mutations import shrinking as elements
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, SearchConnection
from redis_oom_tui.server.mutations.shrinking import KeyState
from redis_oom_tui.server.replies import group_health

_Page = TypeVar("_Page")
_SAMPLED = 50
_TOUCHED = "Reading the key for this preview has reset its idle time, as CLIENT NO-TOUCH is not available here: {}."
_DELETED_MEANWHILE = "The key has changed while it was read: preview again"


def node_of(deployment: Deployment, key: bytes) -> ActionNode:
    """The node that serves `key`. Raises ServerUnreachable where none does."""
    place = deployment.place_of(key)
    if place is None:
        raise ServerUnreachable("No node serves the slot of the key now")
    return deployment.node(place)


async def each_page(
    throttle: CallThrottle, pages: AsyncIterator[_Page], stopped: Callable[[], bool] = lambda: False
) -> AsyncGenerator[_Page, None]:
    """The pages, as fast as the server is to be asked. Raises BadInput where it was stopped."""
    while True:
        if stopped():
            raise BadInput("Stopped before all was read: nothing was done")
        try:
            page = await paced(throttle, anext(pages), 1)
        except StopAsyncIteration:
            return
        yield page


class ShrinkPlanner(PacedWork):
    """A plan to shrink a key in the making. Implements `ports.ShrinkPlanning`."""

    def __init__(self, context: ActionContext, deployment: Deployment, request: ShrinkRequest) -> None:
        super().__init__()
        shrinking.check(request)
        self._wall = context.wall
        self._deployment = deployment
        self._request = request
        self._counted = 0
        # How many elements one reply may bring: it counts toward maxmemory until it is read.
        self._at_once = 1

    def view(self) -> int:
        """How many elements were read."""
        return self._counted

    async def run(self) -> ShrinkPlan:
        """The frozen plan. Raises BadInput where the key cannot be shrunk like that, or another of `models.errors`."""
        await self._deployment.refresh()
        server, rights = node_of(self._deployment, self._request.key.key)
        known = await self._patiently(server, rights.learn)
        snapshot = await self._patiently(server, server.snapshot)
        why_not = known.why_not(Feature.NO_TOUCH)
        changing = why_not is not None and not server.connection.read_only
        async with (
            SearchConnection(
                server, self._request.key.db, snapshot.server.run_id, lambda: self._stop, changing=changing
            ) as channel,
            self._throttled(server, scanning=True) as throttle,
        ):
            plan = await self._planned(channel, throttle, headroom.headroom(snapshot))
        lost = lost_by_shrinking(plan.key, plan.type) if plan.going else ()
        touched = () if why_not is None else (_TOUCHED.format(safe_text(why_not.rstrip("."), 120)),)
        return shrinking.frozen(
            replace(
                plan,
                server=str(server.address),
                run_id=snapshot.server.run_id,
                role=snapshot.server.role,
                flags=(*lost, *plan.flags, *touched, *rights.weaknesses(Action.SHRINK)),
            )
        )

    async def _planned(
        self, channel: ExclusiveConnection, throttle: CallThrottle, free_bytes: int | None
    ) -> ShrinkPlan:
        request = self._request
        state = await elements.key_state(channel, request.key.key)
        if state is None:
            raise BadInput("There is no such key now")
        shrinking.check_type(request, state.type)
        plan = ShrinkPlan(request, state.type, state.elements, 0, self._wall(), "", size=state.size)
        self._at_once = headroom.elements_at_once(state.size, state.elements, free_bytes)
        if state.type in shrinking.BY_NAME:
            return await self._by_name(channel, throttle, plan)
        if state.type == "stream":
            return await self._of_stream(channel, throttle, plan, state)
        return await self._by_rank(channel, plan, state)

    async def _by_rank(self, channel: ExclusiveConnection, plan: ShrinkPlan, state: KeyState) -> ShrinkPlan:
        """A list or a sorted set: the oldest have the first positions."""
        request, key, end = plan.request, plan.key.key, plan.request.oldest_end
        going = max(0, plan.elements - (request.keep_last or 0))

        async def some(start: int, number: int) -> list[Element]:
            return await elements.first_elements(channel, key, plan.type, number, end, start=start)

        if request.older_than_seconds is not None:
            scores = [float(element[1]) for at in (0, plan.elements - 1) for element in await some(at, 1)]
            unit = shrinking.unit_of(scores, request.score_unit)
            seconds = state.now_ms / 1000 - request.older_than_seconds
            before = seconds if unit is ScoreUnit.SECONDS else seconds * 1000
            going = await elements.count_scores_below(channel, key, before)
            plan = replace(plan, request=replace(request, score_unit=unit))
        shrinking.stays_alive(plan.type, plan.elements, going)
        if not going:
            return plan
        most = min(_SAMPLED, self._at_once)
        number = min(most, going)
        first, last = await some(0, number), await some(going - number, number)
        stays = await some(going, min(most, plan.elements - going))
        if not first or not last:
            raise TriageError(_DELETED_MEANWHILE)
        return _ended(plan, going, first[0], last[-1], ([*first, *last], stays))

    async def _of_stream(
        self, channel: ExclusiveConnection, throttle: CallThrottle, plan: ShrinkPlan, state: KeyState
    ) -> ShrinkPlan:
        request, key = plan.request, plan.key.key
        first = await elements.first_elements(channel, key, "stream", min(_SAMPLED, self._at_once))
        if not first:
            return plan
        if request.older_than_seconds is not None:
            if not shrinking.has_times(first[0][0]):
                raise BadInput("The IDs of this stream are no times: say --keep-last N instead of --older-than")
            before_ms = state.now_ms - request.older_than_seconds * 1000
            if before_ms <= 0:
                # No ID is below 0, and the server refuses to read one that is.
                return plan
            end = b"(%d-0" % before_ms
            pages = elements.entry_pages(channel, key, self._at_once, end=end)
            going, newest = await self._last_of(throttle, pages, None)
        else:
            going = max(0, plan.elements - (request.keep_last or 0))
            kept = plan.elements - going
            # Whichever way is shorter: what stays, or what goes.
            backward = kept < going
            pages = elements.entry_pages(channel, key, self._at_once, newest_first=backward)
            _, newest = await self._last_of(throttle, pages, kept + 1 if backward else going)
        if not going or newest is None:
            return plan
        stays = await self._newest(channel, key) if going < plan.elements else []
        plan = _ended(plan, going, first[0], newest, ([*first[:going], newest], stays))
        flags: tuple[str, ...] = ()
        for group in await elements.groups_up_to(channel, key, newest[0], self._at_once):
            flags += shrinking.group_flags(group.name, group.pending, group.unread)
        groups, mean = await group_health(channel.call, key), shrinking.entry_bytes([*first, *stays, newest])
        flags += (*shrinking.held_by_groups(plan, mean, groups), *streams.health(groups))
        return replace(plan, about_bytes=shrinking.about_entries(plan, mean, groups), flags=flags)

    async def _newest(self, channel: ExclusiveConnection, key: bytes) -> list[Element]:
        newest = elements.entry_pages(channel, key, min(_SAMPLED, self._at_once), newest_first=True)
        async with contextlib.aclosing(_generator(newest)) as pages:
            return list(await anext(pages))

    async def _last_of(
        self, throttle: CallThrottle, pages: AsyncIterator[list[Element]], most: int | None
    ) -> tuple[int, Element | None]:
        """How many come, up to `most`, and the last of them."""
        counted, last = 0, None
        async for page in each_page(throttle, pages, lambda: self._stop):
            taken = page if most is None else page[: most - counted]
            counted, last = counted + len(taken), taken[-1] if taken else last
            self._counted = counted
            if most is not None and counted >= most:
                break
        return counted, last

    async def _by_name(self, channel: ExclusiveConnection, throttle: CallThrottle, plan: ShrinkPlan) -> ShrinkPlan:
        glob = plan.request.matching or b""
        found: dict[bytes, MarkedElement] = {}
        weights: list[Element] = []
        pages = elements.matching_elements(channel, plan.key.key, plan.type, glob, self._at_once)
        async for page in each_page(throttle, pages, lambda: self._stop):
            weights += page[: max(0, 2 * _SAMPLED - len(weights))]
            for element in page:
                found[element[0]] = marked(element)
            self._counted += len(page)
            if len(found) >= shrinking.MOST_MARKED:
                break
        shrinking.stays_alive(plan.type, plan.elements, len(found))
        if not found:
            return plan
        more = (
            (f"Only the first {len(found):,} that match are in this plan: shrink again for the rest.",)
            if len(found) >= shrinking.MOST_MARKED
            else ()
        )
        names = list(found)
        plan = replace(plan, marked=tuple(found.values()), flags=more)
        return _ended(plan, len(found), (names[0],), (names[min(1, len(names) - 1)],), (weights, weights))


async def _generator(pages: AsyncIterator[_Page]) -> AsyncGenerator[_Page, None]:
    async for page in pages:
        yield page


def marked(element: Element) -> MarkedElement:
    """What a plan remembers of a field or member."""
    return MarkedElement(element[0], hashlib.blake2b(b"".join(element[1:2]), digest_size=8).digest())


def _ended(
    plan: ShrinkPlan, going: int, oldest: Element, newest: Element, samples: tuple[Sequence[Element], Sequence[Element]]
) -> ShrinkPlan:
    """`plan` with what goes; `samples` are some elements that go and some that stay."""
    goes, stays = (sum(sum(map(len, one)) for one in some) / len(some) if some else 0.0 for some in samples)
    about = shrinking.about_bytes(plan.size, plan.elements, going, (goes, stays))
    return replace(plan, going=going, oldest=oldest, newest=newest, about_bytes=about)
