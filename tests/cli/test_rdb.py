"""A dump in place of a server: every flavour's own, damaged ones, and what is left behind."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rdb import server as rdb_server
from redis_oom_tui.rdb.server import RdbServer, read_header
from tests.support.json_documents import document_of
from tests.support.servers import binaries, started
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is left where the servers of dumps live."""
    short = Path(tempfile.mkdtemp(prefix="rdb-", dir="/tmp"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(short))
    yield
    assert list(short.iterdir()) == []
    shutil.rmtree(short)


@pytest.fixture
def dump(flavour: str, tmp_path: Path) -> Path:
    """1,500 keys in two databases, and 100 that have expired by the time it is loaded."""
    with started(flavour) as server, server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(1000):
            pipeline.set(f"user:{number}", b"x" * 100)
            pipeline.hset(f"cart:{number % 400}", f"item:{number}", "y" * 30)
        for number in range(100):
            pipeline.set(f"gone:{number}", b"x", px=1000)
        pipeline.execute_command("SELECT", 3)
        pipeline.rpush("queue", *range(2000))
        pipeline.execute_command("SELECT", 0)
        pipeline.execute()
        client.save()
        shutil.copy(server.folder / "dump.rdb", tmp_path / "dump.rdb")
        until(lambda: client.pttl(b"gone:99") == -2, "the keys with a TTL have expired")
    return tmp_path / "dump.rdb"


def ended(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


def test_a_dump_is_read_as_its_server_was(flavour: str, dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = read_header(dump)
    assert header.writer.startswith("Valkey 9" if flavour == "valkey" else f"Redis {flavour[-1]}")
    assert 500_000 < (header.used_bytes or 0) < 5_000_000
    before = hashlib.sha256(dump.read_bytes()).digest(), dump.stat().st_mtime_ns
    assert ended("hogs", "--patterns", "--rdb", dump, "--server-binary", binaries()[flavour], "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["scanned_keys"], document["complete"]) == (1401, True)
    assert {row["pattern"]: row["keys"] for row in document["patterns"] if row["db"] == 0} == {
        "user:*": 1000,
        "cart:*": 400,
    }
    assert "100 keys had expired by now and were left out" in document["notes"]
    assert any(
        re.fullmatch(r"sizes are those of (Redis|Valkey) [\d.]+, which loaded the file", n) for n in document["notes"]
    )
    assert re.search(r"dump\.rdb has \d.* KiB, written by (Redis|Valkey) [\d.]+; it takes about .* of memory here", err)
    assert (hashlib.sha256(dump.read_bytes()).digest(), dump.stat().st_mtime_ns) == before


def test_a_report_is_made_of_a_dump(valkey_dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("report", "--rdb", valkey_dump) == 0
    text = capsys.readouterr().out
    assert "user:\\*" in text
    assert "Sizes are those of Valkey" in text


@pytest.mark.parametrize("form", [(), ("--html",), ("--json",)])
def test_a_report_says_that_its_verdict_is_not_of_the_server_that_wrote_the_dump(
    form: tuple[str, ...], valkey_dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("report", "--no-scan", "--rdb", valkey_dump, *form) == 0
    text = capsys.readouterr().out
    said = "\n".join(document_of("report", text)["notes"]) if form == ("--json",) else text
    assert "ade of the dump file" in said
    assert "say nothing of the one that wrote it" in said
    assert "dle times begin with the loading" in said


def test_a_server_binary_named_without_a_folder_is_the_file_here(
    valkey_dump: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = valkey_dump.parent / "with a space"
    folder.mkdir()
    (folder / "redis-server").symlink_to(binaries()["valkey"])
    shutil.move(valkey_dump, folder / "a dump.rdb")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert ended("hogs", "--rdb", "a dump.rdb", "--server-binary", "redis-server", "--json") == 0
    assert json.loads(capsys.readouterr().out)["scanned_keys"] == 300


@pytest.fixture
def valkey_dump(tmp_path: Path) -> Path:
    with started("valkey") as server, server.client() as client:
        for number in range(300):
            client.set(f"user:{number}", os.urandom(60))
        client.save()
        shutil.copy(server.folder / "dump.rdb", tmp_path / "dump.rdb")
    return tmp_path / "dump.rdb"


def test_a_program_that_is_no_server_is_named(valkey_dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("hogs", "--rdb", str(valkey_dump), "--server-binary", "/bin/true") == 2
    assert "cannot be loaded by /bin/true: the server ended" in capsys.readouterr().err


def test_a_damaged_file_is_one_sentence(valkey_dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = valkey_dump.read_bytes()
    flipped = bytearray(raw)
    flipped[-3] ^= 0xFF
    for content, words in (
        (raw[:-4000], "the file ends too early: it is incomplete, or still being written"),
        (bytes(flipped), "the file is damaged"),
        (raw[:8], "is not an RDB file"),
        (b"", "is not an RDB file"),
        (b"{}\n" * 50, "is not an RDB file"),
    ):
        valkey_dump.write_bytes(content)
        assert ended("hogs", "--rdb", valkey_dump) == 2
        err = capsys.readouterr().err
        assert words in err
        assert "Traceback" not in err


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="it is a pipe, not a plain file"):
        read_header(tmp_path / "pipe")
    with pytest.raises(BadInput, match="it is a device, not a plain file"):
        read_header(Path("/dev/zero"))


def test_a_format_that_no_server_here_takes_is_said_with_who_does(
    valkey_dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = next((path for name, path in binaries().items() if name != "valkey"), None)
    if other is None:
        pytest.skip("no Redis here")
    assert ended("hogs", "--rdb", valkey_dump, "--server-binary", other) == 3
    assert "format VALKEY 80" in (err := capsys.readouterr().err)
    assert "install Valkey 9.0 or newer, or name one with --server-binary" in err


def test_the_server_that_takes_the_format_is_found(valkey_dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdb_server, "_binaries", lambda: iter(binaries().values()))
    with RdbServer(valkey_dump) as server:
        server.load()
        assert server.server.startswith("Valkey 9")
        assert (server.loaded_keys, server.expired_keys) == (300, 0)


def test_a_dump_that_is_replaced_before_it_is_loaded_is_not_taken_for_the_one_described(
    valkey_dump: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copy(valkey_dump, copy)
    with RdbServer(valkey_dump, binaries()["valkey"]) as server:
        copy.replace(valkey_dump)
        with pytest.raises(BadInput, match="was replaced or changed since it was inspected"):
            server.load()


def test_what_needs_more_memory_than_is_free_is_not_begun(valkey_dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdb_server, "free_memory", lambda: 1 << 20)
    with (
        RdbServer(valkey_dump) as server,
        pytest.raises(BadInput, match=r"needs about .* 1\.0 MiB are free"),
    ):
        server.load()


def test_options_of_a_server_do_not_go_with_a_dump(valkey_dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("hogs", "-p", "6380", "--rdb", valkey_dump) == 2
    assert "-p/--port cannot be given with --rdb" in capsys.readouterr().err
    assert ended("hogs", "--server-binary", sys.executable) == 2
    assert "give the dump with --rdb" in capsys.readouterr().err


def test_nothing_outlives_a_killed_tool(valkey_dump: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom redis_oom_tui.rdb.server import RdbServer\n"
        "server = RdbServer(Path(sys.argv[1]))\nserver.load()\n"
        "print(server.connection.address.socket_path, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, valkey_dump], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip()).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        process.send_signal(signal.SIGKILL)
    until(lambda: not folder.exists(), "the server's folder is gone")
