"""The demo server: filled, refusing, private, and gone when its owner is, however that ends."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_oom_tui.demo.data import HOSTILE_NAMES, SINGLES
from redis_oom_tui.demo.server import DemoServer
from redis_oom_tui.demo.wire import Refused, Wire
from redis_oom_tui.models.errors import TriageError

KEYS = 6000


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoServer]:
    with DemoServer() as server:
        server.start(keys=KEYS)
        yield server


@pytest.fixture
def wire(demo: DemoServer) -> Iterator[Wire]:
    with Wire(demo.socket_path) as opened:
        yield opened


def info(wire: Wire, section: str) -> dict[str, str]:
    raw = wire.call("INFO", section)
    assert isinstance(raw, bytes)
    return dict(line.split(":", 1) for line in raw.decode().splitlines() if ":" in line)


def test_it_refuses_writes(wire: Wire) -> None:
    memory = info(wire, "memory")
    assert int(memory["used_memory"]) > int(memory["maxmemory"]) > 0
    assert memory["maxmemory_policy"] == "noeviction"
    with pytest.raises(Refused, match="OOM command not allowed"):
        wire.call("SET", "k", "v")


def test_an_application_is_being_refused(wire: Wire) -> None:
    first = int(info(wire, "commandstats")["cmdstat_set"].partition("rejected_calls=")[2].partition(",")[0])
    end = time.monotonic() + 10
    while time.monotonic() < end:
        now = int(info(wire, "commandstats")["cmdstat_set"].partition("rejected_calls=")[2].partition(",")[0])
        if now > first:
            return
        time.sleep(0.05)
    pytest.fail("nobody is being refused")


def test_the_stuck_subscriber_holds_a_buffer(wire: Wire) -> None:
    clients = wire.call("CLIENT", "LIST")
    assert isinstance(clients, bytes)
    stuck = next(line for line in clients.splitlines() if b"name=price-feed-legacy" in line)
    held = next(int(word[5:]) for word in stuck.split() if word.startswith(b"omem="))
    assert 2_000_000 < held < 8_000_000


def test_two_databases_and_every_type(wire: Wire) -> None:
    assert set(info(wire, "keyspace")) == {"db0", "db3"}
    types: set[object] = set()
    cursor: object = b"0"
    while True:
        answer = wire.call("SCAN", cursor, "COUNT", 1000)  # type: ignore[arg-type]
        assert isinstance(answer, list)
        cursor, keys = answer
        assert isinstance(keys, list)
        types |= {wire.call("TYPE", key) for key in keys}  # type: ignore[arg-type]
        if cursor == b"0":
            break
    assert types == {b"string", b"hash", b"list", b"set", b"zset", b"stream"}


def test_hostile_names_and_single_keys_are_there(wire: Wire) -> None:
    for name in HOSTILE_NAMES:
        assert wire.call("EXISTS", name) == 1
    for single in SINGLES:
        wire.call("SELECT", single.db)
        assert wire.call("EXISTS", single.name) == 1


def test_idle_times_and_expiries_are_as_declared(wire: Wire) -> None:
    idle = wire.call("OBJECT", "IDLETIME", "cache:v1:render:product:20001")
    assert isinstance(idle, int)
    assert 45 * 86_400 <= idle <= 121 * 86_400
    assert wire.call("TTL", "cache:v1:render:product:20001") == -1
    ttl = wire.call("TTL", "rate:api:198.51.0.7:2026-11-22")
    assert isinstance(ttl, int)
    assert 3000 < ttl <= 86_400


def test_it_is_private_and_without_tcp(demo: DemoServer, wire: Wire) -> None:
    directory = demo.socket_path.parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert wire.call("CONFIG", "GET", "port") == [b"port", b"0"]
    assert str(demo.connection.address) == f"unix:{demo.socket_path}"


def test_the_same_seed_gives_the_same_keys() -> None:
    digests = []
    for _ in range(2):
        with DemoServer() as server:
            server.start(keys=500, traffic=False)
            with Wire(server.socket_path) as wire:
                keys = wire.call("KEYS", "*")
                assert isinstance(keys, list)
                digests.append(sorted(bytes(key) for key in keys))  # type: ignore[arg-type]
    assert digests[0] == digests[1]


def test_progress_ends_at_its_total() -> None:
    heard: list[tuple[int, int]] = []
    with DemoServer() as server:
        server.start(keys=3000, traffic=False, on_progress=lambda done, total: heard.append((done, total)))
    assert heard[-1][0] == heard[-1][1]
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TriageError, match=r"pipx install --force '\.\[demo\]'"):
        DemoServer().launch()


def test_a_long_tmpdir_still_gets_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("d" * 90)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    with DemoServer() as server:
        server.launch()
        with Wire(server.socket_path) as wire:
            assert wire.call("PING") == b"PONG"


def test_stop_leaves_nothing() -> None:
    server = DemoServer()
    server.start(keys=500)
    directory = server.socket_path.parent
    pids = server_pids(server.socket_path)
    server.stop()
    server.stop()
    assert_gone(directory, pids)


def test_a_killed_supervisor_leaves_nothing_either() -> None:
    server = DemoServer()
    server.start(keys=500)
    directory = server.socket_path.parent
    pids = server_pids(server.socket_path)
    assert server._supervisor is not None
    server._supervisor.kill()
    server.stop()
    assert_gone(directory, pids)


def test_a_server_that_cannot_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with DemoServer() as server, pytest.raises(TriageError, match="did not start"):
        server.launch()


@pytest.mark.parametrize(
    "ending", ["stdin", signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, "crash"], ids=str
)
def test_it_is_gone_however_its_owner_ends(ending: signal.Signals | str) -> None:
    arguments = [sys.executable, "-m", "redis_oom_tui.demo", "--keys", "500"]
    if ending == "crash":
        code = (
            "from redis_oom_tui.demo.server import DemoServer; import os, sys; s = DemoServer(); s.start(keys=500);"
            "print(s.socket_path, flush=True); sys.stdin.read(1); os.abort()"
        )
        arguments = [sys.executable, "-c", code]
    owner = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert owner.stdin is not None
    assert owner.stdout is not None
    with owner:
        socket_path = Path(owner.stdout.readline().decode().strip())
        assert socket_path.is_socket()
        pids = server_pids(socket_path)
        if isinstance(ending, signal.Signals):
            owner.send_signal(ending)
        else:
            owner.stdin.close()
        owner.wait(20)
    assert_gone(socket_path.parent, pids)


def server_pids(socket_path: Path) -> list[int]:
    """The server and every process that the demo started for it."""
    with Wire(socket_path) as wire:
        pid = int(info(wire, "server")["process_id"])
    processes = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid, *(other for other in processes if str(socket_path).encode() in command_line(other))]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def assert_gone(directory: Path, pids: list[int]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        alive = [pid for pid in pids if pid != os.getpid() and command_line(pid)]
        if not directory.exists() and not alive:
            return
        time.sleep(0.05)
    pytest.fail(f"left behind: {directory if directory.exists() else ''} {alive}")
