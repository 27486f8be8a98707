"""A verdict with its findings for a chat: Markdown of which Slack and plain-text readers make the same.

Only `*emphasis*`, code and dashes are used: `**bold**`, headings, tables and backslashes mean something else in Slack.
"""

import re
from collections.abc import Iterable, Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import advice_with_commands, role_text, server_text, share_of_limit, with_commands
from redis_oom_tui.formatting.sizes import count, number_of, size
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.verdict import Finding, Verdict

_SHOWN = 5
# A word that Markdown, HTML or Slack might take for more than text, without the punctuation around it.
_SPECIAL = re.compile(r"[*_`<>&|\[\]@#\\^]|(?<=.)~|://|www\.|^:.*:$")
_WORD = re.compile(r"^([(\"']*)(.*?)([)\"'.,;:!?…]*)$", re.DOTALL)
# What calls people in a chat, even out of code.
_NO_CALL = "\u200b"
_CALL = re.compile(r"<(?=[!@#])|@(?=here|channel|everyone)", re.IGNORECASE)


def chat_text(text: str) -> str:
    """`text` with every word as code that could be markup; no name in it calls anybody or becomes a link.

    >>> chat_text("3 keys of user:* (used_memory 5 MiB), see <other>.")
    '3 keys of `user:*` (`used_memory` 5 MiB), see `<other>`.'
    """
    return " ".join(map(_word, safe_text(text, None).split(" ")))


def _word(word: str) -> str:
    if not _SPECIAL.search(word):
        return word
    found = _WORD.match(word)
    before, core, after = found.groups() if found else ("", word, "")
    return f"{before}{code(core)}{after}" if core else code(word)


def code(text: str) -> str:
    """`text` as code.

    >>> code("a`b <!channel>").encode("ascii", "backslashreplace")
    b"`a'b <\\\\u200b!channel>`"
    """
    return f"`{_CALL.sub(lambda call: call[0] + _NO_CALL, text.replace('`', chr(39)))}`"


def chat_text_of(
    verdict: Verdict,
    snapshot: Snapshot | None = None,
    findings: Sequence[Finding] = (),
    notes: Sequence[str] = (),
    held: str = "",
) -> str:
    """The verdict, then a list: the figures, what to do, `notes`, the worst nodes and the first findings.

    `held` says what holds the memory, '' where that is not told.
    """
    items: list[str] = [] if snapshot is None else [_figures(snapshot)]
    items += [chat_text(held)] if held else []
    if verdict.first_step:
        items.append(f"*Next*: {chat_text(with_commands(verdict.first_step))}")
    if verdict.confirm:
        items.append(f"*To confirm*: {', '.join(code(safe_text(each)) for each in verdict.confirm)}")
    items += [f"*Note*: {chat_text(note)}" for note in notes]
    if snapshot is not None and snapshot.fleet is not None:
        items += _first(map(_node, snapshot.fleet.nodes), "node")
    items += _first(map(_finding, findings), "finding")
    first = f"*{verdict.level.value.upper()}*: {chat_text(verdict.reason)}"
    return "\n".join([first, *([""] if items else []), *(f"- {item}" for item in items)])


def _first(items: Iterable[str], what: str) -> list[str]:
    """The first of them, and how many more there are."""
    shown = list(items)
    more = len(shown) - _SHOWN
    return [*shown[:_SHOWN], *([f"and {number_of(more, f'more {what}')}"] if more > 0 else [])]


def _figures(snapshot: Snapshot) -> str:
    server, memory, counters = snapshot.server, snapshot.memory, snapshot.counters
    parts = (
        f"{code(safe_text(str(server.address)))} {chat_text(server_text(server))}, {role_text(server.role)}",
        f"used {size(memory.used_bytes)} ({share_of_limit(memory)})",
        chat_text(memory.policy),
        f"refused writes {count(counters.refused_writes_total)}",
        f"evicted keys {count(counters.evicted_keys_total)}",
    )
    return "; ".join(parts)


def _node(view: NodeView) -> str:
    name = code(safe_text(view.name, 60))
    if view.snapshot is None or view.verdict is None:
        return f"{name}: no answer"
    return f"{name}: {view.verdict.level.value.upper()}, {share_of_limit(view.snapshot.memory)}"


def _finding(finding: Finding) -> str:
    saves = finding.saves_bytes
    low = f"{size(saves[0])} to" if saves and saves[0] else "up to"
    worth = f" Saves {low} {size(saves[1])}." if saves and saves[1] else ""
    return f"*{finding.level.value}*: {chat_text(finding.title)}. {chat_text(advice_with_commands(finding))}{worth}"
