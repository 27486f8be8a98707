"""`x` on Triage: what may go is proposed, and becomes a plan like any other."""

import asyncio
import uuid

import pytest
from redis.crc import key_slot
from redis.exceptions import OutOfMemoryError

from redis_oom_tui.actions.cluster import Cluster
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.tui.app import TriageApp
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.flows.state import Stage
from tests.apps import samples
from tests.support.acting import fill, settled
from tests.support.cluster import Node, RunningCluster, clustered
from tests.support.servers import available
from tests.tui.support import screen_text, until
from tests.tui.test_dialogs_live import is_ready, live_app, yes

pytestmark = pytest.mark.usefixtures("listening_at_once")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=str)
async def test_what_may_go_is_proposed_and_becomes_a_plan(valkey, tmp_path, size):
    with valkey.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 3000, idle=60)
        client.config_set("maxmemory", settled(client))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            client.config_set("maxmemory", settled(client) // 2)
            await until(pilot, lambda: app.session.state.snapshot.memory.pressure > 1.5)
            await pilot.press("1", "x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and "What may go?" in screen_text(app))
            assert "caches without a TTL: app:cache:" in screen_text(app)
            assert "not enough" not in screen_text(app)
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert "To delete: " in screen_text(app)
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and app.focused is not None)
            await pilot.press(*"delete", "enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            assert client.dbsize() < 1000


async def test_where_no_deletion_helps_the_cause_is_named_without_a_scan(valkey, tmp_path):
    with valkey.client() as client:
        for number in range(300):
            client.script_load(f"return '{number:020000}'")
        client.config_set("maxmemory", settled(client))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("1", "x")
            await until(pilot, lambda: "No deletion helps: cached scripts hold" in " ".join(screen_text(app).split()))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 60)], ids=str)
async def test_from_the_first_screen_of_an_oom_to_a_server_that_writes_in_ten_keys(valkey, tmp_path, size):
    with valkey.client() as client:
        fill(client, [b"old:%d" % n for n in range(800)], b"x" * 3000, idle=40 * 86400)
        fill(client, [b"app:cache:%d" % n for n in range(1200)], b"x" * 3000, idle=60)
        client.config_set("maxmemory", settled(client))
        app = live_app(valkey, tmp_path)
        pressed: list[str] = []
        async with app.run_test(size=size) as pilot:

            async def press(*keys: str) -> None:
                pressed.extend(keys)
                await pilot.press(*keys)

            await until(pilot, lambda: is_ready(app))
            with pytest.raises(OutOfMemoryError):
                client.set("written", "1")
            await press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and "What may go?" in screen_text(app))
            await press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            await press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and app.focused is not None)
            await press(*"delete", "enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            await until(pilot, lambda: app.session.state.verdict.level not in (Level.CRITICAL, Level.OOM))
            assert "z restore" in screen_text(app), "its undo is at hand"
            client.set("written", "1")
            assert len(pressed) <= 10, pressed


async def test_the_proposal_does_not_come_over_what_the_user_turned_to(valkey, tmp_path, monkeypatch):
    with valkey.client() as client:
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 3000, idle=60)
        client.config_set("maxmemory", settled(client))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            scanner, elsewhere = app.session.scanner, asyncio.Event()
            ended = scanner.ended

            async def ended_late():
                await elsewhere.wait()
                return await ended()

            monkeypatch.setattr(scanner, "ended", ended_late)
            await pilot.press("x", "3")
            elsewhere.set()
            await until(pilot, lambda: "x in Triage proposes what may go" in screen_text(app))
            assert not isinstance(app.screen, Dialog)


