"""Going to the server of another profile: picked by name, reached before the old one is let go of."""

import asyncio
from contextlib import AsyncExitStack

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import changed_elsewhere_words
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.tui.dialogs.answers import Option, PickDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.messages import LookAtNode
from redis_oom_tui.tui.profiles import ProfileSession, Switchboard, caution, same_server, target

NO_PROFILES = (
    "No profiles configured: 'redis-oom-tui config example' prints a file with some, 'redis-oom-tui config path' shows"
    " where it is read from"
)

OVERVIEW = "overview"


async def switch(actions: ActionController) -> None:
    """Pick a profile and go there. What keeps it from being reached is told, and everything stays as it is."""
    board = actions.app.switchboard
    if actions.app.stays:
        raise BadInput(actions.app.stays)
    if board is None or not board.profiles:
        raise BadInput(NO_PROFILES)
    _refuse_if_busy(actions)
    here = next((profile.name for profile in board.profiles if same_server(profile, actions.host.profile)), None)
    options = [
        Option(profile.name, _label(profile, here=profile.name == here), target(profile), *_badge(profile))
        for profile in board.profiles
    ]
    at = next((n for n, profile in enumerate(board.profiles) if profile.name == here), 0)
    name = await actions.ask(PickDialog("Switch to which server?", _intro(actions), options, at=at, enter="connects"))
    if name is None or name == here:
        actions.host.tell("" if name is None else f"{safe_text(name, 40)} is on screen already")
        return
    actions.host.tell(f"Connecting to {safe_text(name, 40)}.")
    await _started(actions)
    await _go(actions, await _reached(board, name, "could not be reached, staying on the current server"))


async def _started(actions: ActionController) -> None:
    """Wait until all of this server is there: what comes of it later would be taken for the other's."""
    over = asyncio.Event()
    actions.host.startup.then(over.set)
    await over.wait()


async def open_profile(actions: ActionController, name: str, node: str) -> None:
    """Go to a profile that was chosen in the overview, which stays on screen until it is reached; then show `node`.

    The last choice counts: one made meanwhile, and Escape, give this one up.
    """
    actions.app.opening = mine = object()
    try:
        await _open(actions, name, node, mine)
    finally:
        if actions.app.opening is mine:
            actions.app.opening = None
            actions.late_escape.expect(OVERVIEW, "Opening it had ended already: Esc again leaves the overview")


async def _open(actions: ActionController, name: str, node: str, mine: object) -> None:
    app, board, shown = actions.app, actions.app.switchboard, safe_text(name, 40)
    if board is None:
        return
    if any(profile.name == name and same_server(profile, actions.host.profile) for profile in board.profiles):
        _leave_overview(actions, node)
        return
    _refuse_if_busy(actions)
    left = _left_behind(actions)
    here = safe_text(str(actions.host.source.address), 60)
    if left and not await actions.ask(
        ConfirmDialog(
            Question(f"Leave {here}?", (f"Opening {shown} discards {left} of {here}.",), "Open", danger=False)
        )
    ):
        return
    actions.host.tell(f"Connecting to {shown}. Esc gives up.")
    try:
        session = await _reached(board, name, "could not be reached")
    except BadInput:
        if app.opening is mine:
            raise
        return
    if app.opening is not mine:
        await session.source.close()
        return
    # From here on there is no way back: the server before is let go of.
    actions.host.tell(f"Connected to {shown}, leaving {here}.")
    await _go(actions, session)
    given_up = app.opening is not mine
    _leave_overview(actions, node)
    if given_up:
        actions.host.tell(f"{shown} was connected before you gave up: this is {shown} now.", bad=True)


def _leave_overview(actions: ActionController, node: str) -> None:
    actions.app.leave_overview(opened=True)
    if node:
        actions.app.post_message(LookAtNode(node, or_worst=False))


async def _go(actions: ActionController, session: ProfileSession) -> None:
    left = _left_behind(actions)
    try:
        # The dialog and the way there took their time.
        _refuse_if_busy(actions)
    except BadInput:
        await session.source.close()
        raise
    await actions.host.go_to(session)
    name = safe_text(session.profile.name, 40)
    actions.host.tell(f"This is {name} now.{f' Discarded: {left} of the server before.' if left else ''}")


async def _reached(board: Switchboard, name: str, failure: str) -> ProfileSession:
    """The session, with its server connected and logged in. Raises BadInput with nothing left open."""
    try:
        session = await board.connect(name)
        async with AsyncExitStack() as leaving:
            leaving.push_async_callback(session.source.close)
            await session.source.open()
            leaving.pop_all()
    except TriageError as error:
        raise BadInput(f"{safe_text(name, 40)} {failure}: {error}") from None
    return session


def _refuse_if_busy(actions: ActionController) -> None:
    """What changes a server, or waits to, is not simply left."""
    if actions.is_changing or actions.jobs or actions.cleanup.working:
        raise BadInput("An action is running here: let it end, or stop it with Esc in Cleanup, then switch")
    # What others set since does not revert: nothing is waited for then.
    if actions.limits.reverting is not None and actions.limits.changed_elsewhere is None:
        raise BadInput("A setting here is about to revert: keep it with s in Limits, or let it revert, then switch")


def _label(profile: Profile, *, here: bool) -> str:
    return f"{safe_text(profile.name, 40)}{' (here)' if here else ''}"


def _badge(profile: Profile) -> tuple[str, str]:
    """How careful one has to be there, in the color of the profile."""
    return caution(profile), f"mark_{profile.shown_color.value}"


def _intro(actions: ActionController) -> str:
    left = _left_behind(actions)
    stays = "The current server stays until the new one connects."
    discards = f" Switching discards {left}." if left else ""
    held, elsewhere = actions.limits.reverting, actions.limits.changed_elsewhere
    words = "" if held is None or elsewhere is None else f" {changed_elsewhere_words(held, elsewhere)}."
    return f"{stays}{discards}{words}"


def _left_behind(actions: ActionController) -> str:
    """What is dropped by going: marks, a plan, a scan."""
    marked = actions.app.main.marked
    facts = [
        f"{count(marked)} marks" if marked > 1 else "a mark" if marked else "",
        f"the plan of {number_of_keys(len(actions.cleanup.plan.keys))}" if actions.cleanup.plan is not None else "",
        "the scan" if actions.scan is not None else "",
    ]
    return " and ".join(text for text in facts if text)
