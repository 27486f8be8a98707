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
@click.pass_obj
def check(invocation: Invocation, *, as_json: bool) -> int:
    """Health check: exit 0 ok, 1 warning, 2 critical or refusing writes, 3 unknown."""
    connection = invocation.connection
    # First of all: the server answers, and the time between the two samples runs, while the rest is loaded.
    preflight = Preflight(connection, again_after=GAP_SECONDS) if Preflight.suits(connection) else None
    from redis_oom_tui.cli import check_answer

    try:
        answer = check_answer.examined(invocation, preflight, gap=GAP_SECONDS)
    except TriageError as error:
        return _no_answer(invocation, error, as_json=as_json)
    if as_json:
        print_document(check_answer.document(answer))
    else:
        click.echo(check_answer.as_text(answer))
    return answer.verdict.level.exit_code


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