async def test_a_scan_that_a_filter_limited_is_not_one_of_all_keys(valkey, tmp_path):
    with valkey.client() as client:
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 3000, idle=60)
        client.config_set("maxmemory", settled(client))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            scanner = app.session.scanner
            scanner.start(scanner.options, match=b"app:cache:1*", asked_for=False)
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            app.session.actions.target = 0.05
            await pilot.press("1", "x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and "What may go?" in screen_text(app))
            assert app.session.scan.scanned_keys == 1000
            assert "All that may go is not enough." in screen_text(app)


async def test_a_part_fills_in_the_form_and_is_previewed(valkey, tmp_path):
    with valkey.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("1", "x")
            await until(pilot, lambda: "No limit is known here" in screen_text(app))
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            client.config_set("maxmemory", settled(client) // 2)
            await until(pilot, lambda: (app.session.state.snapshot.memory.pressure or 0) > 1.5)
            await pilot.press("1", "x")
            await until(pilot, lambda: "keys that nobody used for 30 days: old:" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert "idle over " in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda: "Idle longer than" in screen_text(app))
            assert client.dbsize() == 1000


async def test_finished_jobs_are_offered_first_and_come_back(valkey, tmp_path):
    with valkey.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        for name in client.keys("*"):
            client.persist(name)  # a lock that expires meanwhile would be missed below
        for job in range(1000, 1400):
            client.hset(
                f"bull:mail:{job}", mapping={"name": "send", "data": "x" * 5000, "opts": "{}", "timestamp": "1"}
            )
            client.zadd("bull:mail:completed", {str(job): 1_700_000_000_000})
        before = client.dbsize()
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            await until(pilot, lambda: app.session.scanner.values)
            client.config_set("maxmemory", settled(client) // 2)
            await until(pilot, lambda: (app.session.state.snapshot.memory.pressure or 0) > 1.5)
            await pilot.press("1", "x")
            await until(pilot, lambda: "completed jobs of BullMQ, queue mail" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: "From which age on do they go?" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: "finished jobs?" in screen_text(app) and app.focused is not None)
            assert "Waiting and active jobs are not touched." in " ".join(screen_text(app).split())
            app.screen.query_one("#act").focus()
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            assert "Deleted 400 of 400 jobs" in screen_text(app), screen_text(app)
            assert client.dbsize() == before - 400
            client.config_set("maxmemory", 0)
            await until(pilot, lambda: app.session.state.snapshot.memory.pressure is None)
            await pilot.press("z")
            await yes(pilot, "Restore this backup?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RESTORED)
            assert client.dbsize() == before


async def at_finding(pilot, app, start):
    """The cursor on the finding whose title begins so."""
    await until(pilot, lambda: any(one.title.startswith(start) for one in app.main.active_pane.findings.findings))
    findings = app.main.active_pane.findings
    findings.go_to(next(place for place, one in enumerate(findings.findings) if one.title.startswith(start)))


def write_what_applications_left(client):
    """Jobs of BullMQ that are done, dead jobs of Sidekiq, and queues of Celery, every second without a binding."""
    samples.write(client, samples.load("bullmq").keys)
    for job in range(1000, 1200):
        mapping = {"name": "send", "data": "x" * 5000, "opts": "{}", "timestamp": "1"}
        client.hset(f"bull:mail:{job}", mapping=mapping)
        client.zadd("bull:mail:completed", {str(job): 1_700_000_000_000})
    queues = [f"{uuid.UUID(int=number)}.reply.celery.pidbox" for number in range(1, 9)]
    for number, name in enumerate(queues):
        client.lpush(name, *(b"r" * 5000 for _ in range(20)))
        if number % 2:
            binding = "\x06\x16".join((name.partition(".")[0], "", name))
            client.sadd("_kombu.binding.reply.celery.pidbox", binding)
    client.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
    samples.write(client, samples.load("sidekiq").keys)
    client.delete("dead")
    client.zadd("dead", {f'{{"jid":"{number}","args":"{"x" * 2000}"}}': 1_700_000_000 for number in range(400)})
    return queues[::2]


async def test_a_finding_of_an_application_leads_to_the_plan_of_what_may_go(valkey, tmp_path):
    with valkey.client() as client:
        unbound = write_what_applications_left(client)
        before = client.dbsize()
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("2", "r")
            await until(pilot, lambda: app.session.scan is not None and app.session.scan.complete)
            await until(pilot, lambda: app.session.scanner.values)
            await pilot.press("1")
            await at_finding(pilot, app, "BullMQ: ")
            await pilot.press("enter", "m")
            await until(pilot, lambda: "completed jobs of BullMQ, queue mail" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: "Delete 200 finished jobs?" in screen_text(app))
            await pilot.press("escape")
            await pilot.press("1")
            await at_finding(pilot, app, "Celery: ")
            await pilot.press("m")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            plan = app.session.actions.cleanup.plan
            assert {key.id.key.decode() for key in plan.keys} == set(unbound)
            await pilot.press("escape", "1")
            await at_finding(pilot, app, "Sidekiq: ")
            await pilot.press("m")
            await until(pilot, lambda: "Shrink" in screen_text(app) and "zset dead" in screen_text(app))
            await pilot.press(*"1d", "enter")
            await until(pilot, lambda: "What are its scores?" in screen_text(app))
            await pilot.press("enter")
            # All of them are that old, so the key itself is what goes.
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert [key.id.key for key in app.session.actions.cleanup.plan.keys] == [b"dead"]
            assert client.dbsize() == before


async def test_another_target_is_typed_in_the_proposal_and_judged_as_on_the_command_line(valkey, tmp_path):
    with valkey.client() as client:
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 5000, idle=60)
        client.config_set("maxmemory", int(settled(client) * 1.4))
        app = live_app(valkey, tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("x")
            # Below the usual target already, another is asked for.
            await until(pilot, lambda: "Down to which share of it?" in screen_text(app) and app.focused is not None)
            await pilot.press(*"99%", "enter")
            await until(pilot, lambda: "It is below 99% already" in screen_text(app))
            app.screen.query_one("#target").value = "0"
            await pilot.press("enter")
            await until(pilot, lambda: "a share of maxmemory from 1% to 99%" in " ".join(screen_text(app).split()))
            app.screen.query_one("#target").value = "50"
            await pilot.press("enter")
            await until(pilot, lambda: "To reach 50% of maxmemory" in screen_text(app))
            await pilot.press("end", "enter")
            await until(pilot, lambda: "Down to which share of it?" in screen_text(app) and app.focused is not None)
            await pilot.press(*"40%", "enter")
            await until(pilot, lambda: "To reach 40% of maxmemory" in screen_text(app))
            await pilot.press("home", "enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert "To reach 40%" in " ".join(screen_text(app).split())
            assert client.dbsize() == 1000


@pytest.mark.parametrize("flavour", [name for name in ("redis6", "valkey") if name in available()])
async def test_in_a_cluster_the_fullest_shard_is_brought_below_the_target(flavour, tmp_path):
    with clustered(replicas=False, flavour=flavour) as running:
        nodes = running.primaries
        for number, node in enumerate(nodes):
            with node.server.client() as client:
                names = [name for name in (b"app:cache:%d" % n for n in range(3000)) if _holds(running, node, name)]
                fill(client, names, b"x" * 3000, idle=60)
                client.config_set("maxmemory", int(settled(client) / (0.5, 1.05, 0.9)[number]))
        app = TriageApp(
            source := ClusterSource(running.connection),
            operator=LiveOperator(Cluster(source), folder=tmp_path),
            options=ScreenOptions(interval_seconds=0.1),
        )
        before = [_names_on(node) for node in nodes]
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: is_ready(app))
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and "What may go?" in screen_text(app))
            assert f"{nodes[1].name} is the fullest of 3 shards" in screen_text(app)
            await pilot.press("enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert f"All keys are on {nodes[1].name}. To reach 80%" in " ".join(screen_text(app).split())
            await pilot.press("escape")
            await until(pilot, lambda: nodes[1].name in screen_text(app) and "Preview matching" in screen_text(app))
            await pilot.press(*["down"] * 9, "enter", "ctrl+u", *"1mb", "enter", "x")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.PREVIEW)
            assert app.session.actions.cleanup.plan.size <= 2**20, "as it was edited"
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Dialog) and app.focused is not None)
            await pilot.press(*"delete", "enter")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.REPORT)
            after = [_names_on(node) for node in nodes]
            assert (after[0], after[2]) == (before[0], before[2])
            gone = before[1] - after[1]
            assert gone
            assert gone <= {key.id.key for key in app.session.actions.cleanup.plan.keys}
            with nodes[1].server.client() as client:
                client.config_set("maxmemory", 0)
            await pilot.press("z")
            await yes(pilot, "Restore this backup?")
            await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RESTORED)
            assert [_names_on(node) for node in nodes] == before


def _holds(cluster: RunningCluster, node: Node, name: bytes) -> bool:
    return cluster.owner(key_slot(name)) is node


def _names_on(node: Node) -> set[bytes]:
    with node.server.client() as client:
        return set(client.keys())
