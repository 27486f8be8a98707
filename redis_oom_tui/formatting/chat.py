"""A verdict with its findings for a chat, in the form that its reader takes: Markdown, Slack's own, or plain text.

Only bold, code and lists are used: headings, tables and backslashes do not read the same everywhere.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import (
    advice_with_commands,
    role_of,
    server_text,
    share_of_limit,
    with_code,
    with_commands,
)
from redis_oom_tui.formatting.sizes import count, number_of, size
from redis_oom_tui.formatting.vitals import saving
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.verdict import Finding, Verdict

_SHOWN = 5
# A word that Markdown, HTML or Slack might take for more than text, without the punctuation around it.
_SPECIAL = re.compile(r"[*_`<>&|\[\]@#\\^]|(?<=.)~|://|www\.|^:.*:$")
_WORD = re.compile(r"^([(\"']*)(.*?)([)\"'.,;:!?…]*)$", re.DOTALL)
# What calls people in a chat, even out of code.
_NO_CALL = "\u200b"
_CALL = re.compile(r"<(?=[!@#])|@(?=here|channel|everyone)", re.IGNORECASE)


class ChatForm(StrEnum):
    """Who reads it: a chat, ticket or page that takes Markdown; Slack's message field; anything else."""

    MARKDOWN = "Markdown"
    SLACK = "Slack"
    PLAIN = "plain text"

    def bold(self, text: str) -> str:
        """`text`, which has no marks of its own, as bold.

        >>> [form.bold("Next") for form in ChatForm]
        ['**Next**', '*Next*', 'Next']
        """
        mark = {ChatForm.MARKDOWN: "**", ChatForm.SLACK: "*"}.get(self, "")
        return f"{mark}{text}{mark}"

    def code(self, text: str) -> str:
        """`text` as code; it calls nobody in any form.

        >>> [form.code("a`b <!channel>").encode("ascii", "backslashreplace") for form in ChatForm]
        [b"`a'b <\\\\u200b!channel>`", b"`a'b <\\\\u200b!channel>`", b'a`b <\\\\u200b!channel>']
        """
        quiet = _CALL.sub(lambda call: call[0] + _NO_CALL, text)
        return quiet if self is ChatForm.PLAIN else f"`{quiet.replace('`', chr(39))}`"

    def text(self, text: str) -> str:
        """`text` with every word as code that could be markup; no name in it calls anybody or becomes a link.

        >>> ChatForm.SLACK.text("3 keys of user:* (used_memory 5 MiB), see <other>.")
        '3 keys of `user:*` (`used_memory` 5 MiB), see `<other>`.'
        """
        return with_code(safe_text(text, None), lambda part: " ".join(map(self._word, part.split(" "))), self.code)

    def _word(self, word: str) -> str:
        if not _SPECIAL.search(word):
            return word
        found = _WORD.match(word)
        before, core, after = found.groups() if found else ("", word, "")
        return f"{before}{self.code(core)}{after}" if core else self.code(word)

    def item(self, text: str) -> str:
        """`text` as an item of a list: Slack's message field makes no list of dashes."""
        return f"{'•' if self is ChatForm.SLACK else '-'} {text}"


def chat_text_of(
    verdict: Verdict,
    snapshot: Snapshot | None = None,
    findings: Sequence[Finding] = (),
    notes: Sequence[str] = (),
    held: str = "",
    form: ChatForm = ChatForm.MARKDOWN,
    *,
    connection_args: Sequence[str] = (),
) -> str:
    """The verdict, then a list: the figures, what to do, `notes`, the worst nodes and the first findings.

    `held` says what holds the memory, '' where that is not told.
    """
    items: list[str] = [] if snapshot is None else [_figures(snapshot, form)]
    items += [form.text(held)] if held else []
    if verdict.first_step:
        items.append(
            f"{form.bold('Next')}: {form.text(with_commands(verdict.first_step, connection_args, verdict.client_id))}"
        )
    if verdict.confirm:
        items.append(f"{form.bold('To confirm')}: {', '.join(form.code(safe_text(each)) for each in verdict.confirm)}")
    items += [f"{form.bold('Note')}: {form.text(note)}" for note in notes]
    if snapshot is not None and snapshot.cluster is not None:
        items += _first((_node(view, form) for view in snapshot.cluster.nodes), "node")
    items += _first((_finding(each, form, connection_args) for each in findings), "finding")
    first = f"{form.bold(verdict.level.value.upper())}: {form.text(verdict.reason)}"
    return "\n".join([first, *([""] if items else []), *map(form.item, items)])


def _first(items: Iterable[str], what: str) -> list[str]:
    shown = list(items)
    more = len(shown) - _SHOWN
    return [*shown[:_SHOWN], *([f"and {number_of(more, f'more {what}')}"] if more > 0 else [])]


def _figures(snapshot: Snapshot, form: ChatForm) -> str:
    server, memory, counters = snapshot.server, snapshot.memory, snapshot.counters
    kind = f"{server_text(server)}, {role_of(server)}"
    parts = (
        f"{form.code(safe_text(str(server.address)))} {form.text(kind)}",
        f"used {size(memory.used_bytes)} ({share_of_limit(memory)})",
        form.text(memory.policy),
        f"refused writes {count(counters.refused_writes_total)}",
        f"evicted keys {count(counters.evicted_keys_total)}",
    )
    return "; ".join(parts)


def _node(view: NodeView, form: ChatForm) -> str:
    name = form.code(safe_text(view.name, 60))
    if view.snapshot is None or view.verdict is None:
        return f"{name}: no answer"
    return f"{name}: {view.verdict.level.value.upper()}, {share_of_limit(view.snapshot.memory)}"


def _finding(finding: Finding, form: ChatForm, connection_args: Sequence[str]) -> str:
    worth = f" Frees {saving(finding, short=False)}." if finding.saves_bytes else ""
    text = f"{form.text(finding.title)}. {form.text(advice_with_commands(finding, connection_args))}{worth}"
    return f"{form.bold(finding.level.value)}: {text}"
