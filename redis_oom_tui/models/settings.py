"""Server settings: as they are, and as a change would make them."""

from msgspec import Struct


class Setting(Struct, frozen=True):
    """A setting by the server's own name and value; `value` is None where it may not be read, `why` says why."""

    name: str
    value: str | None
    why: str | None = None


class Change(Struct, frozen=True):
    """A setting that would go from `old` to `new`: values as the server writes them (sizes in plain bytes).

    `consequence` is what would follow, `warnings` what to think of first; both are shown before it is confirmed.
    `freezes` says what CONFIG REWRITE would write into the server's file beside it, for whoever asks for that, and
    `returns` what the old value would mean again, for whoever lets it return by itself. `evicts` is whether keys would
    be evicted at once: those do not come back with the old value.
    `node` is the only node of a cluster that it is for, '' for all of them and for a server without a cluster. `olds`
    are the nodes that it is for, each with the value that it has, as far as they told; `untold` is whether one did not.
    """

    name: str
    old: str | None
    new: str
    consequence: str = ""
    warnings: tuple[str, ...] = ()
    node: str = ""
    freezes: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    olds: tuple[tuple[str, str | None], ...] = ()
    evicts: bool = False
    untold: bool = False

    @property
    def is_so(self) -> bool:
        """Whether each node that it is for has that value already."""
        return not self.untold and all(old == self.new for old in (self.old, *dict(self.olds).values()))

    @property
    def word(self) -> str | None:
        """What has to be typed before it is set, where what it does cannot come back."""
        return "evict" if self.evicts else None


class NodeResult(Struct, frozen=True):
    """What a change came to on one node of a cluster: `old` and `now` as read there, None where that was not to be had.

    `detail` says why it did not take, or what else there is to say. `unread` is as in `ChangeResult`.
    """

    node: str
    took: bool
    old: str | None = None
    now: str | None = None
    detail: str = ""
    unread: bool = False

    @property
    def may_stand(self) -> bool:
        """Whether it took, or may have: there may be something to undo."""
        return self.took or self.unread


class ChangeResult(Struct, frozen=True):
    """What a change came to. `now` was read back from the server; `took` is whether it is what was asked for.

    `unread` is whether it was sent and could not be read back: whether it took is unknown, and `took` is False.
    `persisted` is the server's own answer to CONFIG REWRITE, None where that was not asked for. `reverts_in_seconds` is
    set where the old value comes back by itself unless it is kept. `nodes` tells it node by node for a cluster, where
    `took` means everywhere, and `unread` that no node is known to have kept the old value.
    """

    change: Change
    took: bool
    now: str | None
    detail: str = ""
    persisted: str | None = None
    reverts_in_seconds: float | None = None
    nodes: tuple[NodeResult, ...] = ()
    unread: bool = False

    @property
    def may_stand(self) -> bool:
        """Whether it took or may have, on one node at least: there may be something to undo."""
        return self.took or self.unread or self.partly

    @property
    def complete(self) -> bool:
        """Whether it took, and stands in the config file too where that was asked for."""
        return self.took and self.persisted in (None, "OK")

    @property
    def partly(self) -> bool:
        """Whether some nodes took it or may have, and not all did: there is something to undo, and left to do."""
        return not self.took and any(node.may_stand for node in self.nodes)


class Difference(Struct, frozen=True):
    """A setting that is not the same on all primaries: each value and the nodes that have it, most common first."""

    name: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
