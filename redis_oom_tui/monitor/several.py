"""Several servers polled in one process: each has a poller of its own, none waits for another, all ask gently."""

import asyncio
from collections.abc import Callable, Mapping

from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.poller import PolledSource, Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.history import History

# All servers together: a poll costs this process some milliseconds.
_POLLS_PER_SECOND = 20.0
# Between the first polls of two servers, and so between all later ones: never all of them in one moment.
_GAP_SECONDS = 0.02
# All servers together: a sample takes 300 bytes, and several hours of 200 servers would take 40 MB.
_SAMPLES, _LEAST_SAMPLES, _MOST_SAMPLES = 30_000, 120, 720


def shared_history(servers: int) -> History:
    """The past of one of so many servers, as long as there is memory for all of them."""
    return History(min(_MOST_SAMPLES, max(_LEAST_SAMPLES, _SAMPLES // servers)))


class SeveralPollers:
    """Polls each of `sources` by its settings. `states` is what is known of each by now."""

    def __init__(
        self, sources: Mapping[str, PolledSource], settings: Mapping[str, WatchSettings], clock: Clock
    ) -> None:
        least = len(sources) / _POLLS_PER_SECOND
        gentle = {
            name: replace(each, interval_seconds=max(least, each.interval_seconds)) for name, each in settings.items()
        }
        self._pollers = {name: Poller(source, gentle[name], clock) for name, source in sources.items()}
        for poller in self._pollers.values():
            poller.history = shared_history(len(sources))
        self.states: dict[str, ServerState] = {name: poller.state for name, poller in self._pollers.items()}
        self.interval_seconds = max(each.interval_seconds for each in gentle.values())
        """The longest time between two polls of a server."""

    async def run(self, publish: Callable[[], None]) -> None:
        """Poll until cancelled; `publish` is called at each new state. It may be run again afterwards."""
        async with asyncio.TaskGroup() as polling:
            for place, name in enumerate(self._pollers):
                polling.create_task(self._poll(name, place * _GAP_SECONDS, publish))

    async def _poll(self, name: str, after: float, publish: Callable[[], None]) -> None:
        def take(state: ServerState) -> None:
            self.states[name] = state
            publish()

        await asyncio.sleep(after)
        await self._pollers[name].run(take)
