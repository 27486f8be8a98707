"""Runs the screen. Nothing here imports Textual before the environment that it reads at import is settled."""

import contextlib
import gc
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.ports.operator import PendingServer
from redis_oom_tui.ports.source import Replayable, Source
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.profiles import Switchboard
from redis_oom_tui.tui.terminal.environment import THEMES, refusal, settle

if TYPE_CHECKING:
    from redis_oom_tui.tui.app import TriageApp
    from redis_oom_tui.tui.terminal.splash import SplashScreen


# Thresholds of Python's garbage collector until the screen stands: to load it makes 120,000 objects, which all stay.
# To look for garbage among them takes a tenth of that time.
_COLLECTED_AFTER = 150_000, 5, 5


def run_app(
    source: Source | PendingServer | None,
    *,
    options: ScreenOptions | None = None,
    profile: Profile | None = None,
    switchboard: Switchboard | None = None,
    stays: str = "",
    keymap: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> int:
    """Open `source`, show the screen until it is left, close `source`, and return the exit code.

    0 after quitting, 1 after a crash, 2 where no screen can be shown (said in one sentence on stderr), 128 + n after
    signal n. `profile` gives the thresholds and how the server is marked, `switchboard` the way to others,
    `stays` why there is none, `keymap` keys by the ids of what they do. Without a `source` the overview of
    the switchboard's profiles comes first.
    What keeps `source` from opening (a TriageError) is raised before the screen begins. Of a `PendingServer` that
    answers, the rest is loaded after the first paint; it brings its own operator.
    """
    gc.set_threshold(*_COLLECTED_AFTER)
    options, profile = options or ScreenOptions(), profile or Profile("")
    if options.theme is not None and options.theme not in THEMES:
        raise BadInput(f"{options.theme!r} is not a theme: choose one of {', '.join(THEMES)}")
    sentence = refusal(os.environ, sys.__stdin__, sys.__stderr__)
    if sentence is not None:
        sys.stderr.write(f"{sentence}\n")
        return 2
    given: dict[str, Any] = {"options": options, "keymap": keymap, "clock": clock}
    appearance = settle(options)
    with contextlib.ExitStack() as stack:
        splash = _splash(stack, source, profile, appearance)
        app = _app(source, profile=profile, appearance=appearance, **given)
        app.switchboard, app.stays, app.splash = switchboard, stays, splash
        app.begins_at_overview = source is None
        from redis_oom_tui.tui.terminal import safe_run  # noqa: PLC0415

        return safe_run.run(app, mouse=options.mouse, saved=None if splash is None else splash.saved)


def _splash(
    stack: contextlib.ExitStack, source: Source | PendingServer | None, profile: Profile, appearance: Appearance
) -> "SplashScreen | None":
    """The frame before the screen, for a server that was asked and is still awaited."""
    if not isinstance(source, PendingServer) or source.failed_early:
        return None
    from redis_oom_tui.tui.terminal.splash import SplashFrame, SplashScreen  # noqa: PLC0415

    return stack.enter_context(SplashScreen(SplashFrame(profile, appearance), source))


def _app(source: Source | PendingServer | None, **given: Any) -> "TriageApp":
    """The app for that source; loading it takes most of the time until it shows."""
    from redis_oom_tui.tui.app import ReplayApp, TriageApp  # noqa: PLC0415
    from redis_oom_tui.tui.commands import check_keymap  # noqa: PLC0415
    from redis_oom_tui.tui.deferred_startup import PlaceholderSource  # noqa: PLC0415
    from redis_oom_tui.tui.terminal.driver import TriageDriver  # noqa: PLC0415

    check_keymap(given["keymap"] or {}, TriageApp)
    operator = first = None
    if isinstance(source, PendingServer):
        answers, first = source.answers(), source.first(0.0)
        if not answers:
            # `open` has a sentence for what keeps it from answering, or takes the longer way that this server needs.
            operator, source = source.operator(), source.source()
    source = source or PlaceholderSource(Address())
    kind = ReplayApp if isinstance(source, Replayable) else TriageApp
    app = kind(source, operator=operator, driver_class=TriageDriver, **given)
    app.session.first = first
    return app
