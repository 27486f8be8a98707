"""Every pane on services, proxies and users that lack something: what is lost, why, what to try; never a wrong 0."""

import re
import time
from pathlib import Path

import pytest

from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.address import Connection, Secret
from redis_oom_tui.models.config import Profile, ScreenOptions, WatchSettings
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from tests.support.imitations import IMITATIONS, PASSWORD, USER, Imitation, standing
from tests.tui.support import screen_text

PANES = ("triage", "hogs", "limits", "cleanup", "log")
# A hang would be caught here: many times what the timeouts below allow.
BOUND = 60
# Figures that nobody told, and what no screen may show.
WRONG = re.compile(r"Traceback|\b0 of 0\b|\bNone\b|(?<![\d.])0(\.0)? ?[KMG]i?B\b|\bnan\b")

ReplyOrError = dict[str, tuple[str, ...]]

HEALTHY: ReplyOrError = {
    "triage": ("OOM Refusing writes at", "The host has room", "No client but redis-oom-tui"),
    "hogs": ("COMPLETE 203 keys", "of used memory", "cache:v1:*"),
    "limits": ("noeviction: the write is refused with OOM", "maxmemory-samples 5", "203 2."),
    "cleanup": ("To delete: 31 keys, 122.5 KiB",),
    "log": ("OOM for",),
}
NO_CONFIG = "Settings cannot be changed: CONFIG SET is refused here (unknown command 'CONFIG'): set it in the"


def nothing(why: str, *hogs: str) -> ReplyOrError:
    """All panes where INFO is not to be had: the reason, and no figure, but for what `hogs` finds without it."""
    return {
        "triage": (f"? UNKNOWN {why}", "memory unknown", "Waiting for the first INFO"),
        "hogs": (f"? UNKNOWN {why}", *(hogs or ("FAILED",))),
        "limits": (f"! {why}",),
        "cleanup": (f"! {why}",),
        "log": (f"? UNKNOWN {why}", "Waiting for the first INFO: alerts are not known yet"),
    }


def user(command: str) -> str:
    """How Valkey refuses a command to this user."""
    return f"User sre has no permissions to run the '{command}' command"


_HELD_BACK = "answers INFO without used_memory, so nothing can be said about its memory: try a user who may read all"
_NOT_REDIS = "does not speak the Redis protocol: check the port, and whether it requires --tls"
_NO_INFO = (
    f"does not let this user run INFO: {user('info')}; log in as a user with permission, or allow it by ACL SETUSER"
)
# Without INFO the keys can be walked all the same; what a share would be of is not known.
_WALKED = ("COMPLETE 203 keys", "K ? list none", "cache:v1:*")

