"""Where each wish of a pane goes."""

from typing import TYPE_CHECKING

from redis_oom_tui.tui import messages
from redis_oom_tui.tui.screens.details import DetailsScreen

if TYPE_CHECKING:
    from redis_oom_tui.tui.app import TriageApp


def route(app: "TriageApp", wish: messages.PaneRequest) -> None:
    """Do it, or hand it to whom it concerns."""
    match wish:
        case messages.ShowPane():
            app.action_show_pane(wish.pane)
        case messages.ApplyRemedy():
            if not app.actions.pull(wish.lever):
                app.action_show_pane(wish.lever.pane)
                app.active_pane.pull(wish.lever)
        case messages.MakePlan():
            app.action_show_pane("cleanup")
            app.active_pane.take_criteria(wish.criteria, wish.origin, hidden=wish.hidden)
        case messages.LookAtNode():
            app.look_at(wish.name)
        case messages.ShowDetails():
            app.push_screen(DetailsScreen(wish.key))
        case _:
            _scan(app, wish)


def _scan(app: "TriageApp", wish: messages.PaneRequest) -> None:
    match wish:
        case messages.StartScan():
            app.startup.then(lambda: app.scanner.start(wish.options))
        case messages.PauseScan():
            app.scanner.pause_or_resume()
        case messages.StopScan():
            app.scanner.stop()
        case messages.SetPace():
            app.scanner.set_pace(wish.pace)
