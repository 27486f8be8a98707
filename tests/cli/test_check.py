"""`check` as a monitoring system calls it: exit codes, the promised JSON, few commands, one sentence on failure."""

import itertools
import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from redis_oom_tui.cli.check_answer import examined
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.main import main
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.preflight import Preflight, RawConnection
from tests.server.test_applications_live import queue
from tests.support.json_documents import document_of
from tests.support.proxy import wired
from tests.support.servers import RunningServer, started
from tests.support.waiting import until


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return int(str(ended.value.code)), capsys.readouterr().out


def fill(server: RunningServer, share: float) -> None:
    """A limit that what is there fills to `share`."""
    with server.client() as client:
        for number in range(1500):
            client.set(f"k{number}", b"x" * 10_000)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / share))


@pytest.mark.parametrize(
    ("share", "code", "verdict"), [(0.5, 0, "ok"), (0.85, 1, "warning"), (0.96, 2, "critical"), (1.3, 2, "oom")]
)
def test_exit_codes_are_those_of_monitoring_plugins(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], share: float, code: int, verdict: str
) -> None:
    fill(valkey, share)
    assert checked(capsys, "-s", valkey.socket_path, "check")[0] == code
    ended, out = checked(capsys, "-s", valkey.socket_path, "check", "--json")
    assert (ended, document_of("check", out)["verdict"]) == (code, verdict)