# What a broken line does to each pane is seen in test_faulty_panes; here, two ways to break one.
BROKEN_LATER = frozenset({"replies cut short", "noise", "resets"})
# What differs from a healthy server, by imitation and pane.
DIFFERENT: dict[str, ReplyOrError] = {
    "CONFIG renamed away": {
        "triage": ("Not readable: settings",),
        "limits": (NO_CONFIG, "maxmemory-samples ?", "maxmemory 3.0 MiB"),
    },
    "Azure Cache for Redis": {
        "triage": ("Not readable: settings",),
        "limits": (NO_CONFIG.replace("'CONFIG'", "`CONFIG`"), "maxmemory-samples ?", "maxmemory 3.0 MiB"),
        "cleanup": ("To delete: 31 keys, 123.3 KiB",),
    },
    "CONFIG GET answers nothing": {"limits": (NO_CONFIG, "maxmemory 3.0 MiB")},
    "no CLIENT": {
        "triage": ("Not readable: clients", "CLIENT LIST is refused here: unknown command 'CLIENT'"),
    },
    "no MEMORY": {
        "triage": ("Not readable: sizes of keys",),
        "hogs": (
            "sizes are unknown here: unknown command 'MEMORY'",
            "list ? string ?",
            "? ? 120 ? 100% string cache:v1:*",
        ),
        "limits": ("not known in bytes: MEMORY USAGE is refused here (unknown command 'MEMORY')", "203 ? ?"),
        "cleanup": ("To delete: 31 keys, ?", "The sizes of its keys are not known here"),
    },
    "no SCAN": {
        "triage": ("! Not readable: keys",),
        "hogs": ("no scan here", "SCAN is refused here: unknown"),
        "limits": ("not known in bytes: SCAN is refused here (unknown command 'SCAN')", "203 ? ?"),
        "cleanup": ("Keys cannot be searched: SCAN is refused here: unknown command 'SCAN'",),
    },
    "no OBJECT": {
        "triage": ("Not readable: idle times",),
        "hogs": ("idle times are unknown here: unknown command 'OBJECT'", "none ? cache:v1:0"),
        "cleanup": ("To delete: 31 keys", "The server does not report idle times"),
    },
    "no TYPE and PTTL": {
        "triage": ("Not readable: types and TTLs",),
        "hogs": ("types are unknown here: unknown command 'TYPE'; TTLs are unknown here: unknown command 'PTTL'",),
        "limits": ("What a volatile-* policy may evict is not known in bytes: PTTL is refused here", "60 ? ?"),
        "cleanup": ("Keys cannot be searched: Each key is checked by its type and expiry before it goes, and TYPE",),
    },
    "no INFO": nothing("127.0.0.1: has no INFO: unknown command 'INFO'; try the server's own port", *_WALKED),
    "INFO without memory": nothing(f"127.0.0.1: {_HELD_BACK}", *_WALKED),
    "INFO empty": nothing(f"127.0.0.1: {_HELD_BACK}", *_WALKED),
    "no scripts": {"cleanup": ("To delete: 31 keys", "each key is read again and deleted in two steps")},
    "UNLINK renamed away": {
        "cleanup": ("This plan cannot be run from here. UNLINK is refused here (unknown command 'UNLINK'): let the",),
    },
    "DUMP and RESTORE renamed away": {
        "cleanup": ("No key can be backed up, as DUMP is refused here (unknown command 'DUMP')",),
    },
    "a user of INFO alone": {
        "triage": (
            "! Not readable: keys, sizes of keys, types, TTLs, clients, settings",
            "to run the 'client|list' command",
        ),
        "hogs": ("no scan here", "SCAN is refused"),
        "limits": (
            f"CONFIG SET is refused here ({user('config|set')}): log in as a user with permission",
            "203 ? ?",
        ),
        "cleanup": (f"Keys cannot be searched: SCAN is refused here: {user('scan')}",),
    },
    "a user of nothing": nothing(f"unix: {_NO_INFO}"),
    "a user of some keys": {
        "hogs": ("COMPLETE 120 keys", "83 no permission", "474.4K 1", "120 4.0K 100% string cache:v1:*"),
        "limits": ("not known in bytes: 83 keys may not be read here", "203 ? ?"),
    },
    "a user who reads": {
        "triage": ("Not readable: clients and settings", f"CLIENT LIST is refused here: {user('client|list')}"),
        "limits": (f"CONFIG SET is refused here ({user('config|set')}): log in as a user with permission",),
        "cleanup": (f"This plan cannot be run from here. UNLINK is refused here ({user('unlink')}): log in",),
    },
    "a user without the dangerous": nothing(f"unix: {_NO_INFO}", *_WALKED),
    "another protocol": nothing(f"127.0.0.1: {_NOT_REDIS}"),
    "silence": nothing(
        "127.0.0.1: did not answer in time: it may be blocked or paused (CLIENT PAUSE), or a firewall drops packets"
    ),
}


def held(app: TriageApp) -> str:
    """The screen in one line, without the port or the socket that the test happens to have."""
    text = " ".join(screen_text(app).replace("│", " ").split())
    return re.sub(r"unix:\S+", "unix:", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:", text))


async def waited(pilot, phrases: tuple[str, ...]) -> str:
    """The screen once all of this stands on it."""
    deadline = time.monotonic() + BOUND
    while missing := [phrase for phrase in phrases if phrase not in (shown := held(pilot.app))]:
        assert time.monotonic() < deadline, f"{missing} never came:\n{screen_text(pilot.app)}"
        await pilot.pause(0.05)
    return shown


def the_app(imitation: Imitation, connection: Connection, folder: Path) -> TriageApp:
    # Only silence is waited for to its end.
    patience = 0.4 if imitation.faults is not None and imitation.faults.silent else 10.0
    connection = replace(connection, connect_timeout_seconds=patience, read_timeout_seconds=patience)
    if imitation.rights:
        connection = replace(connection, username=USER, password=Secret(PASSWORD))
    source = LiveServer(connection)
    return TriageApp(
        source,
        operator=LiveOperator(Standalone(source), folder=folder),
        options=ScreenOptions(interval_seconds=0.2),
        # On a crowded machine it takes long to come to the last pane, which shows a lost server otherwise.
        profile=Profile("", watch=WatchSettings(lost_seconds=3600)),
    )


def said(name: str, pane: str) -> tuple[str, ...]:
    """What the pane must say on the imitation of this name."""
    return DIFFERENT.get(name, {}).get(pane, HEALTHY[pane])


@pytest.mark.usefixtures("gives_up_soon")
@pytest.mark.parametrize("name", [name for name in IMITATIONS if name not in BROKEN_LATER])
async def test_each_pane_says_what_it_lost_and_why(name: str, tmp_path: Path) -> None:
    imitation = IMITATIONS[name]
    with standing(imitation) as (_, connection):
        app = the_app(imitation, connection, tmp_path)
        async with app.run_test(size=(120, 36)) as pilot:
            for number, pane in enumerate(PANES, 1):
                await pilot.press(str(number))
                if pane == "hogs":
                    await pilot.press("r")
                elif pane == "cleanup":
                    await pilot.press("enter", *"cache:v1:1*", "enter", "x")
                text = await waited(pilot, (f"{number} {pane.title()}", *said(name, pane)))
                wrong = WRONG.search(text)
                assert wrong is None, f"{pane} shows {wrong}:\n{screen_text(app)}"


def test_each_imitation_is_expected() -> None:
    assert set(DIFFERENT) <= set(IMITATIONS)
