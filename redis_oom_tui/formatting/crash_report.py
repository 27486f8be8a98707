"""What is told of a defect of ours, in the place of a traceback."""

import traceback

from redis_oom_tui.formatting.sanitize import safe_text


def crash_report(error: BaseException) -> str:
    """What is told of a defect: where and what, but no values of variables, which may be secrets or control codes."""
    return "\n".join(
        (
            "redis-oom-tui stopped because of a defect in itself; nothing more was sent to the server.",
            *defect_lines(error),
        )
    )


def defect_lines(error: BaseException) -> list[str]:
    """Where it happened, the innermost frame last but one, and what it was."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    return [
        *(f"  {safe_text(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames),
        f"{type(error).__name__}: {safe_text(str(error), 300)}",
    ]