def test_the_document_is_as_promised(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    fill(server, 1.2)
    _, out = checked(capsys, "-s", server.socket_path, "check", "--json")
    document = document_of("check", out)
    assert document["server"]["flavour"] == ("valkey" if server.flavour == "valkey" else "redis")
    assert document["server"]["role"] == "master"
    memory = document["memory"]
    assert memory["policy"] == "noeviction"
    assert memory["used_bytes"] > memory["maxmemory_bytes"] > 0
    assert memory["pressure"] == pytest.approx(1.2, abs=0.15)
    for name in ("peak_bytes", "rss_bytes", "fragmentation_ratio"):
        assert memory[name] is not None
    assert document["refused_writes_total"] == 0
    assert document["evicted_keys_total"] == 0
    assert {"id", "severity", "title", "advice", "saves_bytes"} <= set(document["findings"][0])
    assert document["findings"][0]["id"] == "raise-limit"


def test_no_limit_is_null_and_not_zero(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    ended, out = checked(capsys, "-s", valkey.socket_path, "check", "--json")
    document = document_of("check", out)
    assert ended == 0
    assert document["memory"]["maxmemory_bytes"] is None
    assert document["memory"]["pressure"] is None
    assert document["findings"] == []


def test_it_sends_fewer_than_twenty_commands(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client() as client:
        before = calls(client)
        checked(capsys, "-s", server.socket_path, "check")
        sent = sum(calls(client).values()) - sum(before.values()) - 1  # the INFO of `calls`
    assert 0 < sent < 20


def test_refusals_that_are_over_have_no_keys_read(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Their count stays until a restart: each check of a healthy server would read thousands of keys for it."""
    with server.client() as client:
        client.mset({f"key:{number}": "x" * 100 for number in range(3000)})
        client.config_set("maxmemory", "500000")
        with pytest.raises(redis.OutOfMemoryError):
            client.set("one", "more")
        client.config_set("maxmemory", "200mb")
        before = calls(client)
        _, out = checked(capsys, "-s", server.socket_path, "check")
        after = calls(client)
    assert "1 write refused since restart" in out
    assert sum(after.values()) - sum(before.values()) < 60
    assert after.get("scan", 0) == before.get("scan", 0)


def test_on_a_slow_link_it_takes_two_turns(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The introduction with the first look, and the second with all that findings need; connecting is one more."""
    with wired(server.connection) as wire:
        wire.faults.delay = 0.3
        checked(capsys, "-p", str(wire.connection.address.port), "check")
        assert wire.turns == 2


def calls(client: redis.Redis) -> dict[str, int]:
    stats: dict[str, Any] = client.info("commandstats")
    return {name: figures["calls"] for name, figures in stats.items()}


def test_writes_refused_during_the_check_are_counted(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    fill(server, 1.05)
    script = (
        "import redis, sys\n"
        "r = redis.Redis(unix_socket_path=sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    try: r.set('k', 'v')\n"
        "    except redis.OutOfMemoryError: pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, server.socket_path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            ended, out = checked(capsys, "-s", server.socket_path, "check", "--json")
        finally:
            writer.kill()
    document = document_of("check", out)
    assert ended == 2
    assert "refused in the last" in document["reason"]
    assert document["refused_writes_total"] > 0


def test_a_server_that_is_not_there_is_unknown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nobody = str(tmp_path / "none")
    ended, out = checked(capsys, "-s", nobody, "check", "--json")
    document = document_of("check", out)
    assert (ended, document["verdict"]) == (3, "unknown")
    assert document["reason"].startswith(f"unix:{nobody} does not exist")
    assert document["server"]["address"] == f"unix:{nobody}"
    assert document["memory"]["used_bytes"] is None
    ended, out = checked(capsys, "-s", nobody, "check")
    assert ended == 3
    assert out.startswith("UNKNOWN: unix:")
    assert len(out.splitlines()) == 1


def test_behind_the_driver_it_says_the_same(
    server: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over TLS, where the plain line does not get."""
    fill(server, 1.2)
    ended, out = checked(capsys, "-s", server.socket_path, "check", "--json")
    monkeypatch.setattr(Preflight, "suits", lambda connection: False)
    assert checked(capsys, "-s", server.socket_path, "check", "--json")[0] == ended
    driven = document_of("check", checked(capsys, "-s", server.socket_path, "check", "--json")[1])
    plain = document_of("check", out)
    assert plain.keys() == driven.keys()
    for document in (plain, driven):
        document["server"].pop("uptime_seconds", None)
    assert plain["server"] == driven["server"]
    assert plain["memory"].keys() == driven["memory"].keys()
    assert plain["findings"][0]["id"] == driven["findings"][0]["id"] == "raise-limit"


@pytest.mark.parametrize("moment", [1, 2])
def test_a_server_that_dies_in_the_middle_is_unknown(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    asked, turns = RawConnection.ask, []

    def killed_then_asked(line: RawConnection, *commands: Any) -> Any:
        turns.append(commands)
        if len(turns) == moment:
            valkey.kill()
        return asked(line, *commands)

    monkeypatch.setattr(RawConnection, "ask", killed_then_asked)
    ended, out = checked(capsys, "-s", valkey.socket_path, "check", "--json")
    assert (ended, document_of("check", out)["verdict"]) == (3, "unknown")


@pytest.mark.parametrize("moment", ["snapshot", "read_closely"])
def test_one_that_dies_behind_the_driver_is_unknown(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    asked: Any = getattr(LiveServer, moment)

    async def killed_then_asked(*given: Any) -> Any:
        valkey.kill()
        return await asked(*given)

    monkeypatch.setattr(LiveServer, moment, killed_then_asked)
    monkeypatch.setattr(Preflight, "suits", lambda connection: False)
    ended, out = checked(capsys, "-s", valkey.socket_path, "check", "--json")
    assert (ended, document_of("check", out)["verdict"]) == (3, "unknown")


def test_silence_is_waited_for_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = Address("127.0.0.1", listener.getsockname()[1])
        connection = Connection(where, read_timeout_seconds=0.1)
        preflight = Preflight(connection, again_after=0.1)
        with pytest.raises(ServerUnreachable, match="did not answer in time"):
            examined(Invocation(connection=connection), preflight, gap=0.1)
        listener.setblocking(False)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_user_without_info_is_unknown_and_one_with_it_is_judged(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "blind", "on", ">pw", "+ping")
        client.execute_command("ACL", "SETUSER", "seeing", "on", ">pw", "+info")
    ended, out = checked(capsys, "-s", server.socket_path, "--user", "blind", "-a", "pw", "check", "--json")
    assert (ended, document_of("check", out)["verdict"]) == (3, "unknown")
    assert "INFO" in document_of("check", out)["reason"]
    assert checked(capsys, "-s", server.socket_path, "--user", "seeing", "-a", "pw", "check")[0] == 0
    ended, out = checked(capsys, "-s", server.socket_path, "--user", "seeing", "-a", "no", "check", "--json")
    assert ended == 3
    assert "password" in document_of("check", out)["reason"]


def test_a_hog_among_the_clients_is_named(flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    with started(flavour) as server, server.client() as client:
        monitor = client.monitor()
        with monitor:
            _, out = checked(capsys, "-s", server.socket_path, "check", "--json")
    assert [finding["id"] for finding in document_of("check", out)["findings"]] == ["monitor"]


def test_clients_that_were_not_listed_are_a_note_where_they_may_be_the_cause(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack, server.client() as client:
        for _ in range(500):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(server.socket_path)
        # Their buffers are booked by and by, and some shrink: then the limit is met with a cache of as much.
        until(lambda: client.info("memory")["mem_clients_normal"] > 400_000, "the connections to be booked")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
        names = itertools.count()

        def full(*words: str) -> str:
            """What `check` says once keys were evicted for others: what buffers give back later makes room again."""
            before = client.info("stats")["evicted_keys"]
            while client.info("stats")["evicted_keys"] == before:
                client.mset({f"k:{next(names)}": b"x" * 500 for _ in range(100)})
            return checked(capsys, "-s", server.socket_path, "check", *words)[1]

        (note,) = document_of("check", full("--json"))["notes"]
        assert note.startswith("CLIENT LIST was not asked for: 50")
        assert note.endswith("Which of them holds how much is not known.")
        assert f"  ! {note[:40]}" in full()


def test_it_imports_neither_the_screen_nor_the_driver(valkey: RunningServer, tmp_path: Path) -> None:
    for path, code in ((valkey.socket_path, 0), (str(tmp_path / "nobody"), 3)):
        assert driver_of_a_check(path) == ("[]", code)


def driver_of_a_check(path: str) -> tuple[str, int]:
    """Which of the modules that take long to load are there at the end, and the exit code."""
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([m for m in ('textual', 'rich', 'redis', 'asyncio') if m in sys.modules]))\n"
        f"from redis_oom_tui.cli.main import main; main(['-s', {path!r}, 'check', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.splitlines()[-1], done.returncode


def test_every_write_refused_for_want_of_replicas_is_critical(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        ended, out = checked(capsys, "-s", server.socket_path, "check", "--json")
        document = document_of("check", out)
        assert (ended, document["verdict"], document["rule"]) == (2, "critical", "noreplicas")
        client.config_set("min-replicas-to-write", 0)
        assert checked(capsys, "-s", server.socket_path, "check")[0] == 0


def test_the_application_that_holds_the_memory_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with started("valkey") as server, server.client() as client:
        queue(client, "mail", completed=300, failed=0, waiting=20, data=b"x" * 20_000)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.97))
        ended, out = checked(capsys, "-s", server.socket_path, "check")
    assert ended == 2
    assert re.search(r"- BullMQ: 300 completed jobs of queue mail hold about 5\.[0-9] MiB, ", out), out
    assert out.index("BullMQ: ") < out.index("maxmemory can be raised")


def test_a_few_keys_are_looked_at_where_something_is_the_matter(
    flavour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them may be the cause, which INFO alone does not tell."""
    with started(flavour, "maxmemory-policy allkeys-lru") as server:
        # The connections of a check took 400 KB on a busy machine: with less room that may evict the key in question.
        with server.client() as client:
            client.rpush("export:2026", *[b"x" * 9000] * 900)
            client.mset({f"k:{number}": b"x" * 3000 for number in range(300)})
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.87))
        with pytest.raises(SystemExit):
            main(["-s", server.socket_path, "check", "--json"])
        document = document_of("check", capsys.readouterr().out)
    assert (document["verdict"], document["rule"]) == ("warning", "crowded"), document["reason"]
    assert "one key, export:2026, holds" in document["reason"]
    assert "that key first" in document["first_step"]
    used = document["memory"]["used_bytes"]
    assert sum(part["bytes"] for part in document["memory_parts"]) == used
    assert 0 < document["room_for_data_bytes"] < document["memory"]["maxmemory_bytes"]


def test_thousands_of_keys_are_read_where_something_is_the_matter(capsys: pytest.CaptureFixture[str]) -> None:
    """What Valkey books to nobody shows only beside what the keys hold."""
    limits = ("maxmemory 12mb", "client-output-buffer-limit pubsub 0 0 0")
    with started("valkey", *limits) as server, server.client() as client, socket.socket(socket.AF_UNIX) as feed:
        client.mset({f"k:{number}": b"x" * 300 for number in range(8000)})
        feed.connect(server.socket_path)
        feed.sendall(b"SUBSCRIBE news\r\n")
        until(lambda: client.pubsub_numsub("news")[0][1], "a subscriber")
        for _ in range(12):
            client.publish("news", b"x" * 1_000_000)
        _, out = checked(capsys, "-s", server.socket_path, "check", "--json")
    document = document_of("check", out)
    assert document["rule"] == "refusing-unexplained", document["reason"]
    assert "a subscriber (last SUBSCRIBE) that does not read" in document["reason"]
