"""The first screen on states of public reports: unknown figures read as such, and the cause stands on top."""

from dataclasses import replace

import pytest

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.messages import ShowHotKeys
from tests.cli.test_other_servers import HOT
from tests.support.replayed import case, replayed, reply
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, screen_text, until

SEEN = {
    "valkey2994-underflow": ("its own count is broken", "? of 10.0 GiB", "unknown, as used_memory is"),
    "elasticache-serverless-like": ("its limit is not reported", "limit not reported", "--limit SIZE"),
    "redis14310-cluster-links": ("links of the cluster bus hold 1.9 GiB", "cluster links"),
    "redis13547-rss-zero": ("58% of 512.0 MiB",),
    "redis4574-query-buffers": ("client and replica buffers use", "50 clients hold 4.8 GiB of query buffers"),
    "keydb234-oom-no-keys": ("held by no key", "no key", "KeyDB 6.0.13"),
    "kvrocks3208-replica": ("neither Redis nor Valkey", "Kvrocks unstable", "limit not reported"),
    "garnet-documented": ("neither Redis nor Valkey", "Garnet 1.0.84", "limit not reported"),
    "upstash-documented": ("neither Redis nor Valkey", "Upstash 1.10.5", "limit not reported"),
    "enterprise-documented": ("limit is not reported", "Redis Enterprise", "--limit SIZE"),
    "azure-managed-documented": ("limit is not reported", "Redis Enterprise", "--limit SIZE"),
    "azure-cache60-documented": ("redis 6.0.14 (Azure Cache for Redis)", "98% of 5.7 GiB"),
    "azure-cache40-documented": ("redis 4.0.14 (Azure Cache for Redis)", "42.6% 2.4 GiB of 5.7 GiB"),
    "memorydb-documented": ("Amazon MemoryDB", "49% of 4.0 GiB"),
    "memorystore-documented": ("95% of 4.0 GiB",),
    "tair-documented": ("49% of 4.0 GiB", "redis 5.0.5"),
    "dragonfly5431-lsn-buffers": ("neither Redis nor Valkey", "Dragonfly df-v1.31.0"),
}
NEVER = ("no limit", "No limit", "swapping", "permission", "18446744")


@pytest.mark.parametrize("name", SEEN)
async def test_the_first_screen_tells_it(name: str) -> None:
    with replayed(case(name, refused=("CONFIG",))) as port:
        source = LiveServer(Connection(Address(port=port)))
        app = an_app(source)
        async with app.run_test(size=(140, 44)) as pilot:
            await until(pilot, lambda: app.session.state is not None and app.session.state.verdict is not None)
            await pilot.pause()
            text = screen_text(app)
            for key in ("3", "2", "4", "5", "1"):
                await pilot.press(key)
                await pilot.pause()
        await source.close()
    whole = " ".join(text.split())
    for words in SEEN[name]:
        assert words in whole, text
    for words in NEVER:
        assert words not in whole or (words == "18446744" and name.startswith("valkey")), text


async def test_hot_keys_are_shown_by_the_palette_and_a_server_without_them_is_said_to_have_none():
    hot = replace(case("tair-documented"), answers={"HOTKEYS GET": reply(HOT)})
    for shown, words in ((hot, "150.0 ms    75%  hot:"), (case("tair-documented"), "has no HOTKEYS GET")):
        with replayed(shown) as port:
            source = LiveServer(Connection(Address(port=port)))
            app = an_app(source, operator=ScriptedOperator())
            async with app.run_test(size=(100, 30)) as pilot:
                await until(pilot, lambda app=app: app.session.state.verdict is not None)
                app.post_message(ShowHotKeys())
                await until(pilot, lambda app=app, words=words: words in screen_text(app))
            await source.close()
