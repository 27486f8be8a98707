"""`check --all`: every profile's server at the same time, the worst first, none of which can end the others."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_oom_tui.cli.check_answer import Answer
from redis_oom_tui.cli.check_profiles import CheckedProfile, worst_first
from redis_oom_tui.cli.main import main
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.verdict import Level, Verdict
from tests.rules.snapshots import snapshot_of
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer, started


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0), *capsys.readouterr()


def configured(folder: Path, **profiles: str) -> str:
    file = folder / "config.toml"
    file.write_text("\n".join(f"[profiles.{name}]\n{lines}\n" for name, lines in profiles.items()))
    file.chmod(0o600)
    return str(file)


@contextlib.contextmanager
def full_server() -> Iterator[RunningServer]:
    """One that has refused a write."""
    with started("valkey") as full, full.client() as client:
        client.set("a", b"x" * 100_000)
        client.config_set("maxmemory", 1)
        with pytest.raises(Exception, match="maxmemory"):
            client.set("b", b"x")
        yield full


def test_every_profile_is_a_line_and_the_worst_is_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started("valkey") as healthy, full_server() as full:
        config = configured(
            tmp_path,
            **{
                "cache-1": f'socket = "{healthy.socket_path}"',
                "cache-2": f'socket = "{full.socket_path}"',
                "gone": f'socket = "{tmp_path}/nowhere"',
                "locked": f'socket = "{healthy.socket_path}"\npassword_command = "false"',
            },
        )
        code, out, _ = ran(capsys, "--config", config, "check", "--all")
        first, *rows = out.splitlines()
        assert code == 2
        assert first == "4 profiles: 1 oom, 2 unknown, 1 ok"
        assert [row.split()[:2] for row in rows] == [
            ["OOM", "cache-2"],
            ["UNKNOWN", "gone"],
            ["UNKNOWN", "locked"],
            ["OK", "cache-1"],
        ]
        assert "Refusing writes" in rows[0]
        code, out, _ = ran(capsys, "--config", config, "--profile", "cache-*", "check", "--json")
        document = document_of("check", out)
        assert (code, document["verdict"]) == (2, "oom")
        assert [(each["profile"], each["check"]["verdict"]) for each in document["profiles"]] == [
            ("cache-2", "oom"),
            ("cache-1", "ok"),
        ]
        code, out, _ = ran(capsys, "--config", config, "--profile", "cache-1*", "check")
        assert (code, out.splitlines()[0]) == (0, "1 profile: 1 ok")


def test_profiles_of_the_same_server_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started("valkey") as healthy, full_server() as full:
        twice = configured(
            tmp_path,
            a=f'socket = "{healthy.socket_path}"',
            b=f'socket = "{healthy.socket_path}"\ndb = 2',
            c=f'socket = "{full.socket_path}"',
        )
        code, out, _ = ran(capsys, "--config", twice, "check", "--all")
        first, *rows = out.splitlines()
        assert (code, first) == (2, "3 profiles of 2 servers: 1 oom, 2 ok")
        assert rows[1].endswith("The same server as b (same run_id).")
        _, out, _ = ran(capsys, "--config", twice, "check", "--all", "--json")
        document = document_of("check", out)
        assert [each["same_server_as"] for each in document["profiles"]] == [[], ["b"], ["a"]]


def test_a_few_keys_more_change_no_order() -> None:
    def found(name: str, used: int) -> CheckedProfile:
        snapshot = snapshot_of(used, 1_000_000)
        verdict = Verdict(Level.OK, "Healthy.", "healthy")
        return CheckedProfile(name, Address(), verdict, Answer(verdict, snapshot, ()))

    order = worst_first([found("b", 500_100), found("a", 500_000), found("c", 700_000)])
    assert [each.name for each in order] == ["c", "a", "b"]


_LATE = """
import sys, threading
late = []
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            late.append(name)
sys.meta_path.insert(0, Watch)
from redis_oom_tui.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*late, file=sys.stderr)
"""


def test_no_thread_loads_a_module_that_another_may_be_loading(tmp_path: Path) -> None:
    with started("valkey") as full, full.client() as client:
        client.xadd("a", {"field": b"x" * 100_000})
        client.config_set("maxmemory", 1)
        where = f'socket = "{full.socket_path}"'
        config = configured(
            tmp_path, full=where, gone='host = "127.0.0.1"\nport = 1', no_cluster=f"{where}\ncluster = true"
        )
        words = [sys.executable, "-c", _LATE, "--config", config, "check", "--all"]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert ended.stdout.startswith("3 profiles")
        late = ended.stderr.splitlines()[-1].split()
        assert [name for name in late if name.partition(".")[0] in {"asyncio", "redis", "redis_oom_tui"}] == []


def test_the_slowest_bounds_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten servers that do not answer take as long as one."""
    silent = 'host = "203.0.113.1"\nconnect_timeout = 0.5'
    began = time.monotonic()
    code, out, _ = ran(
        capsys, "--config", configured(tmp_path, **{f"p{number}": silent for number in range(10)}), "check", "--all"
    )
    assert code == 3
    assert out.splitlines()[0] == "10 profiles: 10 unknown"
    assert time.monotonic() - began < 5


