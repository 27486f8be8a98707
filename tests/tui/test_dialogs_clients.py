"""Dialogs of clients and memory: closing a client by its id, purging memory."""

import pytest

from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.monitor.state import Link
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, kill_question
from redis_oom_tui.tui.messages import ApplyRemedy
from tests.support.scripted import ScriptedSource
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_dialogs import opened
from tests.tui.test_nodes import a_cluster

pytestmark = pytest.mark.usefixtures("listening_at_once")


async def test_closing_a_client_names_it_by_what_it_is():
    client = ClientBuffer(
        id=77, address="10.0.0.9:5123", name=b"\x1b[2Jreports", command=b"monitor", flags="O", total_bytes=9 * 1024**2
    )
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, ConfirmDialog(kill_question(client, "127.0.0.1:6379 (primary)")))
        text = screen_text(app)
        for words in ("client 77", "10.0.0.9:5123", "\\x1b[2Jreports", "9.0 MiB", "127.0.0.1:6379"):
            assert words in text, words


async def test_a_client_is_picked_asked_about_and_closed_by_its_id():
    clients = [ClientBuffer(id=n, address=f"10.0.0.{n}:5000", total_bytes=n * 9 * 1024**2) for n in range(1, 4)]
    operator = ScriptedOperator()
    app = an_app(ScriptedSource(clients=clients), operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.clients)
        await pilot.press("c")
        await until(pilot, lambda: "Which client?" in screen_text(app))
        assert len({line.index("  ID ") for line in rows(app) if "  ID " in line}) == 1, "the sizes end in one column"
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and screen_text(app).strip() != "")
        await pilot.press("enter")
        await pilot.pause()
        assert operator.calls == []
        app.post_message(ApplyRemedy(Remedy("triage", client_id=3)))
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and "10.0.0.3:5000" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["kill 3"])


async def test_a_client_that_has_gone_is_told():
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        app.post_message(ApplyRemedy(Remedy("triage", client_id=99)))
        await until(pilot, lambda: "Client 99 has already disconnected" in screen_text(app))


async def test_without_an_operator_the_key_is_grey_and_says_why():
    app = an_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        await pilot.press("c")
        await until(pilot, lambda: "Nothing can be changed" in screen_text(app))


async def test_memory_is_purged_from_the_palette_after_a_question():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.snapshot is not None)
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        commands["Purge free memory"].callback()
        await until(pilot, lambda: "Run MEMORY PURGE?" in screen_text(app) and app.focused is not None)
        assert "never used_memory" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.calls == ["purge"])


def test_large_commands_are_those_of_the_client_and_no_older_than_it():
    def sentences(address: str, *, age: int, ago: float) -> str:
        client = ClientBuffer(7, address, name=b"app", age_seconds=age)
        large = [LargeCommand(b"SET", b"huge", 9 << 20, 10_000.0 - ago, address, b"app")]
        return " ".join(kill_question(client, "here", large, 10_000.0).lines)

    assert "Large commands of it in the server's log: SET of huge" in sentences("10.0.0.1:5", age=600, ago=300)
    # The port was another connection's then.
    assert "Large commands" not in sentences("10.0.0.1:5", age=10, ago=300)
    # Each of many workers may have the name.
    assert "Large commands of clients with its name in" in sentences("/run/redis.sock:0", age=600, ago=300)


async def test_of_two_clients_with_one_id_each_is_listed_and_the_picked_one_is_asked_about():
    nodes = [
        ClientBuffer(id=7, address="/tmp/s:0", node=node, total_bytes=size) for node, size in (("a", 9 << 20), ("b", 1))
    ]
    clients = [*nodes, *(ClientBuffer(id=n, address=f"10.0.0.{n}:1", total_bytes=n << 10) for n in range(20, 45))]
    source = ScriptedSource(clients=clients)
    app = an_app(source, operator=ScriptedOperator())
    async with app.run_test(size=(60, 40)) as pilot:
        await until(pilot, lambda: app.session.state.clients)
        await pilot.press("c")
        await until(pilot, lambda: "Which client?" in screen_text(app))
        text = screen_text(app)
        assert "9.0M  ID 7 on a  no name" in text
        assert "The 20 of 27 that hold most." in text
        # At this width the way out is shown, and what explains it is not.
        assert "Esc: cancel" in text
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and "9.0 MiB" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
        source.script.append(ServerUnreachable("gone"))
        await until(pilot, lambda: app.session.state.link is not Link.LIVE)
        await pilot.press("c")
        await until(pilot, lambda: "the server does not answer now" in " ".join(screen_text(app).split()))


async def test_a_finding_leads_to_the_client_of_the_node_that_it_is_about():
    snapshot = a_cluster()
    nodes = [
        ClientBuffer(id=7, address=address, node=node, total_bytes=9 << 20)
        for address, node in (("10.0.0.1:1", "n:7001"), ("10.0.0.2:1", snapshot.server.node))
    ]
    app = an_app(ScriptedSource([snapshot], clients=nodes), operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.state.clients)
        app.post_message(ApplyRemedy(Remedy("triage", client_id=7)))
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and "10.0.0.2:1" in screen_text(app))
