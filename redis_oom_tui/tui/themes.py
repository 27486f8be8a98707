"""Colors: five themes, each one of Textual's and one style per role that a piece of text can play."""

from collections.abc import Mapping

from msgspec import Struct
from rich.style import Style
from textual.theme import Theme

from redis_oom_tui.tui.palette import palette_of


class ScreenTheme(Struct, frozen=True):
    """A theme for Textual's own widgets, and styles for what this product draws.

    `tracks` says that the empty part of a bar shows by its ground color, so that it needs no glyph.
    """

    theme: Theme
    styles: dict[str, Style]
    tracks: bool = True

    def style(self, role: str) -> Style:
        """How text of that role is drawn."""
        return self.styles[role]


def _theme(name: str, ink: Mapping[str, str], variables: dict[str, str], *, dark: bool, ansi: bool = False) -> Theme:
    return Theme(
        name=name,
        ansi=ansi,
        primary=ink["accent"],
        secondary=ink["accent"],
        accent=ink["accent"],
        warning=ink["warn"],
        error=ink["crit"],
        success=ink["ok"],
        foreground=ink["text"],
        background=ink["ground"],
        surface=ink["panel"],
        panel=ink["panel"],
        boost=ink["panel"],
        dark=dark,
        variables=variables,
    )


def _own(name: str, *, dark: bool) -> ScreenTheme:
    """A theme that brings its ground along."""
    ink = palette_of(name).colors
    variables = {"block-cursor-text-style": "none", "footer-key-foreground": ink["accent"]}
    return ScreenTheme(_theme(name, ink, variables, dark=dark), palette_of(name).styles)


def _terminals(name: str, *, dark: bool) -> ScreenTheme:
    """A theme in the sixteen colors that the terminal has been set to."""
    plain, around = "ansi_default", f"ansi_{palette_of(name).colors['accent']}"
    widgets = {"accent": around, "ok": "ansi_green", "warn": "ansi_yellow", "crit": "ansi_red"}
    widgets |= dict.fromkeys(("text", "ground", "panel"), plain)
    variables = {"ansi-background": "ansi_black", "ansi-foreground": "ansi_white", "border-blurred": around}
    return ScreenTheme(_theme(name, widgets, variables, dark=dark, ansi=True), palette_of(name).styles, tracks=False)


SCREEN_THEMES: dict[str, ScreenTheme] = {
    known.theme.name: known
    for known in (
        _own("dark", dark=True),
        _own("light", dark=False),
        _own("high-contrast", dark=True),
        _terminals("ansi-dark", dark=True),
        _terminals("ansi-light", dark=False),
    )
}
