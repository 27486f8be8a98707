"""An incident in a real terminal: a cleanup, another policy; the server itself then tells what happened."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.support.servers import RunningServer, available, started
from tests.support.tmux import Terminal, opened, terminals

pytestmark = pytest.mark.e2e

OLD = 600
CURSOR = "▌"


def until(terminal: Terminal, done: Callable[[], bool], what: str, patience: float = 30.0) -> None:
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, f"{what}:\n{terminal.screen()}"
        time.sleep(0.05)


def canceled(terminal: Terminal) -> bool:
    terminal.press("Escape")
    return "Cancel" not in terminal.screen()


def cursor_line(terminal: Terminal) -> str:
    """The list's line that has the cursor; what stands beside the list is painted at other times."""
    lines = terminal.screen().splitlines()
    return next((line.partition("│")[0] for line in lines if line.startswith(CURSOR)), "")


def go_to(terminal: Terminal, name: str) -> None:
    """Down, a line at a time, until the cursor is on the line of this name."""
    for _ in range(20):
        here = cursor_line(terminal)
        if name in here:
            return
        terminal.press("Down")
        until(terminal, lambda here=here: cursor_line(terminal) not in {"", here}, f"the cursor stands still on {here}")  # type: ignore[misc]
    pytest.fail(f"the cursor never came to {name}:\n{terminal.screen()}")


def soon(true: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether it becomes true within `seconds`: a busy machine paints late."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def buttons_with_focus(terminal: Terminal) -> list[str]:
    return re.findall(r"\[ [^\]\n]+", terminal.screen())


def press_button(terminal: Terminal, words: str) -> None:
    """Tab to the button, which is bracketed once it has the focus, and press it."""
    for _ in range(6):
        before = buttons_with_focus(terminal)
        terminal.press("Tab")
        soon(lambda before=before: buttons_with_focus(terminal) != before)  # type: ignore[misc]
        if any(words in button for button in buttons_with_focus(terminal)):
            terminal.press("Enter")
            return
    pytest.fail(f"no focus on {words}:\n{terminal.screen()}")


def type_word(terminal: Terminal, word: str) -> None:
    """Its letters find their line from anywhere. A dialog is deaf for its first moment: then the line is emptied."""
    for patience in (0.5, *[2.0] * 5):
        terminal.type(word)
        if soon(lambda: f"Type {word} to confirm: {word} " in " ".join(terminal.screen().split()), patience):
            return
        terminal.press("C-u")
    pytest.fail(f"nowhere to type {word}:\n{terminal.screen()}")


def config(client: redis.Redis) -> dict[bytes, bytes]:
    answer: list[bytes] = client.execute_command("CONFIG GET", "*")
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    return {bytes(name, "ascii") if isinstance(name, str) else name: value for name, value in pairs}


@pytest.fixture(params=terminals())
def tmux(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def full(flavour: str) -> Iterator[RunningServer]:
    """A server that refuses writes, with an old cache to be freed beside keys that must stay."""
    with started(flavour) as server:
        with server.client() as client:
            client.mset({f"cache:old:{number}": "x" * 3000 for number in range(OLD)})
            client.mset({f"user:{number}": "y" * 100 for number in range(400)})
            client.mset({"cache:new": "keep", "cache:old": "keep", "[/x]\x1b[31m": "keep"})
            client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - 500_000)
            with pytest.raises(redis.ResponseError):
                client.set("probe", "v")
        yield server


# Each of the two on every other server: without a terminal, both are tested on all.
@pytest.mark.parametrize("flavour", available()[::2])
def test_what_is_out_of_memory_is_cleaned_up(tmux: str, flavour: str) -> None:
    with (
        full(flavour) as server,
        server.client() as client,
        opened(tmux, "-s", server.socket_path) as terminal,
    ):
        keys_before, config_before = set(client.keys("*")), config(client)
        terminal.wait_for("OOM", "noeviction")
        clean_up(terminal)
        until(terminal, lambda: client.dbsize() == len(keys_before) - OLD, "the keys are not gone")
        terminal.wait_for(f"{OLD}", "elet")
        terminal.press("q")
        terminal.wait_for("EXIT=0")
        gone = keys_before - set(client.keys("*"))
        assert gone == {f"cache:old:{number}".encode() for number in range(OLD)}
        assert set(client.keys("*")) <= keys_before
        assert config(client) == config_before
        assert client.set("probe", "v")


@pytest.mark.parametrize("flavour", available()[1::2])
def test_what_is_out_of_memory_is_given_another_policy(tmux: str, flavour: str) -> None:
    with (
        full(flavour) as server,
        server.client() as client,
        opened(tmux, "-s", server.socket_path) as terminal,
    ):
        keys_before, config_before = set(client.keys("*")), config(client)
        terminal.wait_for("OOM", "noeviction")
        change_policy(terminal, "volatile-ttl")
        until(
            terminal,
            lambda: client.config_get("maxmemory-policy")["maxmemory-policy"] == "volatile-ttl",
            "the policy stays",
        )

        terminal.press("q")
        terminal.wait_for("EXIT=0")
        assert set(client.keys("*")) == keys_before
        changed = {name for name, value in config(client).items() if value != config_before[name]}
        assert changed == {b"maxmemory-policy"}


def clean_up(terminal: Terminal) -> None:
    """Through the form, the preview and the question, with the word that a large share of the keyspace wants."""
    terminal.press("4")
    terminal.wait_for("Key pattern")
    terminal.press("Enter")
    terminal.wait_for("Key pattern:")
    terminal.type("cache:old:*")
    terminal.press("Enter")
    terminal.wait_for("cache:old:*")
    terminal.press("x")
    terminal.wait_for(f"{OLD} keys")
    terminal.press("x")
    terminal.wait_for(f"Delete {OLD} keys?", "Type delete to confirm:")
    type_word(terminal, "delete")
    press_button(terminal, f"Delete {OLD} keys")


def test_keys_that_come_in_one_packet_are_handled_one_by_one(tmux: str, valkey: RunningServer) -> None:
    """As over a slow link: no letter of a name is taken for a command, and no command for a letter."""
    with valkey.client() as client, opened(tmux, "-s", valkey.socket_path) as terminal:
        client.mset({f"{name}:{number}": "x" for name in ("xerox", "fox", "user") for number in range(40)})
        terminal.wait_for("Triage", "OK")
        terminal.type("2r")
        terminal.wait_for("COMPLETE")
        terminal.type("/\x1b[200~xero\x1b[201~x\rj")  # A part of it pasted.
        assert "fox:" not in terminal.wait_for("/xerox", "xerox:20")
        terminal.type("4\rfox:*\rx")
        terminal.wait_for("40 keys", "fox:*")
        terminal.type("x")
        terminal.wait_for("Delete 40 keys?")  # A question is deaf for its first moment, whatever was typed ahead.
        until(terminal, lambda: canceled(terminal), "the question stays")
        terminal.type("\x1b5")
        terminal.wait_for("DETAIL")
        assert client.dbsize() == 120


def change_policy(terminal: Terminal, policy: str) -> None:
    """By the list, the dialog and its second button."""
    terminal.press("3")
    terminal.wait_for("EVICTION POLICY", "noeviction")
    terminal.press("Home")
    until(terminal, lambda: "volatile-lru" in cursor_line(terminal), "the cursor is not at the top")
    go_to(terminal, policy)
    terminal.press("Enter")
    terminal.wait_for("Change maxmemory-policy?", policy)
    press_button(terminal, "Change")
