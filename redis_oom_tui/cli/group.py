"""The group of commands: options of the connection on both sides of the command, `-h` and `help`, help by topic."""

import importlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import click

from redis_oom_tui.cli.options import ON_SERVER, TOPICS

_HELP = "--help"
# In a context's `meta`: whether only help is asked for, which needs nothing of what else is given.
_HELP_ONLY = "redis_oom_tui.help_only"
# In a context's `meta`: whether a command's own option puts something else in place of the one server.
_ELSEWHERE = "redis_oom_tui.elsewhere"
_INSTEAD = {"check": {"--all"}, "watch": {"--all"}, "hogs": {"--rdb"}, "report": {"--rdb", "--from"}}


def asks_for_help(context: click.Context) -> bool:
    """Whether the words of this run ask for a command's help."""
    return bool(context.meta.get(_HELP_ONLY))


def reads_elsewhere(context: click.Context) -> bool:
    """Whether a file or all profiles are read, so that nothing is needed of the server that the options name."""
    return bool(context.meta.get(_ELSEWHERE))


class Commands(click.Group):
    """Commands that are imported when they are called: `table` has of each its module, and what it does.

    A command's function stands in its module under its own name.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None where there is none. Where a shell completes it, our options are its own."""
        command = self._loaded(cmd_name)
        if command is None or isinstance(command, click.Group) or not ctx.resilient_parsing:
            return command
        command = copy(command)
        own = _by_name(command.params)
        command.params = [*command.params, *(each for each in self.params if not own.keys() & {*each.opts})]
        return command

    def _loaded(self, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        command: click.Command = getattr(importlib.import_module(self.table[name][0]), name)
        if name in ON_SERVER:
            command.epilog = "All options of redis-oom-tui --help may stand here too, such as -h HOST and -p PORT."
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with what stands behind the command put where click looks for it."""
        return super().parse_args(ctx, self._in_order(ctx, args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first, then the options by topic."""
        with formatter.section("Commands (none: the screen)"):
            formatter.write_dl([(name, words) for name, (_, words) in self.table.items()])
        for topic, records in self.by_topic(ctx).items():
            with formatter.section(topic):
                formatter.write_dl(records)

    def by_topic(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Our options as the help shows them, under their headings."""
        topics: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                topics.setdefault(TOPICS.get(str(parameter.name), "Other"), []).append(record)
        return topics

    def _in_order(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """The words with our own options before the command, and `help` and a `-h` without a host as what they mean."""
        known = _by_name(self.params)
        front, rest = _split(args, known, first=True)
        if rest and rest[0] == "help":
            ctx.meta[_HELP_ONLY] = True
            return [*(word for word in rest[1:] if not _is_option(word)), _HELP]
        command = self._loaded(rest[0]) if rest else None
        if command is None:
            return [*front, *rest]
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        own = _by_name([parameter for each in (command, *inner) for parameter in each.get_params(ctx)])
        moved, kept = _split(rest[1:], {**known, **own}, keep=own, strict=not ctx.resilient_parsing)
        among = set(_given(kept, own))
        if _HELP in among:
            ctx.meta[_HELP_ONLY] = True
            return [rest[0], *kept]
        ctx.meta[_ELSEWHERE] = bool(among & _INSTEAD.get(rest[0], set()))
        return [*front, *moved, rest[0], *kept]


def called(words: Sequence[str], ours: Iterable[click.Parameter], commands: Container[str]) -> str:
    """The command among the words of a run, which no value of `ours` before it can be; empty where there is none."""
    _, rest = _split(words, _by_name(ours), first=True)
    return next((word for word in rest if word in commands), "")


def _by_name(parameters: Iterable[click.Parameter]) -> dict[str, click.Option]:
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    return {name: option for option in options for name in (*option.opts, *option.secondary_opts)}


def _split(
    words: Sequence[str],
    known: Mapping[str, click.Option],
    *,
    keep: Iterable[str] = (),
    first: bool = False,
    strict: bool = False,
) -> tuple[list[str], list[str]]:
    """The options among `words`, each with its value, and all other words; those of `keep` are among the latter.

    `first`: only those before the first word that is none. A `-h` without a host behind it asks for help. Another
    last option that lacks its value stays where it is, so that it takes no command for it; `strict` raises UsageError.
    """
    taken: list[str] = []
    left: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--" or (first and not _is_option(word)):
            return taken, [*left, word, *queue]
        if word == "-h" and (not queue or _is_option(queue[0])):
            left.append(_HELP)
            continue
        spelled = list(_spelled(word, known)) if _is_option(word) else []
        needs_value = bool(spelled) and _wants_next(word, spelled, known)
        piece = [word, *([queue.pop(0)] if needs_value and queue else [])]
        ours = bool(spelled) and not set(spelled) & set(keep)
        lacking = len(piece) < 1 + needs_value
        if ours and lacking and strict:
            sentence = f"Option {word!r} requires an argument."
            raise click.BadOptionUsage(word, sentence, click.get_current_context())
        (taken if ours and not lacking else left).extend(piece)
    return taken, left


def _given(words: Sequence[str], known: Mapping[str, click.Option]) -> Iterator[str]:
    """The options among them, and --help, but for what is the value of another."""
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return
        spelled = list(_spelled(word, known)) if _is_option(word) else []
        yield from [_HELP] if word == _HELP else spelled
        if spelled and _wants_next(word, spelled, known):
            del queue[:1]


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _spelled(word: str, known: Mapping[str, click.Option]) -> Iterator[str]:
    """The options that a word gives, several where short flags stand together; none for one that is not known."""
    if word.startswith("--"):
        name = word.partition("=")[0]
        if name in known:
            yield name
        return
    for letter in word[1:]:
        name = f"-{letter}"
        if name not in known:
            return
        yield name
        if not known[name].is_flag:
            return


def _wants_next(word: str, spelled: Sequence[str], known: Mapping[str, click.Option]) -> bool:
    """Whether the value of the last option in `word` is the next word."""
    if known[spelled[-1]].is_flag:
        return False
    return "=" not in word if word.startswith("--") else len(word) == 1 + len(spelled)
