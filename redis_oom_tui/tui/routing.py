"""Where each wish of a pane goes."""

from typing import TYPE_CHECKING

from redis_oom_tui.tui import intents
from redis_oom_tui.tui.screens.details import DetailsScreen

if TYPE_CHECKING:
    from redis_oom_tui.tui.app import TriageApp


def route(app: "TriageApp", wish: intents.Intent) -> None:
    """Do it, or hand it to whom it concerns."""
    match wish:
        case intents.ShowPane():
            app.action_show_pane(wish.pane)
        case intents.PullLever():
            if not app.deeds.pull(wish.lever):
                app.action_show_pane(wish.lever.pane)
                app.active_pane.pull(wish.lever)
        case intents.MakePlan():
            app.action_show_pane("cleanup")
            app.active_pane.take_criteria(wish.criteria, wish.origin, hidden=wish.hidden)
        case intents.LookAtNode():
            app.look_at(wish.name)
        case intents.ShowDetails():
            app.push_screen(DetailsScreen(wish.key))
        case _:
            _scan(app, wish)


def _scan(app: "TriageApp", wish: intents.Intent) -> None:
    match wish:
        case intents.StartScan():
            app.arrival.then(lambda: app.desk.start(wish.options))
        case intents.PauseScan():
            app.desk.pause_or_resume()
        case intents.StopScan():
            app.desk.stop()
        case intents.SetPace():
            app.desk.set_pace(wish.pace)
