"""`--record FILE` around whatever source a command opens."""

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.ports import Source


def recorded(source: Source, invocation: Invocation) -> Source:
    """`source`, written down if the invocation asks for it. Raises BadInput where the file cannot be made."""
    if invocation.record_path is None:
        return source
    from redis_oom_tui.files.recording_source import recording
    from redis_oom_tui.files.recordings import Recorder

    return recording(source, Recorder(invocation.record_path, source.address))
