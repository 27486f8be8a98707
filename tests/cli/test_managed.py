"""Every command on services, proxies and users that lack something: what is lost, why, and what to try; never a 0."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.files.config import Configuration
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.structs import replace
from tests.support.imitations import IMITATIONS, Imitation, reached, standing
from tests.support.json_documents import document_of

COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "check --json": ("check", "--json"),
    "hogs": ("hogs", "--idle", "--top", "3"),
    "hogs --json": ("hogs", "--json", "--top", "3"),
    "hogs --patterns": ("hogs", "--patterns", "--top", "3"),
    "limits": ("limits",),
    "limits --json": ("limits", "--json"),
    "limits --set": ("limits", "--set", "maxmemory-samples=7", "--yes"),
    "plan": ("cleanup", "--match", "cache:v1:1*"),
    "plan by idle time": ("cleanup", "--match", "cache:*", "--idle-over", "1d"),
    "cleanup": ("cleanup", "--match", "cache:v1:2*", "--yes"),
    "restore": ("restore", "BACKUP", "--yes"),
    "watch": ("watch", "--once", "--plain"),
    "watch --json": ("watch", "--once", "--json"),
    "report": ("report",),
}
# What is asked over a broken line, which is the same for every output of a command.
OVER_A_BROKEN_LINE = ("check", "hogs", "limits", "limits --set", "plan", "cleanup", "restore", "watch", "report")
# Where nothing at all can be known, every command ends with this sentence and exit code 3.
NOTHING = {
    "no INFO": "has no INFO: unknown command 'INFO'; try the server's own port instead of a proxy's",
    "INFO without memory": "answers INFO without used_memory",
    "INFO empty": "answers INFO without used_memory",
    "a user of nothing": "log in as a user with permission, or allow it by ACL SETUSER with +info",
    "a user without the dangerous": "log in as a user with permission, or allow it by ACL SETUSER with +info",
    "replies cut short": "closed the connection: it may be restarting",
    "another protocol": "does not speak the Redis protocol: check the port",
    "noise": "does not speak the Redis protocol: check the port",
    "silence": "did not answer in time: it may be blocked or paused (CLIENT PAUSE), or a firewall drops packets",
    "resets": "closed the connection: it may be restarting",
}
# Without INFO the keys can be walked all the same.
BLIND = {"no INFO", "INFO without memory", "INFO empty", "a user without the dangerous"}
_BLIND = {
    "hogs": (0, "203 keys, 2."),
    "hogs --json": (0, '"explained_share": null'),
    "hogs --patterns": (0, "  cache:v1:*"),
}
_AT_OOM = (1, "is over maxmemory, where noeviction would refuse writes. Raise maxmemory or free more")
HEALTHY: dict[str, tuple[int, str]] = {
    "check": (2, "OOM: Refusing writes"),
    "check --json": (2, '"verdict": "oom"'),
    "hogs": (0, "203 keys"),
    "hogs --json": (0, '"scanned_keys": 203'),
    "hogs --patterns": (0, "  cache:v1:*"),
    "limits": (0, "noeviction: the write is refused with OOM"),
    "limits --json": (0, '"maxmemory_bytes": 3145728'),
    "limits --set": (0, "maxmemory-samples is 7 now"),
    "plan": (0, "Dry run. Add --yes to execute."),
    "plan by idle time": (0, "No key of 203 matches"),
    "cleanup": (0, "Deleted 11 of 11 keys"),
    "restore": (0, "20 already exist and were left unchanged"),
    "watch": (2, "Refusing writes at"),
    "watch --json": (2, '"type":"tick"'),
    "report": (0, "## What uses the memory"),
}
_ELSEWHERE = "set it in the provider's console or parameter group"
_UNWALKED: dict[str, tuple[int, str]] = {
    "hogs": (3, "none of 203 keys was seen"),
    "hogs --json": (3, '"bytes": null'),
    "hogs --patterns": (3, "none of 203 keys was seen"),
    "report": (0, "The keys could not be scanned"),
}
# What differs from a healthy server, by imitation and command: the exit code, and words that must stand there.
DIFFERENT: dict[str, dict[str, tuple[int, str]]] = {
    "CONFIG renamed away": {
        "check": (2, f"CONFIG GET is refused here: {_ELSEWHERE}"),
        "report": (0, "no advice on what does not fit this server among them"),
        "limits": (0, "maxmemory-samples ?"),
        "limits --json": (0, "has no CONFIG GET: unknown command"),
        "limits --set": (3, _ELSEWHERE),
    },
    "Azure Cache for Redis": {
        "check": (2, f"CONFIG GET is refused here: {_ELSEWHERE}"),
        "limits": (0, "maxmemory-samples ?"),
        "limits --json": (0, "has no CONFIG GET: unknown command `CONFIG`"),
        "limits --set": (3, _ELSEWHERE),
    },
    "CONFIG SET answers OK and does nothing": {"limits --set": (1, "answered OK and kept the old value")},
    "CONFIG GET answers nothing": {
        "limits": (0, "maxmemory 3.0 MiB (3,145,728 bytes)"),
        "limits --set": (3, _ELSEWHERE),
    },
    "no CLIENT": {"report": (0, "Not readable: clients")},
    "no MEMORY": {
        "hogs": (0, "sizes are unknown here: unknown command 'MEMORY'"),
        "hogs --json": (0, '"bytes": null'),
        "plan": (0, "The sizes of its keys are not known here"),
        "report": (0, "| ? | ? | 109 | ? | 109 | string | 0 | cache:v1:\\* |"),
    },
    "no SCAN": {
        **_UNWALKED,
        "plan": (3, "has no SCAN: unknown command 'SCAN'; load its dump into a server of your own"),
        "plan by idle time": (3, "has no SCAN"),
        "cleanup": (3, "has no SCAN"),
    },
    "no OBJECT": {
        "hogs": (0, "idle times are unknown here: unknown command 'OBJECT'"),
        "plan": (0, "The server does not report idle times"),
        "plan by idle time": (
            3,
            "This server does not report idle times (unknown command 'OBJECT'): choose by pattern",
        ),
    },
    "no TYPE and PTTL": {
        "hogs": (0, "TTLs are unknown here: unknown command 'PTTL'"),
        "hogs --json": (0, '"volatile_keys": null'),
        "hogs --patterns": (0, "       ?  ?     session:*"),
        "plan": (3, "TYPE is refused here (unknown command 'TYPE')"),
        "plan by idle time": (3, "TYPE is refused here"),
        "cleanup": (3, "TYPE is refused here"),
        "report": (0, "TTLs are unknown here"),
    },
    "no scripts": {"plan": (0, "in two steps"), "cleanup": (0, "in two steps")},
    "UNLINK renamed away": {
        "plan": (
            0,
            "This plan cannot be run from here. UNLINK is refused here (unknown command 'UNLINK'): let the keys",
        ),
        "cleanup": (3, "UNLINK is refused here (unknown command 'UNLINK'): let the keys expire instead"),
    },
    "DUMP and RESTORE renamed away": {
        "plan": (0, "No key can be backed up, as DUMP is refused here (unknown command 'DUMP')"),
        "cleanup": (3, "decline the backup (--no-backup), and there is no undo"),
    },
    "a user of INFO alone": {
        **_UNWALKED,
        "limits": (0, "log in as a user with permission, or set it in"),
        "limits --set": (3, "log in as a user with permission, or set it in"),
        "plan": (3, "TYPE is refused here"),
        "plan by idle time": (3, "This server does not report idle times"),
        "cleanup": (3, "UNLINK is refused here"),
        "restore": _AT_OOM,  # EXISTS is refused as well: nobody knows which keys are back
        "report": (0, "allow it by ACL SETUSER with +scan"),
    },
    "a user of some keys": {
        "hogs": (0, "120 keys, 474.4 KiB, all that this user may read"),
        "hogs --json": (0, '"refused_keys": 83'),
        "hogs --patterns": (0, "83 keys may not be read by this user"),
        "restore": _AT_OOM,
        "report": (0, "By a scan of all keys that this user may read (109,"),
    },
    "a user who reads": {
        "limits": (0, "log in as a user with permission, or set it in"),
        "limits --set": (3, "log in as a user with permission, or set it in"),
        "plan": (0, "This plan cannot be run from here. UNLINK is refused here"),
        "cleanup": (3, "log in as a user with permission, or"),
        "report": (0, "CLIENT NO-TOUCH is not available here"),
    },
}


@dataclass(frozen=True, slots=True)
class ReplyOrError:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("REDIS_URL", "REDISCLI_AUTH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def say(own_home: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., ReplyOrError]:
    """Run one command to its end."""

    def run(*arguments: str) -> ReplyOrError:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        out, err = capfd.readouterr()
        return ReplyOrError(int(str(ended.value.code)), out, err)

    return run


# By flavour: what is in it does not depend on the test.
_backups: dict[str, bytes] = {}


@pytest.fixture
def backup(own_home: Path, say: Callable[..., ReplyOrError], request: pytest.FixtureRequest) -> Path:
    """The carts of a healthy server of the same flavour, which no imitation has by then."""
    path = own_home / "carts.backup"
    healthy = Imitation(flavour=IMITATIONS[request.node.callspec.params["name"]].flavour)
    if healthy.flavour not in _backups:
        with standing(healthy) as (_, connection):
            done = say(*reached(healthy, connection), "cleanup", "--match", "cart:*", "--yes", "--backup", str(path))
        assert done.code == 0, done.err
        _backups[healthy.flavour] = path.read_bytes()
    path.write_bytes(_backups[healthy.flavour])
    path.chmod(0o600)
    return path


@pytest.fixture
def impatient(own_home: Path) -> list[str]:
    """Options by which a silent server is given up soon: what is tested is that it is, not after how long."""
    file = own_home / "config.toml"
    file.write_text("[profiles.impatient]\nconnect_timeout = '1s'\nread_timeout = '1s'\n")
    file.chmod(0o600)
    return ["--config", str(file), "--profile", "impatient"]


@pytest.mark.parametrize("name", IMITATIONS)
def test_each_command_says_what_it_lost_and_what_to_try(
    name: str, say: Callable[..., ReplyOrError], backup: Path, impatient: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    imitation = IMITATIONS[name]
    wrong = []
    if imitation.faults is not None and imitation.faults.silent:
        # Less than a file can say: each command waits for all of it.
        monkeypatch.setattr(timeouts, "GIVE_UP", 0.3)
        connect = Configuration.connection
        monkeypatch.setattr(
            Configuration, "connection", lambda *given: replace(connect(*given), read_timeout_seconds=0.2)
        )
    with standing(imitation) as (_, connection):
        connection_args = [*(impatient if imitation.faults else []), *reached(imitation, connection)]
        for command in COMMANDS if imitation.faults is None else OVER_A_BROKEN_LINE:
            words = COMMANDS[command]
            said = say(*connection_args, *(str(backup) if word == "BACKUP" else word for word in words))
            code, must = expected(name, command)
            whole = said.out + said.err
            if said.code != code or must not in whole or "Traceback" in whole:
                wrong.append((command, f"wanted {code} and {must!r}", said))
            elif "--json" in command and said.out:
                document_of(words[0], said.out)
            if command == "check":
                wrong += refused_commands(whole, connection_args, say)
    assert not wrong, "\n".join(map(str, wrong))


def refused_commands(
    text: str, connection_args: Sequence[str], say: Callable[..., ReplyOrError]
) -> list[tuple[str, ReplyOrError]]:
    """The commands in `text` that end badly when they are copied."""
    refused = []
    for line in dict.fromkeys(re.findall("`redis-oom-tui ([^`]+)`", text)):
        # The password is asked for, and here is nobody to type it.
        words = shlex.split(line)
        command = next(at for at, word in enumerate(words) if word in ("hogs", "cleanup", "limits", "report"))
        said = say(*connection_args, *words[command:])
        refused += [(line, said)] if said.code else []
    return refused


def expected(name: str, command: str) -> tuple[int, str]:
    """The exit code and the words that `command` must end with on the imitation of this name."""
    if name in NOTHING:
        return _BLIND.get(command, (3, NOTHING[name])) if name in BLIND else (3, NOTHING[name])
    return DIFFERENT.get(name, {}).get(command, HEALTHY[command])


def test_ttls_that_nobody_tells_are_no_ttls_of_nothing(say: Callable[..., ReplyOrError]) -> None:
    imitation = IMITATIONS["no TYPE and PTTL"]
    with standing(imitation) as (_, connection):
        connection_args = reached(imitation, connection)
        document = document_of("hogs", say(*connection_args, "hogs", "--json").out)
        words = say(*connection_args, "hogs", "--patterns").out
        text = say(*connection_args, "report").out
    assert document["volatile_keys"] is document["volatile_bytes"] is None
    assert {pattern["no_ttl_keys"] for pattern in document["patterns"]} == {None}
    assert "with a TTL" not in words
    assert "have no TTL" not in text
    assert "None of" not in text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("DUMP and RESTORE renamed away", "has no RESTORE: unknown command 'RESTORE'"),
        ("a user of some keys", "No permissions to access a key"),
        ("a user who reads", "log in as a user with permission, or allow it by ACL SETUSER with +restore"),
    ],
)
def test_a_restore_that_fails_says_for_what(
    name: str, why: str, say: Callable[..., ReplyOrError], backup: Path
) -> None:
    imitation = IMITATIONS[name]
    with standing(imitation) as (server, connection):
        with server.client() as admin:
            admin.config_set("maxmemory", 50_000_000)
        said = say(*reached(imitation, connection), "restore", str(backup), "--yes")
    assert said.code == 1
    assert "20 failed (" in said.out
    assert why in said.out
