"""Fetching a secret from where the configuration says it is. No error here repeats any part of it."""

import os
import shlex
import subprocess
from pathlib import Path

from redis_oom_tui.files.reading import read_small
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.config import SecretKind, SecretSource, Settings
from redis_oom_tui.models.errors import BadInput

_LARGEST_BYTES = 64 * 1024
_PATIENCE_SECONDS = 20.0


def variables(settings: Settings) -> frozenset[str]:
    """The environment variables that hold a secret, as the configuration says."""
    return frozenset(source.place for _, source in settings.secrets() if source.kind is SecretKind.ENVIRONMENT)


def fetch(source: SecretSource, what: str) -> Secret:
    """The secret, without a newline at its end. Raises BadInput; `what` is what the sentence calls it."""
    text = {
        SecretKind.LITERAL: lambda place, _: place,
        SecretKind.ENVIRONMENT: _from_environment,
        SecretKind.FILE: _from_file,
        SecretKind.COMMAND: _from_command,
    }[source.kind](source.place, what).rstrip("\r\n")
    if not text:
        raise BadInput(f"{what} is empty where the configuration says it is kept ({source.kind})")
    return Secret(text)


def _from_environment(name: str, what: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise BadInput(f"{what} should be in the environment variable {safe_text(name, 60)}, which is not set")
    return value


def _from_file(place: str, what: str) -> str:
    try:
        return read_small(Path(place), _LARGEST_BYTES, pipes=True)[0].decode("utf-8")
    except BadInput as error:
        raise BadInput(f"{what} could not be fetched: {error}") from None
    except ValueError:
        raise BadInput(f"{what} could not be fetched: {safe_text(place, 200)} is not UTF-8 text") from None


def _from_command(line: str, what: str) -> str:
    program = "?"
    try:
        argv = shlex.split(line)
        program = safe_text(argv[0], 100) if argv else program
        # The command is the operator's own, from a file that only the operator may write.
        done = subprocess.run(  # noqa: S603
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_PATIENCE_SECONDS, check=True
        )
        return done.stdout.decode("utf-8")
    except subprocess.CalledProcessError as error:
        raise BadInput(f"{what} could not be fetched: {program} ended with status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise BadInput(f"{what} could not be fetched: {program} took over {_PATIENCE_SECONDS:.0f} s") from None
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its line or its answer is not usable text"
        raise BadInput(f"{what} could not be fetched by {program}: {reason}") from None
