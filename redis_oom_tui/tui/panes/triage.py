"""Pane 1, Triage: is it out of memory, why, and what next."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from redis_oom_tui.formatting.chat import ChatForm, chat_text_of
from redis_oom_tui.formatting.check import parts_text
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.scan import Pace, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.ports.source import Replayable
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.findings.odd import refused_reads, unread_values
from redis_oom_tui.tui.header_model import sentence, shown_verdict
from redis_oom_tui.tui.messages import CopyForChat, PickClient, ProposeCleanup, StartScan
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.triage_lists import Clients, Findings, NodeList, TopPatterns
from redis_oom_tui.tui.panes.triage_vitals import BreakdownView, Vitals

_TALL = 28
_SHORT = 16
# In so much room the largest patterns stand beside the clients.
_LARGE_HEIGHT, _LARGE_WIDTH = 44, 100


class TriagePane(Pane):
    """Figures above, findings below; client hogs under them where there is room, and patterns where there is more."""

    pane = "triage"
    title = "Triage"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "clients", "clients", id="triage.clients", tooltip="Choose a client to kill; asks first"),
        Binding("x", "free", "free…", id="triage.free", tooltip="Propose what may go to reach 80%; asks first"),
        Binding(
            "C",
            "copy",
            "Copy for a chat",
            show=False,
            id="triage.copy",
            tooltip="Copy verdict and findings for a chat: Markdown, Slack or plain text",
        ),
    ]

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.vitals = Vitals()
        self.breakdown = BreakdownView()
        self.nodes = NodeList()
        self.findings = Findings()
        self.patterns = TopPatterns()
        self.clients = Clients()
        self._scan_begun = False

    def compose(self) -> ComposeResult:
        yield self.vitals
        yield self.breakdown
        yield self.nodes
        with Vertical():
            yield self.findings
            with Horizontal():
                yield self.patterns
                yield self.clients

    @property
    def main_widget(self) -> Findings:
        """The findings: the only thing here to move in."""
        return self.findings

    def show_state(self, state: ServerState) -> None:
        self.vitals.show(state)
        self.breakdown.show(state)
        cluster = None if state.snapshot is None else state.snapshot.cluster
        self.set_class(cluster is not None, "-cluster")
        if cluster is not None and state.snapshot is not None:
            self.nodes.show(cluster, state.snapshot.server.node)
        used = 0 if state.snapshot is None else state.snapshot.memory.used_bytes or 0
        refusal = state.why_no_clients
        if refusal != self.clients.refusal:
            self.refresh_bindings()
        self.clients.show(state.clients, used, refusal)
        self._scan_once(state)
        self.patterns.show(self.host.scan, self.why_no_scan(), scans_soon=self._scan_begun)
        self._find(state, self.host.scan)

    def _scan_once(self, state: ServerState) -> None:
        """Where there is room for patterns and nothing speaks against it, scan once without being asked."""
        host = self.host
        live = state.link is Link.LIVE and host.startup.over and host.scan is None
        wanted = host.options.auto_scan and host.profile.auto_scan and not isinstance(host.source, Replayable)
        if self._scan_begun or not (live and wanted and self.has_class("-large")) or self.why_no_scan() is not None:
            return
        self._scan_begun = True
        self.post_message(StartScan(replace(host.scanner.options, pace=Pace.GENTLE), asked_for=False))

    def show_scan(self, view: ScanView | None) -> None:
        """A scan knows more: look for findings again once it ends."""
        self.patterns.show(view, self.why_no_scan(), scans_soon=self._scan_begun)
        state = self.host.state
        if state is not None and view is not None and view.complete:
            self._find(state, view)

    def _find(self, state: ServerState, view: ScanView | None) -> None:
        if state.snapshot is None:
            return
        case = Case(
            now=state.snapshot,
            scan=view,
            before=self.host.scanner.before,
            clients=state.clients or (),
            capabilities=state.capabilities,
            settings=state.settings,
            values=self.host.scanner.values,
            replicas=state.replicas,
            large=state.large,
            thresholds=self.host.thresholds,
            rates=state.rates,
            connection_args=self.host.profile.connection_args,
        )
        found = examine(case, refused_reads, unread_values)
        old = view is not None and self.host.scanner.outdated
        self.findings.show(found, self._first_step(state.verdict), scanned=view is not None, outdated=old)

    def _first_step(self, verdict: Verdict | None) -> str:
        """First step, where the header has no line left to say it."""
        if verdict is None or len(sentence(verdict, self.size.width, self.host.style.glyphs)) == 1:
            return ""
        return verdict.first_step

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what may not be done here."""
        del parameters
        return None if self.why_not(action) is not None else True

    def why_not(self, action: str) -> str | None:
        if action == "free":
            return self.host.actions.why_not(Action.DELETE)
        if action != "clients":
            return None
        state = self.host.state
        unlisted = None if state is None else state.why_no_clients
        return self.host.actions.why_not(Action.KILL_CLIENT) or unlisted

    def action_free(self) -> None:
        self.post_message(ProposeCleanup())

    def action_copy(self) -> None:
        """What `check --markdown` says, in the form that is picked."""
        state = self.host.state
        if state is None:
            return
        verdict, snapshot = shown_verdict(state), state.snapshot
        held = "" if snapshot is None or verdict.level is Level.OK else parts_text(breakdown_of(snapshot))
        notes = () if snapshot is None else snapshot.notes
        found = self.findings.findings
        way = self.host.profile.connection_args
        texts = {
            form.value: chat_text_of(verdict, snapshot, found, notes, held, form, connection_args=way)
            for form in ChatForm
        }
        self.post_message(CopyForChat(texts))

    def action_clients(self) -> None:
        self.post_message(PickClient())

    def on_resize(self, event: events.Resize) -> None:
        """What gives way where: first the clients, then the breakdown and the trend."""
        size = event.size
        self.set_class(size.height >= _TALL, "-tall")
        self.set_class(size.height < _SHORT, "-short")
        self.set_class(size.width < 70, "-narrow")
        large = size.height >= _LARGE_HEIGHT and size.width >= _LARGE_WIDTH
        beside = size.height >= _TALL and size.width >= _LARGE_WIDTH
        self.clients.roomy = beside
        self.set_class(large, "-large")
        self.set_class(beside and not large, "-beside")
