"""What is read of a stream's groups."""

import pytest

from redis_oom_tui.rules.streams import group_words
from redis_oom_tui.server.replies import group_health
from tests.support.servers import available, started


@pytest.mark.parametrize("flavour", available())
async def test_all_groups_are_counted_and_those_with_most_pending_looked_into(flavour: str) -> None:
    with started(flavour) as server, server.client() as client:
        client.xadd("events", {"a": "b"})
        for number in range(60):
            client.xgroup_create("events", f"g{number}", id="0")
        client.xreadgroup("g59", "late", {"events": ">"})

        async def ask(commands: object) -> list[object]:
            return [client.execute_command(*words, NEVER_DECODE=True) for words in commands]  # type: ignore[attr-defined]

        client.response_callbacks.clear()
        groups = await group_health(ask, b"events")
    assert group_words(groups) == "60 groups, 1 consumer, 1 pending entry"
    (last,) = (group for group in groups if group.pending)
    assert [consumer.name for consumer in last.known] == [b"late"]