def test_what_says_which_server_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, one='host = "127.0.0.1"')
    for words, sentence in (
        (("-p", "1", "check", "--all"), "-p/--port cannot be given with --all"),
        (("--profile", "one", "check", "--all"), "--profile cannot be given with --all: all profiles are meant"),
        (("--profile", "o*", "check", "--all"), "--profile cannot be given with --all: all profiles are meant"),
        (("check", "--all", "--warn", "9"), "--warn cannot be given with --all: thresholds come from each profile"),
        (("check", "--all", "--perfdata"), "--perfdata cannot be given with --all: performance data are of one"),
        (("check", "--all", "--markdown"), "--markdown cannot be given with --all: each server is one line"),
        (("--profile", "o*", "check", "--markdown"), "--markdown cannot be given with a glob as --profile: each"),
        (("--all", "-p", "1"), "-p/--port cannot be given with --all: each profile has a server of its own"),
        (("--all", "--profile", "one"), "--profile cannot be given with --all: all profiles are meant"),
        (("--profile", "o*", "--plain"), "--plain cannot be given with a glob as --profile: watch --all prints lines"),
        (("--profile", "o*", "-p", "1", "check"), "several profiles have a server each"),
        (("--profile", "x*", "check"), "no profile matches 'x*'; there are: one"),
        (("--profile", "x*", "-p", "1", "check"), "no profile matches 'x*'; there are: one"),
        (("--profile", "o*", "hogs"), "only check, watch and the screen take several"),
    ):
        code, out, err = ran(capsys, "--config", config, *words)
        assert code == (3 if "check" in words else 2)
        assert sentence in out + err


def test_without_any_profile_it_says_where_they_come_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text("")
    code, out, _ = ran(capsys, "--config", str(file), "check", "--all")
    assert code == 3
    assert "--all takes the profiles of the configuration file, and it has none" in out


def test_what_needs_no_password_of_the_default_profile_fetches_none(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey.client() as client:
        client.save()
    dump = str(valkey.folder / "dump.rdb")
    marks = tmp_path / "fetched"
    file = tmp_path / "config.toml"
    file.write_text(
        f'default_profile = "a"\n[profiles.a]\nsocket = "{valkey.socket_path}"\n'
        f'password_command = "sh -c \'echo >> {marks}; exit 1\'"\n[profiles.b]\nsocket = "{valkey.socket_path}"\n'
    )
    file.chmod(0o600)
    code, out, _ = ran(capsys, "--config", str(file), "check", "--all")
    assert (code, out.splitlines()[0]) == (3, "2 profiles: 1 unknown, 1 ok")
    assert marks.read_text() == "\n"
    for words in (("hogs", "--rdb", dump), ("report", "--no-scan", f"--rdb={dump}")):
        assert ran(capsys, "--config", str(file), *words)[0] == 0
    assert marks.read_text() == "\n"
