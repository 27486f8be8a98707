"""What the environment says about the terminal, settled before Textual is imported, which reads it at import."""

import codecs
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import TextIO

from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.tui.glyphs import Appearance, GlyphSet

# Terminals that say so have 16 colors or fewer: a theme in RGB would be rounded to mud.
_FEW_COLORS = frozenset({"linux", "vt100", "vt102", "vt220", "ansi", "cons25", "xterm", "xterm-color", "screen", ""})
THEMES = ("dark", "light", "high-contrast", "ansi-dark", "ansi-light")
# A key that comes right after a frame waits for the next one: at 60 a second, 17 ms at most.
_DEFAULTS = {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_FPS": "60", "TEXTUAL_SMOOTH_SCROLL": "0"}
_SSH_ESCAPE_DELAY_MS = "350"


def refusal(environ: Mapping[str, str], stdin: TextIO | None, stderr: TextIO | None) -> str | None:
    """Why no screen can be shown here, as one sentence; None where one can.

    Textual reads from stdin and draws on stderr, so both must be terminals: with stdin from /dev/null it spins and
    cannot be left, with stderr in a file nobody sees it.
    """
    hint = "use --plain, or a command such as check or hogs"
    if stdin is None or not stdin.isatty():
        return f"The TUI needs a terminal on standard input: {hint}."
    if stderr is None or not stderr.isatty():
        return f"The TUI is drawn on standard error, which is not a terminal: {hint}."
    if environ.get("TERM") == "dumb":
        return f"TERM=dumb cannot show the TUI: {hint}."
    return None


def color_system(environ: Mapping[str, str]) -> str:
    """How many colors Textual will take this terminal to have, by the names that it has for that.

    >>> [color_system({"TERM": term}) for term in ("tmux-256color", "linux", "xterm-kitty")]
    ['256', 'standard', '256']
    >>> color_system({"TERM": "linux", "COLORTERM": "truecolor"})
    'truecolor'
    """
    wanted = environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if wanted != "auto":
        return wanted
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return "truecolor"
    colors = environ.get("TERM", "").strip().lower().rpartition("-")[2]
    return "256" if colors in ("256color", "kitty") else "standard"


def erases_in_color(environ: Mapping[str, str]) -> bool:
    """Whether cells that are erased take the ground that is set: xterm and what calls itself so, and tmux.

    >>> [erases_in_color({"TERM": term}) for term in ("xterm-256color", "tmux-256color", "linux", "screen")]
    [True, True, False, False]
    >>> erases_in_color({"TERM": "screen-256color", "TMUX": "/tmp/tmux-0/default,1,0"})
    True
    """
    return environ.get("TERM", "").startswith(("xterm", "tmux")) or bool(environ.get("TMUX"))


def prepare(environ: MutableMapping[str, str], over_ssh: bool | None = None) -> None:
    """Set what Textual reads at import, where the user has not: no animation, patience with Escape.

    Over SSH the bytes of one key may arrive apart; a short delay would take an arrow key for Escape and letters.
    """
    for name, value in _DEFAULTS.items():
        environ.setdefault(name, value)
    if over_ssh if over_ssh is not None else bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")):
        environ.setdefault("ESCDELAY", _SSH_ESCAPE_DELAY_MS)


def appearance(options: ScreenOptions, environ: Mapping[str, str], encoding: str | None) -> Appearance:
    """The theme and the glyphs for this terminal: the user's word first, then TERM, the encoding and NO_COLOR.

    >>> appearance(ScreenOptions(), {"TERM": "linux"}, "utf-8")
    Appearance(theme='ansi-dark', glyphs='cp437', color=True)
    >>> appearance(ScreenOptions(), {"TERM": "xterm-256color", "NO_COLOR": "1"}, "utf-8")
    Appearance(theme='ansi-dark', glyphs='full', color=False)
    >>> appearance(ScreenOptions(), {"TERM": "xterm-256color"}, "iso-8859-1")
    Appearance(theme='dark', glyphs='ascii', color=True)
    """
    term = environ.get("TERM", "")
    color = options.color if options.color is not None else "NO_COLOR" not in environ
    few = term in _FEW_COLORS and "COLORTERM" not in environ
    theme = options.theme or ("ansi-dark" if few else "dark")
    if not color:
        theme = "ansi-light" if theme in ("light", "ansi-light") else "ansi-dark"
    return Appearance(theme=theme, glyphs=_glyphs(options, term, encoding), color=color)


def _glyphs(options: ScreenOptions, term: str, encoding: str | None) -> GlyphSet:
    if options.ascii or not _is_utf8(encoding):
        return "ascii"
    return "cp437" if term == "linux" else "full"


def _is_utf8(encoding: str | None) -> bool:
    try:
        return codecs.lookup(encoding or "ascii").name == "utf-8"
    except LookupError:
        return False


def settle(options: ScreenOptions) -> Appearance:
    """`prepare` and `appearance` for this process; afterwards NO_COLOR says what was settled."""
    fits = appearance(options, os.environ, getattr(sys.__stderr__, "encoding", None))
    prepare(os.environ)
    if fits.color:
        os.environ.pop("NO_COLOR", None)
    else:
        os.environ["NO_COLOR"] = "1"
    return fits
