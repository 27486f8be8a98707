"""A key is shrunk on screen, from its details to the report, on live servers."""

from pathlib import Path

import pytest

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.state import Stage
from redis_oom_tui.tui.messages import ShowDetails
from tests.tui.support import screen_text, until
from tests.tui.test_dialogs_live import is_ready, live_app, yes

pytestmark = pytest.mark.usefixtures("listening_at_once")
NAME = b"log [red]\xff"


async def asked(pilot, *keys: str, size_note: str = "") -> None:
    """From the key's details to the answer of the first question."""
    app = pilot.app
    await until(pilot, lambda: is_ready(app))
    app.post_message(ShowDetails(KeyId(0, NAME)))
    await until(pilot, lambda: "elements" in screen_text(app) or "encoding" in screen_text(app))
    await pilot.press("s")
    await until(pilot, lambda: isinstance(app.screen, Dialog) and "Shrink this key" in screen_text(app))
    await pilot.press(*keys, "enter")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=str)
async def test_a_list_is_shrunk_and_restored(server, tmp_path: Path, size: tuple[int, int]) -> None:
    with server.client() as client:
        client.lpush(NAME, *[b"%d" % n for n in range(300)])
        before = client.lrange(NAME, 0, -1)
        app = live_app(server, tmp_path)
        async with app.run_test(size=size) as pilot:
            await asked(pilot, *"100")
            await until(pilot, lambda: "Where are its oldest elements?" in screen_text(app))
            await pilot.press("down", "enter")
            await yes(pilot, "Remove 200 elements?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            assert "Removed 200 of 200 elements" in screen_text(app)
            assert client.lrange(NAME, 0, -1) == before[:100]
            await pilot.press("z")
            await yes(pilot, "Restore this backup?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RESTORED)
            assert client.lrange(NAME, 0, -1) == before


async def test_a_stream_wants_the_word_and_cancel_changes_nothing(valkey, tmp_path: Path) -> None:
    with valkey.client() as client:
        for n in range(1, 31):
            client.xadd(NAME, {"f": n}, id=f"{n}-0")
        client.xgroup_create(NAME, "mail", id="0")
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await asked(pilot, *"10")
            await until(pilot, lambda: "Remove 20 entries?" in screen_text(app))
            text = " ".join(screen_text(app).split())
            assert "Group 'mail' has not read 20 of the entries that go" in text
            assert "no ID below its last one" in text
            assert app.screen.query_one("#act").disabled
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Dialog))
            assert client.xlen(NAME) == 30
            await asked(pilot, *"10")
            await until(pilot, lambda: "Remove 20 entries?" in screen_text(app))
            await pilot.press(*"shrink", "enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            assert client.xlen(NAME) == 10


async def test_what_cannot_be_meant_stays_in_the_question(valkey, tmp_path: Path) -> None:
    with valkey.client() as client:
        client.hset(NAME, mapping={"a": 1, "b": 2})
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await asked(pilot)
            await until(pilot, lambda: "not empty" in screen_text(app))
            await pilot.press("x", "enter")
            await until(pilot, lambda: "None of the 2 fields is to go." in screen_text(app))
            await asked(pilot, "*")
            await until(pilot, lambda: "To delete: 1 key" in screen_text(app))
            assert client.hlen(NAME) == 2
            client.delete(NAME)
            client.set(NAME, "x")
            app.post_message(ShowDetails(KeyId(0, NAME)))
            await until(pilot, lambda: "encoding" in screen_text(app))
            await pilot.press("s")
            assert not isinstance(app.screen, Dialog)
