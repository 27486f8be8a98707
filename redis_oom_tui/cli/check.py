"""`check`: one verdict, for monitoring and for people; exit 0 ok, 1 warning, 2 critical, 3 unknown."""

from typing import TYPE_CHECKING

import click

from redis_oom_tui.cli.context import Invocation, chosen
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import given_options, refuse_beside
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.cli.check_answer import Answer
    from redis_oom_tui.formatting.chat import ChatForm
    from redis_oom_tui.formatting.plugin import Plugin

# Between its two samples: long enough to see writes being refused, short enough for a monitoring plugin.
GAP_SECONDS = 0.1
# What cannot be given where several profiles are checked, and why.
_NOT_OF_SEVERAL = {
    frozenset({"warn", "crit"}): "thresholds come from each profile",
    frozenset({"perfdata"}): "performance data are of one server",
    frozenset({"markdown", "slack"}): "each server is one line",
}
_OF_PLUGIN = frozenset({"warn", "crit", "perfdata"})


@click.command()
@click.option("--all", "all_profiles", is_flag=True, help="Check the servers of all profiles, the worst first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a chat or a ticket.")
@click.option("--slack", is_flag=True, help="Print what Slack's message field takes.")
@click.option("--warn", metavar="RANGE", help="Plugin: warning outside RANGE, in % of maxmemory.")
@click.option("--crit", metavar="RANGE", help="Plugin: critical outside RANGE: 80, 80:, ~:80, 10:80 or @80:90.")
@click.option("--perfdata", is_flag=True, help="Plugin: add performance data.")
@click.pass_obj
def check(
    invocation: Invocation,
    *,
    all_profiles: bool,
    as_json: bool,
    markdown: bool,
    slack: bool,
    warn: str | None,
    crit: str | None,
    perfdata: bool,
) -> int:
    """Health check: exit 0 ok, 1 warning, 2 critical or refusing writes, 3 unknown.

    --warn, --crit and --perfdata print what monitoring plugins print. With --all, or a glob
    as --profile, each server is a line, and the exit code is that of the worst.
    """
    given = given_options()
    if all_profiles or invocation.profiles:
        return _check_profiles(invocation, given, all_profiles=all_profiles, as_json=as_json)
    refuse_beside("as_json", given, {"markdown", "slack", *_OF_PLUGIN}, "one JSON document is printed")
    refuse_beside("markdown", given, {"slack"}, "each is a form of its own")
    for chat in ("markdown", "slack"):
        refuse_beside(chat, given, _OF_PLUGIN, "a monitoring plugin prints lines of its own")
    plugin = None
    if given.keys() & _OF_PLUGIN:
        from redis_oom_tui.formatting.plugin import Plugin

        plugin = Plugin.of(warn, crit, perfdata=perfdata)
    connection = invocation.connection
    # First of all: the server answers, and the time between the two samples runs, while the rest is loaded.
    preflight = Preflight(connection, again_after=GAP_SECONDS) if Preflight.suits(connection) else None
    from redis_oom_tui.cli import check_answer

    try:
        answer = check_answer.examined(invocation, preflight, gap=GAP_SECONDS)
    except TriageError as error:
        return _no_answer(invocation, error, as_json=as_json, form=_form(markdown=markdown, slack=slack))
    if plugin is not None:
        return _as_plugin(plugin, answer, invocation)
    if as_json:
        print_document(check_answer.document(answer))
    else:
        form = _form(markdown=markdown, slack=slack)
        click.echo("\n".join(check_answer.lines(answer)) if form is None else check_answer.for_chat(answer, form))
    return answer.verdict.level.exit_code


def _form(*, markdown: bool, slack: bool) -> "ChatForm | None":
    if not (markdown or slack):
        return None
    from redis_oom_tui.formatting.chat import ChatForm

    return ChatForm.SLACK if slack else ChatForm.MARKDOWN


def _check_profiles(invocation: Invocation, given: dict[str, str], *, all_profiles: bool, as_json: bool) -> int:
    from redis_oom_tui.cli import check_profiles

    names = chosen(invocation, given, _NOT_OF_SEVERAL, all_profiles=all_profiles)
    checked = check_profiles.checked(invocation, names)
    if as_json:
        print_document(check_profiles.document(checked))
    else:
        click.echo("\n".join(check_profiles.lines(checked)))
    return checked[0].verdict.level.exit_code


def _as_plugin(plugin: "Plugin", answer: "Answer", invocation: Invocation) -> int:
    from redis_oom_tui.cli.check_answer import lines

    verdict = plugin.judged(answer.verdict, answer.snapshot)
    details = lines(answer)[1:]
    click.echo(plugin.text(verdict, answer.snapshot, details, invocation.profile.watch.thresholds))
    return verdict.level.exit_code


def _no_answer(invocation: Invocation, error: TriageError, *, as_json: bool, form: "ChatForm | None") -> int:
    """Print that there is no verdict, and why."""
    from redis_oom_tui.formatting.chat import chat_text_of
    from redis_oom_tui.formatting.check import check_document
    from redis_oom_tui.rules.verdict import unknown

    verdict = unknown(str(error))
    if as_json:
        print_document(check_document(verdict, invocation.connection.address))
    else:
        text = f"{verdict.level.value.upper()}: {verdict.reason}"
        click.echo(text if form is None else chat_text_of(verdict, form=form))
    return verdict.level.exit_code
