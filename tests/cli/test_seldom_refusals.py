"""Writes that are refused now and then: a look of a tenth of a second sees none, and must not call it healthy."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from redis_oom_tui.cli import report
from redis_oom_tui.cli.main import main
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.preflight import Preflight
from tests.cli.test_check import calls, checked, fill
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer

# The report's own, before any test shortens it: what happens each second is seen in it.
POLL_SECONDS = report._POLL_SECONDS


class LookAt:
    """One look by the plain line."""

    def __init__(self, server: RunningServer) -> None:
        first_sample = Preflight(server.connection).first()
        assert first_sample is not None
        self.snapshot = first_sample.snapshot()


@contextmanager
def refused_every(server: RunningServer, seconds: float) -> Iterator[None]:
    """A writer whose values are larger than the room that there is: one is refused every so often."""
    ended, begun = threading.Event(), threading.Event()

    def write() -> None:
        with server.client() as client:
            value = b"x" * int(client.info("memory")["maxmemory"])
            # By the clock: on a busy machine a pause of `seconds` after each write is more than `seconds` between two.
            due = time.monotonic()
            while not ended.is_set():
                with contextlib.suppress(redis.OutOfMemoryError):
                    client.set("large", value)
                # Its buffer goes with the connection.
                client.connection_pool.disconnect()
                begun.set()
                due += seconds
                ended.wait(max(0.0, due - time.monotonic()))

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        ended.set()
        writer.join(20)


@pytest.mark.in_turn
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0])
def test_one_refusal_now_and_then_is_seen(
    server: RunningServer, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    fill(server, 0.5)
    with refused_every(server, seconds):
        ended, out = checked(capsys, "-s", server.socket_path, "check", "--json")
    document = document_of("check", out)
    assert (ended, document["verdict"]) == (2, "oom"), document["reason"]
    # Caught in the act, the value itself fills the server.
    assert "refused in the last " in document["reason"] or document["memory"]["pressure"] > 1


def test_behind_the_driver_it_is_seen_too(
    server: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Preflight, "suits", lambda connection: False)
    fill(server, 0.5)
    with refused_every(server, 1.0):
        assert checked(capsys, "-s", server.socket_path, "check", "--json")[0] == 2


@pytest.mark.parametrize("words", [("watch", "--once", "--json"), ("report", "--json", "--no-scan")])
def test_a_single_watch_and_a_report_see_it(
    server: RunningServer, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_POLL_SECONDS", POLL_SECONDS)
    fill(server, 0.5)
    with refused_every(server, 1.0), pytest.raises(SystemExit):
        main(["-s", server.socket_path, *words])
    out = capfd.readouterr().out
    document = document_of(words[0], out)
    said = str(document["verdict"]) + str(document.get("reason"))
    # Caught in the act, the value itself fills the server.
    assert "refused in the last " in said or "Refusing writes at 1" in said


def test_what_is_long_over_is_told_as_that(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    fill(server, 0.5)
    with refused_every(server, 60.0):
        time.sleep(0)
    ended, out = checked(capsys, "-s", server.socket_path, "check", "--json")
    document = document_of("check", out)
    assert (ended, document["verdict"]) == (0, "ok")
    assert "1 write refused since restart or RESETSTAT, none in the last 1." in document["reason"]


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_server_without_a_hint_is_asked_twice_and_no_more(
    server: RunningServer, capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    fill(server, 0.5 if policy == "noeviction" else 0.99)
    with server.client() as client:
        client.config_set("maxmemory-policy", policy)
        before = calls(client)["cmdstat_info"]
        ended, out = checked(capsys, "-s", server.socket_path, "check", "--json")
        after = calls(client)["cmdstat_info"]
    assert ended == 0, out
    # The INFO of `calls` itself; and of a scan of the few keys, where it is full, those around it.
    assert after - before == 2 + 1 + (3 if policy == "allkeys-lru" else 0)


def test_our_own_refused_question_is_no_refused_write(server: RunningServer) -> None:
    """A user who may not run EVAL: asking whether it may is refused, and counted by command as the writes are."""
    fill(server, 0.5)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ops", "on", ">secret", "~*", "&*", "+@all", "-eval")
        before = LookAt(server)
        value = b"x" * int(client.info("memory")["maxmemory"])
        for _ in range(3):
            with contextlib.suppress(redis.OutOfMemoryError):
                client.set("large", value)
        client.connection_pool.disconnect()
        ops = server.client(username="ops", password="secret")
        with ops, pytest.raises(redis.exceptions.NoPermissionError):
            ops.execute_command("EVAL", "return 1", "0")
        after = LookAt(server)
    verdict = judge(after.snapshot, before.snapshot)
    assert "3 refused in the last" in verdict.reason
    assert "mostly SET" in verdict.reason
    assert "EVAL" not in verdict.reason
