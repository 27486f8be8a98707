"""Each theme can be read: text stands out from its ground, and the states from one another for every color vision."""

from itertools import combinations

import pytest

from redis_oom_tui.tui.palette import palette_of
from redis_oom_tui.tui.themes import SCREEN_THEMES

# Those with a ground of their own; the others are the terminal's colors.
OWN = [theme for theme in SCREEN_THEMES if palette_of(theme).own]
# WCAG 2.2: text, and what is large or no text (bars, rules stay below: they are decoration beside a figure).
TEXT, GRAPHIC = 4.5, 3.0
DECORATION = ("rule", "track", "tick")
GRAPHICS = ("bar_", "part", "dot", "spark", "link")


def luminance(color: tuple[int, int, int]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", OWN)
def test_every_text_stands_out_from_its_ground(theme):
    palette = palette_of(theme)
    weak = {}
    for role, style in palette.styles.items():
        drawn = palette.base + style
        found = contrast(drawn.color.get_truecolor(), drawn.bgcolor.get_truecolor())
        least = 0.0 if role in DECORATION else GRAPHIC if role.startswith(GRAPHICS) else TEXT
        if found < least:
            weak[role] = round(found, 2)
    assert weak == {}


# How the cones of a protanope, a deuteranope and a tritanope see linear RGB (Machado, Oliveira and Fernandes, 2009).
VISIONS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(color: str, vision: str) -> tuple[float, float, float]:
    """CIE L*a*b* of a color as that vision sees it, in the light of D65."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    seen = [min(1.0, max(0.0, sum(m * c for m, c in zip(row, linear, strict=True)))) for row in VISIONS[vision]]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(m * c for m, c in zip(row, seen, strict=True)) for row in to_xyz]
    x, y, z = (v / w for v, w in zip(xyz, (0.9505, 1.0, 1.089), strict=True))
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", OWN)
def test_the_states_keep_apart_for_every_color_vision(theme, vision):
    ink = palette_of(theme).colors
    for one, other in combinations(("ok", "warn", "crit"), 2):
        apart = sum((a - b) ** 2 for a, b in zip(lab(ink[one], vision), lab(ink[other], vision), strict=True)) ** 0.5
        assert apart >= 20, (one, other, round(apart))
