"""Escape and a key in one packet, as over a slow link: both are meant, none becomes Alt and that key."""

import pytest
from textual import constants

from redis_oom_tui.tui.terminal.driver import KeyParser
from tests.support.waiting import stand_still


def typed(text: str, *, typing: bool = False) -> list[str]:
    """The keys that come of it, the time that Escape waits for more included."""
    parser = KeyParser(typing=lambda: typing)
    keys = [event.key for event in parser.feed(text)]
    stand_still(constants.ESCAPE_DELAY + 0.02)
    return keys + [event.key for event in parser.tick()]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("\x1b", ["escape"]),
        ("\x1bq", ["escape", "q"]),
        ("\x1bQ", ["escape", "Q"]),
        ("\x1bjj", ["escape", "j", "j"]),
        ("\x1b\r", ["escape", "enter"]),
        ("\x1b\x1b", ["escape", "escape"]),
        *((f"\x1b{digit}", ["escape", digit]) for digit in "12345"),
        ("\x1bf", ["escape", "f"]),
        ("\x1bb", ["escape", "b"]),
        ("\x1b-", ["escape", "minus"]),
        ("\x1b?", ["escape", "question_mark"]),
        ("\x1b ", ["escape", "space"]),
        # What terminals send for one key stays one key.
        ("\x1b[A", ["up"]),
        ("\x1bOP", ["f1"]),
        ("\x1b[Z", ["shift+tab"]),
        ("\x1b\t", ["shift+tab"]),
        ("\x1b\x7f", ["ctrl+w"]),
        ("\x1b[1;5C", ["ctrl+right"]),
        ("j\x1b[Bk", ["j", "down", "k"]),
    ],
)
def test_each_is_what_was_typed(text: str, keys: list[str]) -> None:
    assert typed(text) == keys


def test_in_a_line_of_text_the_keys_that_move_in_it_stay() -> None:
    assert typed("\x1bf", typing=True) == ["ctrl+right"]
    assert typed("\x1bb", typing=True) == ["ctrl+left"]
