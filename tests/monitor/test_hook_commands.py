"""Commands as hooks: what they get, and that none holds up the watch."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from redis_oom_tui.cli import watch_listeners
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.files.config import Configuration
from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel
from redis_oom_tui.models.config import HookSettings, Profile, SecretKind, SecretSource, Settings
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.hooks import CommandHook, DeliveryFailed, environment
from tests.monitor.test_hooks import EVENT, nothing_left, until


def python(program: str, **changes: object) -> CommandHook:
    settings = HookSettings(command=(sys.executable, "-c", program), timeout_seconds=10)
    return CommandHook(replace(settings, **changes))  # type: ignore[arg-type]


async def test_a_command_gets_the_event_on_stdin_and_in_its_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"""
import json, os, sys
event = json.load(sys.stdin)
env = {{name: value for name, value in os.environ.items() if name.startswith("REDIS_OOM_")}}
open({str(out)!r}, "w").write(json.dumps([event, env]))
"""
    assert "exited 0" in await python(program).deliver(EVENT)
    event, env = json.loads(out.read_text())
    assert (event["event"], event["number"], event["server"]) == ("oom", 7, "cache-1:6379")
    assert (event["used_bytes"], event["evicted_keys_total"]) == (100, None)
    assert (env["REDIS_OOM_EVENT"], env["REDIS_OOM_LEVEL"], env["REDIS_OOM_PRESSURE"]) == ("oom", "oom", "1.0")
    assert env["REDIS_OOM_EVICTED_KEYS_TOTAL"] == ""
    assert env["REDIS_OOM_TITLE"] == "OOM on cache-1:6379: Refusing writes at 100%."


async def test_a_command_has_our_environment_without_any_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REDISCLI_AUTH", "REDIS_SENTINEL_AUTH", "OTHERS_PASSWORD", "HOOK_URL"):
        monkeypatch.setenv(name, f"secret-of-{name}")
    monkeypatch.setenv("REDIS_URL", "redis://:secret-of-url@host")
    monkeypatch.setenv("COPY", "x secret-of-connection y")
    monkeypatch.setenv("SHORT", "pw")
    monkeypatch.setenv("LONGER", "pwd")
    monkeypatch.setenv("PAGER_TOKEN", "the command's own")
    out = tmp_path / "out"
    program = f"import json, os; open({str(out)!r}, 'w').write(json.dumps(dict(os.environ)))"
    settings = HookSettings(
        command=(sys.executable, "-c", program), webhook=SecretSource(SecretKind.ENVIRONMENT, "HOOK_URL")
    )
    other = Profile("other", password=SecretSource(SecretKind.ENVIRONMENT, "OTHERS_PASSWORD"))
    sentinel = Sentinel((Address("a", 1),), "m", password=Secret("pw"))
    invocation = Invocation(
        connection=Connection(password=Secret("secret-of-connection"), sentinel=sentinel),
        configuration=Configuration(Settings(profiles={"other": other})),
    )
    env = watch_listeners.environment(invocation, settings, Secret("secret-of-HOOK_URL"))
    assert "exited 0" in await CommandHook(settings, env).deliver(EVENT)
    seen = json.loads(out.read_text())
    assert "secret-of" not in json.dumps(seen)
    assert (seen["PAGER_TOKEN"], seen["LONGER"], "SHORT" in seen) == ("the command's own", "pwd", False)
    assert seen["REDIS_OOM_EVENT"] == "oom"
    assert "exited 0" in await CommandHook(settings).deliver(EVENT)
    assert "REDISCLI_AUTH" not in json.loads(out.read_text())


async def test_a_hostile_reason_cannot_break_the_environment() -> None:
    assert "\0" not in "".join(environment(replace(EVENT, reason="a\0b\x1b[2J")).values())
    hook = python("import os; assert os.environ['REDIS_OOM_REASON'] == r'a\\x00b'")
    assert "exited 0" in await hook.deliver(replace(EVENT, reason="a\0b"))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import sys; sys.stderr.write('no pager\\x1b[2J'); sys.exit(3)", r"exited 3: no pager\x1b[2J"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exited -9"),
        ("import sys; sys.stdin.close(); sys.exit(1)", "exited 1"),
    ],
)
async def test_a_command_that_fails_is_one_sentence(program: str, expected: str) -> None:
    with nothing_left(), pytest.raises(DeliveryFailed) as caught:
        await python(program).deliver(EVENT)
    assert expected in str(caught.value)


async def test_a_command_that_is_not_there_is_one_sentence() -> None:
    hook = CommandHook(HookSettings(command=("/no/such/command",)))
    with pytest.raises(DeliveryFailed, match="/no/such/command could not be started: No such file"):
        await hook.deliver(EVENT)


async def test_a_command_that_prints_garbage_without_end_is_drained_and_bounded() -> None:
    program = "import sys\nfor _ in range(200):\n sys.stdout.write('x' * 100000)\n sys.stderr.write('\\xff' * 100000)"
    assert "exited 0" in await python(program).deliver(EVENT)


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", stubborn])
open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""
    with nothing_left(), pytest.raises(DeliveryFailed, match="killed after 1s"):
        await python(program, timeout_seconds=1).deliver(EVENT)
    for pid in map(int, pids.read_text().split()):
        await until(lambda pid=pid: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_a_grandchild_that_keeps_the_pipe_open_is_not_waited_for() -> None:
    program = "import subprocess, sys; subprocess.Popen(['sleep', '3'])"
    async with asyncio.timeout(2.5):
        assert "exited 0" in await python(program).deliver(EVENT)


async def test_a_shell_is_used_only_when_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = f"cat > {out}; exit 0"
    assert "exited 0" in await CommandHook(HookSettings(command=(line,), shell=True)).deliver(EVENT)
    assert json.loads(out.read_text())["event"] == "oom"
    with pytest.raises(DeliveryFailed, match="could not be started"):
        await CommandHook(HookSettings(command=(line,))).deliver(EVENT)
