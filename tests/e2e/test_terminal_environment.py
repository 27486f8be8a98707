"""Whatever terminal is there: colors, glyphs, sizes, and a plain refusal where no screen can be."""

import re
import signal
import subprocess
import sys

import pytest

from tests.support.terminal import ROOT, terminal

APP = [sys.executable, "-m", "tests.support.app_on_script"]
COLOR = re.compile(rb"\x1b\[[0-9;]*(?:\b(?:3[0-8]|4[0-8]|9[0-7]|10[0-7]))[0-9;]*m")
pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("term", "size"),
    [
        ("xterm-256color", (80, 24)),
        ("screen-256color", (40, 12)),
        ("tmux-256color", (80, 24)),
        ("linux", (40, 12)),
        ("vt100", (80, 24)),
        ("xterm", (40, 12)),
    ],
)
def test_each_terminal_shows_the_figures(term, size):
    with terminal(APP, size, TERM=term) as run:
        text = run.wait_for("OOM")
        assert "%" in text
        assert "\ufffd" not in text
        run.type("2")
        run.wait_for("KEY")


def through_everything(run):
    """Each pane once, with help and palette."""
    run.wait_for("refused writes")
    for keys, words in (
        ("2r", "scanning"),
        ("\t", "PATTERN"),
        ("3", "3 Limits"),
        ("4", "4 Cleanup"),
        ("5", "5 Log"),
        ("?", "Global"),
        ("\x1b", "5 Log"),
        ("\x10", "Search"),
    ):
        run.type(keys)
        run.wait_for(words)
        run.read(0.3)


def test_the_linux_console_gets_glyphs_that_its_font_has():
    with terminal(APP, TERM="linux") as run:
        through_everything(run)
        drawn = {char for char in bytes(run.raw).decode() if not char.isascii()}
        # Code page 437 draws these where ASCII has its control characters.
        for char in drawn - set("\u2192\u2190\u2191\u2193\u25b2\u25bc\u25ba\u25c4\u2022"):
            char.encode("cp437")


@pytest.mark.parametrize(
    "how", [{"LC_ALL": "en_US.ISO-8859-1", "PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_without_utf_8_it_draws_in_ascii(how):
    with terminal(APP, LANG=None, **how) as run:
        through_everything(run)
        assert bytes(run.raw).isascii()
        assert b"\\u" not in run.raw


def test_ascii_by_option():
    with terminal([*APP, "--ascii"]) as run:
        through_everything(run)
        assert bytes(run.raw).isascii()


@pytest.mark.parametrize(("arguments", "environ"), [([], {"NO_COLOR": "1"}), (["--no-color"], {})])
def test_no_color_means_none_and_states_still_read(arguments, environ):
    with terminal([*APP, *arguments], **environ) as run:
        text = run.wait_for("refused writes")
        run.type("2rjj")
        run.wait_for("scanning")
        assert not COLOR.search(bytes(run.raw))
        assert "!! " in text, "a symbol and a word tell the state"
        assert b"\x1b[0;7m" in run.raw or b";7m" in run.raw or b"[7m" in run.raw, "the cursor shows by reverse video"


@pytest.mark.parametrize("theme", ["light", "high-contrast", "ansi-light"])
def test_themes_by_name(theme):
    with terminal([*APP, "--theme", theme]) as run:
        run.wait_for("refused writes")


def test_a_storm_of_resizes_ends_in_a_whole_screen():
    with terminal(APP) as run:
        run.wait_for("refused writes")
        for n in range(60):
            run.resize(1 + n * 7 % 190, 1 + n * 5 % 58)
            run.read(0.01)
        run.resize(80, 24)
        run.screen.reset()
        run.type("\x0c")
        # Frames of sizes before the last one may still be on their way.
        whole = ("redis-oom-tui", "refused writes", "q quit")
        run.wait_for(lambda text: all(words in text for words in whole))


def cells(screen):
    return [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]


def frozen(run):
    """No poll sends another frame that would hide a wrong one."""
    run.wait_for("refused writes")
    run.type("f")
    run.wait_for("frozen")
    return run


def is_whole(run):
    """Each cell comes to be as it was by a full paint. A busy machine may let the app wait for over a second."""
    while run.read(2.0):
        pass
    left = cells(run.screen)
    run.screen.reset()
    run.type("\x0c")
    run.wait_for(lambda _: cells(run.screen) == left)
    return "q quit" in run.text()


def test_a_size_that_is_back_before_anybody_looked_is_painted_whole():
    with terminal(APP) as run:
        frozen(run).signal(signal.SIGSTOP)
        run.resize(20, 5)
        run.resize(80, 24)
        run.signal(signal.SIGCONT)
        assert is_whole(run)


@pytest.mark.parametrize("last", [(120, 36), (60, 15)])
def test_after_a_hundred_resizes_each_cell_is_right_without_asking(last):
    with terminal(APP) as run:
        frozen(run)
        for n in range(100):
            run.resize(*(last if n % 3 == 0 else (1 + n * 7 % 190, 1 + n * 5 % 58)))
            run.read(0.001 * (n % 7))
        run.resize(*last)
        assert is_whole(run)


def refused(stdin, stderr, **environ):
    plain = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "xterm", **environ}
    return subprocess.run(APP, stdin=stdin, stderr=stderr, env=plain, cwd=ROOT, timeout=60, check=False)


def test_without_a_terminal_it_says_so_and_ends():
    run = refused(subprocess.DEVNULL, subprocess.PIPE)
    assert run.returncode == 2
    assert run.stderr.count(b"\n") == 1
    assert b"--plain" in run.stderr


def test_a_dumb_terminal_is_told_of_the_plain_way():
    with terminal(APP, TERM="dumb") as run:
        assert run.wait() == 2
        assert b"--plain" in run.raw
        assert b"\x1b" not in run.raw


def test_with_stderr_in_a_file_it_does_not_draw_there(tmp_path):
    target = tmp_path / "err"
    script = f"import subprocess,sys; sys.exit(subprocess.run({APP!r}, stderr=open({str(target)!r}, 'wb')).returncode)"
    with terminal(script) as run:
        assert run.wait() == 2
    assert b"\x1b" not in target.read_bytes()
