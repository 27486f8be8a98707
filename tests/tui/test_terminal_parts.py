"""The parts that keep the terminal safe, one by one."""

import io
import os

import hiredis
import pytest
import redis
import textual
from rich.console import Console

from redis_oom_tui import __version__
from redis_oom_tui.formatting.sanitize import crash_report
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.terminal.environment import appearance, color_system, prepare, refusal
from redis_oom_tui.tui.terminal.link import LinkWriter


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("term", "stdin", "stderr", "words"),
    [
        ("xterm", Tty(), Tty(), None),
        ("dumb", Tty(), Tty(), "TERM=dumb"),
        ("xterm", io.StringIO(), Tty(), "standard input"),
        ("xterm", None, Tty(), "standard input"),
        ("xterm", Tty(), io.StringIO(), "standard error"),
    ],
)
def test_where_no_screen_can_be_it_is_said_in_a_sentence(term, stdin, stderr, words):
    sentence = refusal({"TERM": term}, stdin, stderr)
    assert (sentence is None) == (words is None)
    if sentence is not None:
        assert words in sentence
        assert "--plain" in sentence


@pytest.mark.parametrize(
    ("options", "environ", "encoding", "fits"),
    [
        ({}, {"TERM": "xterm-256color"}, "utf-8", Appearance()),
        ({}, {"TERM": "vt100"}, "utf-8", Appearance("ansi-dark")),
        ({}, {"TERM": "xterm", "COLORTERM": "truecolor"}, "utf-8", Appearance()),
        ({}, {}, None, Appearance("ansi-dark", "ascii")),
        ({"ascii": True}, {"TERM": "linux"}, "utf-8", Appearance("ansi-dark", "ascii")),
        ({"color": True}, {"TERM": "xterm-256color", "NO_COLOR": "1"}, "utf-8", Appearance()),
        (
            {"color": False, "theme": "light"},
            {"TERM": "xterm-256color"},
            "UTF8",
            Appearance("ansi-light", "full", False),
        ),
        ({"theme": "high-contrast"}, {"TERM": "linux"}, "utf-8", Appearance("high-contrast", "cp437")),
    ],
)
def test_look_and_glyphs_fit_the_terminal_unless_told_otherwise(options, environ, encoding, fits):
    assert appearance(ScreenOptions(**options), environ, encoding) == fits


def test_what_the_user_set_for_textual_stays():
    environ = {"TEXTUAL_FPS": "60", "SSH_CONNECTION": "1 2 3 4"}
    prepare(environ)
    assert environ["TEXTUAL_FPS"] == "60"
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert int(environ["ESCDELAY"]) >= 250
    at_home: dict[str, str] = {}
    prepare(at_home)
    assert "ESCDELAY" not in at_home


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_a_full_link_holds_no_writer_up(pipe):
    reader, writer = pipe
    with os.fdopen(os.dup(writer), "w", encoding="latin-1") as file:
        link = LinkWriter(file)
        link.start()
        for _ in range(200):
            link.write("x" * 4096)
        assert link.waiting > 200 * 4096 - 256 * 1024
        got = 0
        while got < 200 * 4096:
            got += len(os.read(reader, 65536))
        link.write("\u732b\u00e9")
        assert os.read(reader, 10) == b"?\xe9"
        link.stop()
        assert link.waiting == 0


def test_a_link_that_is_gone_takes_everything_and_ends(pipe):
    reader, writer = pipe
    with os.fdopen(os.dup(writer), "w") as file:
        os.close(reader)
        link = LinkWriter(file)
        link.start()
        for _ in range(50):
            link.write("x" * 65536)
        link.stop()
        assert not link.is_alive()
        assert link.waiting == 0


def test_a_crash_report_names_the_place_and_no_value():
    def fail():
        password = Secret("hunter2")
        raise RuntimeError(f"{password} rediss://ops:hunter2@cache-1:6379/0 \x1b[2J")

    with pytest.raises(RuntimeError) as caught:
        fail()
    report = crash_report(caught.value)
    assert "in fail" in report
    assert "RuntimeError" in report
    assert "rediss://***@cache-1:6379/0" in report
    assert "hunter2" not in report
    assert "\x1b" not in report


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (lambda: int("hunter2"), "ValueError: invalid literal for int() with base 10: ***\n"),
        (lambda: int("hunter2" * 100), "ValueError: invalid literal for int() with base 10: ***\n"),
        (lambda: float("hunter2'\\\" \n"), "ValueError: could not convert string to float: ***\n"),
        (lambda: {}[b"hunter2"], "KeyError: ***\n"),
        (b"hunter2\xff".decode, "UnicodeDecodeError: *** codec can't decode byte 0xff in position 7: "),
        (lambda: None.shape, "AttributeError: 'NoneType' object has no attribute 'shape'\n"),
    ],
)
def test_a_crash_report_has_no_value_that_an_error_of_python_quotes(fail, expected):
    with pytest.raises((ValueError, KeyError, AttributeError)) as caught:
        fail()
    report = crash_report(caught.value)
    assert expected in report
    assert "hunter2" not in report


def test_a_crash_report_names_versions_and_where_to_report(monkeypatch):
    monkeypatch.setenv("TERM", "tmux-256color")
    monkeypatch.setenv("REDISCLI_AUTH", "hunter2")
    report = crash_report(ValueError("no"))
    assert "https://github.com/redis-oom-tui/redis-oom-tui/issues" in report
    assert f"redis-oom-tui {__version__}, Python 3." in report
    assert f"redis {redis.__version__}, hiredis {hiredis.__version__}, textual {textual.__version__}" in report
    assert report.endswith("TERM tmux-256color")
    assert "hunter2" not in report


TERMS = ["xterm-256color", "tmux-256color", "xterm-kitty", "linux", "xterm-16color", "vt100", ""]


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("more", [{}, {"COLORTERM": "truecolor"}, {"COLORTERM": "24bit"}, {"COLORTERM": "yes"}])
def test_as_many_colors_are_expected_as_textual_will_send(term, more):
    environ = {"TERM": term, **more}
    console = Console(color_system="auto", force_terminal=True, legacy_windows=False, _environ=environ)
    assert color_system(environ) == console.color_system
