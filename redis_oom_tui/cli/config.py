"""`config`: the configuration file, looked at without any server."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import READ_FILE
from redis_oom_tui.files.config import default_path, example_text, load, problems
from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import percent
from redis_oom_tui.models.config import Profile, SecretKind, SecretSource, Settings
from redis_oom_tui.models.errors import TriageError

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.settings import ConfigDocument


@click.group()
def config() -> None:
    """Check the configuration file, print its path, or print an example."""


@config.command()
@click.argument("file", required=False, type=READ_FILE)
@click.option("--secrets", is_flag=True, help="Fetch each profile's password too, to see that it can be (not shown).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def check(invocation: Invocation, file: Path | None, secrets: bool, as_json: bool) -> int:
    """Validate the configuration file: FILE, else that of --config, else the default one. Exits 0 if valid, else 1.

    It speaks to no server and changes nothing.
    """
    path = file or invocation.config_path or default_path()
    if file is None and invocation.config_path is None and not path.exists():
        _say([f"no configuration at {path}: the defaults apply"], _document(None) if as_json else None)
        return 0
    found = list(problems(path))
    settings = Settings() if found else load(path).settings
    if secrets and not found:
        found += _unfetched(path, settings)
    notes = [] if found else _notes(settings)
    lines = found or [f"{path} is OK", *(_profile_line(profile) for profile in settings.profiles.values())]
    document = _document(path, found, notes, sorted(settings.profiles))
    _say([*lines, *(f"note: {note}" for note in notes)], document if as_json else None)
    return 1 if found else 0


@config.command()
def path() -> None:
    """Print where the configuration file is read from."""
    click.echo(str(default_path()))


@config.command()
def example() -> None:
    """Print an example configuration with every key, to be edited."""
    click.echo(example_text(), nl=False)


def _document(
    path: Path | None, found: Sequence[str] = (), notes: Sequence[str] = (), profiles: Sequence[str] = ()
) -> "ConfigDocument":
    return {
        "schema": SCHEMA,
        "path": None if path is None else str(path),
        "problems": list(found),
        "notes": list(notes),
        "profiles": list(profiles),
    }


def _say(lines: list[str], document: "ConfigDocument | None") -> None:
    if document is not None:
        print_document(document, indent=2)
    else:
        click.echo("\n".join(lines))


def _profile_line(profile: Profile) -> str:
    thresholds = profile.watch.thresholds
    words = [
        f"profile {safe_text(profile.name, 40)}: {_where(profile)}",
        f"warn {percent(thresholds.warn)}, crit {percent(thresholds.crit)}",
        f"password {_place(profile.password)}",
    ]
    words += [word for word, holds in (("production", profile.production), ("read-only", profile.read_only)) if holds]
    if profile.emergency.armed and profile.emergency.plan is not None:
        words.append(f"may be armed with plan {safe_text(profile.emergency.plan, 60)}")
    return "; ".join(words)


def _where(profile: Profile) -> str:
    if profile.sentinel is not None:
        asked = ", ".join(map(str, profile.sentinel.addresses))
        return f"master {safe_text(profile.sentinel.master, 60)} by the Sentinels {asked}"
    return f"{profile.address}{' and its cluster' if profile.cluster else ''}"


def _notes(settings: Settings) -> list[str]:
    """What is no fault, but may not be as it was meant."""
    named = [("hooks", settings.hooks)] + [(f"profiles.{p.name}.hooks", p.hooks) for p in settings.profiles.values()]
    notes: dict[str, None] = {}
    for where, hooks in named:
        if hooks.command and not hooks.shell and shutil.which(hooks.command[0]) is None:
            notes.setdefault(
                f"{safe_text(hooks.command[0], 100)}, the command of {where}, is not found on this machine"
            )
    if settings.emergency.armed and settings.profiles:
        notes.setdefault("armed in [emergency] holds without --profile only: each profile is armed in its own table")
    return list(notes)


def _place(source: SecretSource | None) -> str:
    if source is None:
        return "none"
    return "in the file itself" if source.kind is SecretKind.LITERAL else f"by {source.kind.value}"


def _unfetched(path: Path, settings: Settings) -> list[str]:
    configuration = load(path)
    found = []
    for name in settings.profiles:
        try:
            configuration.connection(name)
        except TriageError as error:
            found.append(str(error))
    return found
