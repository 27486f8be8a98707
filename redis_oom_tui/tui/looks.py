"""Colours: four looks, each a Textual theme and one style per role that a piece of text can play.

The three state colours keep apart for every common colour vision: at least 32 dE under protanopia, 54 under
deuteranopia, 48 under tritanopia, on a dark ground.
"""

from dataclasses import dataclass

from rich.style import Style
from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Look:
    """A theme for Textual's own widgets, and styles for what this product draws.

    `tracks` says that the empty part of a bar shows by its ground colour, so that it needs no glyph.
    """

    theme: Theme
    styles: dict[str, Style]
    tracks: bool = True

    def style(self, role: str) -> Style:
        """How text of that role is drawn."""
        return self.styles[role]


# What marks a profile: the names that the configuration knows.
_MARKS = {
    "red": "#ff5f5f",
    "yellow": "#ffd75f",
    "green": "#87d787",
    "blue": "#87afff",
    "magenta": "#ff87ff",
    "cyan": "#5fd7d7",
}
_ON_MARK = "#121212"


@dataclass(frozen=True, slots=True)
class _Ink:
    """The colours of a look, from which its roles are mixed."""

    ground: str
    panel: str
    text: str
    dim: str
    faint: str
    track: str
    ok: str
    warn: str
    crit: str
    accent: str
    cursor: str
    away: str
    on_block: str
    parts: tuple[str, str, str, str, str, str]


def _roles(ink: _Ink) -> dict[str, Style]:
    fg = Style.parse
    return {
        "text": fg(ink.text),
        "dim": fg(ink.dim),
        "title": fg(f"bold {ink.text}"),
        "key": fg(f"bold {ink.accent}"),
        "link": fg(ink.accent),
        "rule": fg(ink.faint),
        "ok": fg(f"bold {ink.ok}"),
        "warn": fg(f"bold {ink.warn}"),
        "crit": fg(f"bold {ink.crit}"),
        "ok_block": fg(f"bold {ink.on_block} on {ink.ok}"),
        "warn_block": fg(f"bold {ink.on_block} on {ink.warn}"),
        "crit_block": fg(f"bold {ink.on_block} on {ink.crit}"),
        "bar_ok": fg(f"{ink.ok} on {ink.track}"),
        "bar_warn": fg(f"{ink.warn} on {ink.track}"),
        "bar_crit": fg(f"{ink.crit} on {ink.track}"),
        "track": fg(f"{ink.faint} on {ink.track}"),
        "tick": fg(f"{ink.dim} on {ink.track}"),
        "spark": fg(ink.ok),
        "tab": fg(f"{ink.dim} on {ink.panel}"),
        "tab_active": fg(f"bold {ink.on_block} on {ink.accent}"),
        "head": fg(f"{ink.dim} on {ink.panel}"),
        "head_sorted": fg(f"bold {ink.text} on {ink.panel}"),
        "cursor": fg(f"{ink.text} on {ink.cursor}"),
        "cursor_away": fg(f"{ink.text} on {ink.away}"),
        "marked": fg(f"bold {ink.warn}"),
        **{f"part{i}": fg(f"{color} on {ink.track}") for i, color in enumerate(ink.parts)},
        **{f"dot{i}": fg(color) for i, color in enumerate(ink.parts)},
        **{f"mark_{name}": fg(f"bold {_ON_MARK} on {color}") for name, color in _MARKS.items()},
    }


def _theme(name: str, ink: _Ink, *, dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=ink.accent,
        secondary=ink.accent,
        accent=ink.accent,
        warning=ink.warn,
        error=ink.crit,
        success=ink.ok,
        foreground=ink.text,
        background=ink.ground,
        surface=ink.panel,
        panel=ink.panel,
        boost=ink.panel,
        dark=dark,
        variables={"block-cursor-text-style": "none", "footer-key-foreground": ink.accent},
    )


