"""The incident report, from what the screen knows."""

import asyncio
import json
from collections.abc import Mapping

from redis_oom_tui.files.disk import write_new
from redis_oom_tui.formatting.chat import ChatForm
from redis_oom_tui.formatting.report import HTML_SUFFIXES, document, markdown, page
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.trend import IncidentReport
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.cluster import actions_on
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.findings.case import nameless
from redis_oom_tui.rules.findings.odd import refused_reads
from redis_oom_tui.rules.report import overdue
from redis_oom_tui.rules.sampled_values import were_read
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.tui.dialogs.answers import ExportDialog, Option, PickDialog
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.messages import CopyForChat, ExportReport

_READERS = {
    ChatForm.MARKDOWN: "GitHub, GitLab, Teams, Discord, Mattermost, most ticket systems",
    ChatForm.SLACK: "Slack's message field",
    ChatForm.PLAIN: "mail, a terminal, anything else",
}
# The command that prints the same, for a terminal that passes no OSC 52 on.
_PRINTED = {
    ChatForm.MARKDOWN: ("check", "--markdown"),
    ChatForm.SLACK: ("check", "--slack"),
    ChatForm.PLAIN: ("check",),
}


async def run_flow(actions: ActionController, request: ExportReport | CopyForChat) -> None:
    """Write the report, or copy what goes into a chat."""
    if isinstance(request, CopyForChat):
        await copy_for_chat(actions, request.texts)
    else:
        await export(actions)


async def export(actions: ActionController) -> None:
    """Ask where, and write it."""
    choice = await actions.ask(ExportDialog(actions.new_file("incident-{}.md")))
    if choice is None:
        return
    history = await asyncio.to_thread(actions.operator.history) if actions.acts else ()
    seen = None if actions.host.state is None else actions.host.state.snapshot
    here = (str(actions.host.source.address), *actions.host.timeline.former)
    entries = actions_on(seen, reversed(history), *here)
    made = gathered(actions, names=choice.names, entries=entries)
    text = _in_form(made, choice.path.suffix.lower())
    await asyncio.to_thread(write_new, choice.path, text)
    actions.host.tell(f"Report saved to {choice.path.absolute()}")


async def copy_for_chat(actions: ActionController, texts: Mapping[str, str]) -> None:
    """Ask in which form, and copy it by OSC 52."""
    options = [Option(form, form.capitalize(), _READERS[ChatForm(form)]) for form in texts]
    form = await actions.ask(PickDialog("Copy for a chat", "Copies the verdict and findings.", options, enter="copy"))
    if form is None:
        return
    actions.app.copy_to_clipboard(texts[form])
    prints = command_line(actions.host.profile.connection_args, *_PRINTED[ChatForm(form)])
    actions.host.tell(f"Copied as {form} (OSC 52). If your terminal blocks it, '{prints}' prints it.")


def _in_form(made: IncidentReport, suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(document(made), indent=2) + "\n"
    return page(made) if suffix in HTML_SUFFIXES else markdown(made)


def gathered(actions: ActionController, *, names: bool, entries: tuple[AuditEntry, ...]) -> IncidentReport:
    """The report as things stand. Raises BadInput before the first figures."""
    app, state = actions.host, actions.host.state
    if state is None or state.snapshot is None or app.timeline.first is None:
        raise BadInput("Nothing to report yet: the server has not answered")
    case = Case(
        now=state.snapshot,
        scan=actions.scan,
        before=app.scanner.before,
        clients=state.clients or (),
        capabilities=state.capabilities,
        settings=state.settings,
        values=app.scanner.values,
        replicas=state.replicas,
        thresholds=app.thresholds,
        large=state.large,
        rates=state.rates,
        connection_args=app.profile.connection_args,
    )
    case = case if names else nameless(case)
    skipped, unread_before = actions.operator.history_gaps() if actions.acts else (0, None)
    return IncidentReport(
        made_at=app.clock.wall(),
        first=app.timeline.first,
        last=state.snapshot,
        verdict=state.verdict
        or judge(state.snapshot, thresholds=app.thresholds, rates=state.rates, replicas=state.replicas),
        episodes=app.timeline.episodes(),
        findings=examine(case, refused_reads),
        forecast=state.forecast,
        scan=case.scan,
        recognition=case.recognition,
        actions=entries,
        names=names,
        values_read=were_read(app.scanner.values),
        split=breakdown_of(state.snapshot),
        samples=state.samples,
        overdue=frozenset(entry.id for entry in overdue(entries, app.clock.wall())),
        connection_args=app.profile.connection_args,
        actions_skipped=skipped,
        actions_unread_before=unread_before,
    )
