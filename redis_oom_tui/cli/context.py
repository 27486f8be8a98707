"""What the options before the subcommand come to: one value that every command is given."""

from dataclasses import dataclass, field
from pathlib import Path

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.screen import ScreenOptions


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the command: where to connect, how to draw, where to write things down."""

    connection: Connection = field(default_factory=Connection)
    screen: ScreenOptions = field(default_factory=ScreenOptions)
    config_path: Path | None = None
    audit_path: Path | None = None
    record_path: Path | None = None
