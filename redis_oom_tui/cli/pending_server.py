"""A plain server on its way to the screen: asked while that is loaded, its driver loaded after the first paint."""

from typing import TYPE_CHECKING

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.models.snapshot import Snapshot
    from redis_oom_tui.ports import Operator, Source
    from redis_oom_tui.server.cluster.source import ClusterSource
    from redis_oom_tui.server.live import LiveServer

_PATIENCE_SECONDS = 1.0


class ConnectingServer:
    """Implements `ports.Joining`."""

    def __init__(self, invocation: Invocation, connection: Connection) -> None:
        self._invocation = invocation
        self._connection = connection
        self._knock = Preflight(connection) if Preflight.suits(connection) else None
        self._server: LiveServer | ClusterSource | None = None

    @property
    def address(self) -> Address:
        """Where it is, for people."""
        return self._connection.address

    @property
    def troubled(self) -> bool:
        """Whether the knock has come to nothing already; where there is none, nothing is known."""
        return self._knock is not None and self._knock.over and self.first(0.0) is None

    def first(self, patience: float) -> "Snapshot | None":
        """What the knock saw; None also for a server that holds no data, or its memory back."""
        look = None if self._knock is None else self._knock.first(patience)
        try:
            return None if look is None else look.snapshot()
        except TriageError:
            return None

    def answers(self) -> bool:
        """Whether the knock was answered as it should be; a recording is begun before the screen."""
        return self._invocation.record_path is None and self.first(_PATIENCE_SECONDS) is not None

    def source(self) -> "Source":
        """The server behind its driver."""
        from redis_oom_tui.cli.recording import recorded

        return recorded(self._joined(), self._invocation)

    def operator(self) -> "Operator":
        """Who acts on it."""
        from redis_oom_tui.cli.operator import make_operator

        return make_operator(self._invocation, self._joined())

    def _joined(self) -> "LiveServer | ClusterSource":
        if self._server is None:
            from redis_oom_tui.server.open_source import source_for

            self._server = source_for(self._connection)
        return self._server
