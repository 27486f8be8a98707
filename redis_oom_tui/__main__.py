"""The command `redis-oom-tui`, and `python -m redis_oom_tui`."""

import sys


def main() -> None:
    """Run the command; Ctrl+C while its modules are being imported ends it without a traceback."""
    try:
        from redis_oom_tui.cli.main import main as run  # noqa: PLC0415 - else Ctrl+C would come before the `try`
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
