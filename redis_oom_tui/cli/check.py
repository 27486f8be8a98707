"""`check`: one verdict, for monitoring and for people; exit 0 ok, 1 warning, 2 critical, 3 unknown."""

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.server.preflight import Preflight

# Between its two samples: long enough to see writes being refused, short enough for a monitoring plugin.
GAP_SECONDS = 0.1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--warn", metavar="RANGE", help="As a monitoring plugin: warn where the % of maxmemory in use is beyond.")
@click.option("--crit", metavar="RANGE", help="Likewise, critical. RANGE: 80, 80:, ~:80, 10:80 or @80:90.")
@click.option("--perfdata", is_flag=True, help="As a monitoring plugin: add performance data.")
@click.pass_obj
def check(invocation: Invocation, *, as_json: bool, warn: str | None, crit: str | None, perfdata: bool) -> int:
    """Health check: exit 0 ok, 1 warning, 2 critical or refusing writes, 3 unknown."""
    plugin = None
    if warn is not None or crit is not None or perfdata:
        from redis_oom_tui.cli.plugin import plugin_of

        plugin = plugin_of(warn, crit, perfdata=perfdata, as_json=as_json)
    connection = invocation.connection
    # First of all: the server answers, and the time between the two samples runs, while the rest is loaded.
    preflight = Preflight(connection, again_after=GAP_SECONDS) if Preflight.suits(connection) else None
    from redis_oom_tui.cli import check_answer

    try:
        answer = check_answer.examined(invocation, preflight, gap=GAP_SECONDS)
    except TriageError as error:
        return _no_answer(invocation, error, as_json=as_json)
    verdict, lines = answer.verdict, check_answer.lines(answer)
    if plugin is not None:
        verdict = plugin.judged(verdict, answer.snapshot)
        click.echo(plugin.text(verdict, answer.snapshot, lines[1:], invocation.profile.watch.thresholds))
    elif as_json:
        print_document(check_answer.document(answer))
    else:
        click.echo("\n".join(lines))
    return verdict.level.exit_code


def _no_answer(invocation: Invocation, error: TriageError, *, as_json: bool) -> int:
    """Print that there is no verdict, and why."""
    from redis_oom_tui.formatting.check import check_document
    from redis_oom_tui.rules.verdict import unknown

    verdict = unknown(str(error))
    if as_json:
        print_document(check_document(verdict, invocation.connection.address))
    else:
        click.echo(f"{verdict.level.value.upper()}: {verdict.reason}")
    return verdict.level.exit_code
