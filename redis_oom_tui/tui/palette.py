"""Which inks each theme has, and the style that they make of each role that a piece of text can play.

The three state colors keep apart for every common color vision: at least 32 dE under protanopia, 54 under
deuteranopia, 48 under tritanopia, on a dark ground.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from msgspec import Struct
from rich.style import Style

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
_TINT = 0.22


# The colors of the dark, the light and the high-contrast theme, from which their roles are mixed.
_INKS: dict[str, tuple[str, str, str]] = {
    "ground": ("#121212", "#fdfdfd", "#000000"),
    "panel": ("#1c1c1c", "#eeeeee", "#000000"),
    "text": ("#dadada", "#1c1c1c", "#ffffff"),
    "dim": ("#949494", "#5f5f5f", "#d0d0d0"),
    "faint": ("#444444", "#bcbcbc", "#9e9e9e"),
    "track": ("#262626", "#e4e4e4", "#303030"),
    "ok": ("#56b4e9", "#005f9e", "#5fd7ff"),
    "warn": ("#ffc20a", "#8a5a00", "#ffd700"),
    "crit": ("#ff5c8a", "#b3003c", "#ff87af"),
    "accent": ("#5fafd7", "#005f9e", "#5fd7ff"),
    "cursor": ("#005f87", "#afd7ff", "#0000d7"),
    "away": ("#303030", "#dadada", "#444444"),
    "on_block": ("#121212", "#ffffff", "#000000"),
    "part0": ("#56b4e9", "#005f9e", "#5fd7ff"),
    "part1": ("#ffc20a", "#9a6400", "#ffd700"),
    "part2": ("#ff5c8a", "#b3003c", "#ff87af"),
    "part3": ("#87d7af", "#00806b", "#87ffaf"),
    "part4": ("#d7afff", "#7a3fb0", "#d7afff"),
    "part5": ("#9e9e9e", "#767676", "#d0d0d0"),
}

_OWN = {"dark": 0, "light": 1, "high-contrast": 2}
# Their accent and their warning; the rest is the terminal's.
_TERMINALS = {"ansi-dark": ("cyan", "yellow"), "ansi-light": ("blue", "magenta")}

# Each role on a ground of our own, and in the terminal's own colors.
_ROLES: dict[str, tuple[str, str]] = {
    "text": ("{text}", ""),
    "dim": ("{dim}", "dim"),
    "title": ("bold {text}", "bold"),
    "key": ("bold {accent}", "bold {accent}"),
    "link": ("{accent}", "{accent}"),
    "rule": ("{faint}", "dim"),
    "ok": ("bold {ok}", "bold {ok}"),
    "warn": ("bold {warn}", "bold {warn}"),
    "crit": ("bold {crit}", "bold {crit}"),
    "ok_block": ("bold {on_block} on {ok}", "bold reverse {ok}"),
    "warn_block": ("bold {on_block} on {warn}", "bold reverse {warn}"),
    "crit_block": ("bold {on_block} on {crit}", "bold reverse {crit}"),
    "bar_ok": ("{ok} on {track}", "{ok}"),
    "bar_warn": ("{warn} on {track}", "{warn}"),
    "bar_crit": ("{crit} on {track}", "{crit}"),
    "track": ("{faint} on {track}", "dim"),
    "tick": ("{dim} on {track}", ""),
    "spark": ("{ok}", "{ok}"),
    "tab": ("{dim} on {panel}", ""),
    "tab_active": ("bold {on_block} on {accent}", "bold reverse"),
    "head": ("{dim} on {panel}", "underline"),
    "head_sorted": ("bold {text} on {panel}", "bold underline"),
    "cursor": ("{text} on {cursor}", "reverse"),
    "cursor_away": ("{text} on {away}", "bold"),
    # The title and the body of a tile of the keyspace's picture.
    **{f"tile{n}": (f"bold {{on_block}} on {{part{n}}}", f"bold reverse {{part{n}}}") for n in range(6)},
    **{f"tint{n}": (f"{{text}} on {{tint{n}}}", "") for n in range(6)},
    "marked": ("bold {warn}", "bold {warn}"),
    **{f"part{n}": (f"{{part{n}}} on {{track}}", f"{{part{n}}}") for n in range(6)},
    **{f"dot{n}": (f"{{part{n}}}", f"{{part{n}}}") for n in range(6)},
    **{f"mark_{name}": (f"bold {_ON_MARK} on {color}", f"bold reverse {name}") for name, color in _MARKS.items()},
}


class Palette(Struct, frozen=True):
    """Colors by name. `own`: a theme with a ground of its own, in place of the terminal's sixteen colors."""

    colors: Mapping[str, str]
    own: bool

    @property
    def styles(self) -> dict[str, Style]:
        """How text of each role is drawn."""
        form = 0 if self.own else 1
        return {role: Style.parse(forms[form].format_map(self.colors) or "none") for role, forms in _ROLES.items()}

    @property
    def base(self) -> Style:
        """What all text stands on."""
        ink = self.colors
        return (
            Style(color=ink["text"], bgcolor=ink["ground"]) if self.own else Style(color="default", bgcolor="default")
        )


def _mixed(color: str, ground: str) -> str:
    """A ground of that color on which text can still be read."""
    pairs = ((int(color[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(_TINT * one + (1 - _TINT) * other):02x}" for one, other in pairs)


@cache
def palette_of(theme: str) -> Palette:
    """Those of that theme."""
    if theme in _OWN:
        ink = {of: colors[_OWN[theme]] for of, colors in _INKS.items()}
        ink |= {f"tint{n}": _mixed(ink[f"part{n}"], ink["ground"]) for n in range(6)}
        return Palette(ink, own=True)
    accent, warn = _TERMINALS[theme]
    ink = {"accent": accent, "ok": accent, "warn": warn, "crit": "red"}
    ink |= {f"part{n}": color for n, color in enumerate((accent, warn, "red", "green", "blue", ""))}
    return Palette(MappingProxyType(ink), own=False)