_DARK = _Ink(
    ground="#121212",
    panel="#1c1c1c",
    text="#dadada",
    dim="#949494",
    faint="#444444",
    track="#262626",
    ok="#56b4e9",
    warn="#ffc20a",
    crit="#ff5c8a",
    accent="#5fafd7",
    cursor="#005f87",
    away="#303030",
    on_block="#121212",
    parts=("#56b4e9", "#ffc20a", "#ff5c8a", "#87d7af", "#d7afff", "#9e9e9e"),
)
_LIGHT = _Ink(
    ground="#fdfdfd",
    panel="#eeeeee",
    text="#1c1c1c",
    dim="#5f5f5f",
    faint="#bcbcbc",
    track="#e4e4e4",
    ok="#005f9e",
    warn="#8a5a00",
    crit="#b3003c",
    accent="#005f9e",
    cursor="#afd7ff",
    away="#dadada",
    on_block="#ffffff",
    parts=("#005f9e", "#b27400", "#b3003c", "#00806b", "#7a3fb0", "#767676"),
)
_CONTRAST = _Ink(
    ground="#000000",
    panel="#000000",
    text="#ffffff",
    dim="#d0d0d0",
    faint="#9e9e9e",
    track="#303030",
    ok="#5fd7ff",
    warn="#ffd700",
    crit="#ff87af",
    accent="#5fd7ff",
    cursor="#0000d7",
    away="#444444",
    on_block="#000000",
    parts=("#5fd7ff", "#ffd700", "#ff87af", "#87ffaf", "#d7afff", "#d0d0d0"),
)


def _ansi_roles(accent: str, warn: str) -> dict[str, Style]:
    plain = {
        "text": "",
        "dim": "dim",
        "title": "bold",
        "key": f"bold {accent}",
        "link": accent,
        "rule": "dim",
        "ok": f"bold {accent}",
        "warn": f"bold {warn}",
        "crit": "bold red",
        "ok_block": f"bold reverse {accent}",
        "warn_block": f"bold reverse {warn}",
        "crit_block": "bold reverse red",
        "bar_ok": accent,
        "bar_warn": warn,
        "bar_crit": "red",
        "track": "dim",
        "tick": "",
        "spark": accent,
        "tab": "",
        "tab_active": "bold reverse",
        "head": "underline",
        "head_sorted": "bold underline",
        "cursor": "reverse",
        "cursor_away": "bold",
        "marked": f"bold {warn}",
    }
    parts = {
        f"{kind}{i}": name
        for i, name in enumerate((accent, warn, "red", "green", "blue", ""))
        for kind in ("part", "dot")
    }
    marks = {f"mark_{name}": f"bold reverse {name}" for name in _MARKS}
    return {role: Style.parse(text or "none") for role, text in (plain | parts | marks).items()}


def _ansi_theme(name: str, accent: str, *, dark: bool) -> Theme:
    plain = "ansi_default"
    return Theme(
        name=name,
        ansi=True,
        primary=accent,
        secondary=accent,
        accent=accent,
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
        foreground=plain,
        background=plain,
        surface=plain,
        panel=plain,
        boost=plain,
        dark=dark,
        variables={"ansi-background": "ansi_black", "ansi-foreground": "ansi_white", "border-blurred": accent},
    )


LOOKS: dict[str, Look] = {
    "dark": Look(_theme("dark", _DARK, dark=True), _roles(_DARK)),
    "light": Look(_theme("light", _LIGHT, dark=False), _roles(_LIGHT)),
    "high-contrast": Look(_theme("high-contrast", _CONTRAST, dark=True), _roles(_CONTRAST)),
    "ansi-dark": Look(_ansi_theme("ansi-dark", "ansi_cyan", dark=True), _ansi_roles("cyan", "yellow"), tracks=False),
    "ansi-light": Look(
        _ansi_theme("ansi-light", "ansi_blue", dark=False), _ansi_roles("blue", "magenta"), tracks=False
    ),
}
