"""A key's whole name, however long, by its exact bytes."""

from collections.abc import Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import paragraph, quoted
from redis_oom_tui.tui.drawing import Line


class NameDialog(Dialog[bool]):
    """Shows the name; `facts` are sentences about the key."""

    CANCEL = "Close"

    def __init__(self, key: KeyId, facts: Sequence[str]) -> None:
        super().__init__("One key", act=None)
        self.key = key
        self.facts = tuple(facts)

    def body(self, width: int) -> Sequence[Line]:
        """Facts, then the name."""
        lines: list[Line] = []
        for fact in self.facts:
            lines += paragraph(safe_text(fact), width)
        where = f"Database {self.key.db}" + (f", node {safe_text(self.key.node)}" if self.key.node else "")
        lines += paragraph(f"{where}; the name is {count(len(self.key.key))} bytes long:", width, "dim")
        return [*lines, *quoted(self.key.key, width)]
