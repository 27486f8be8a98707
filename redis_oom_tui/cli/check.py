"""`check`: one verdict, for monitoring and for people; exit 0 ok, 1 warning, 2 critical, 3 unknown."""

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import PRINTED
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.server.preflight import Preflight

# Between its two looks: long enough to see writes being refused, short enough for a monitoring plugin.
GAP_SECONDS = 0.1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def check(invocation: Invocation, *, as_json: bool) -> int:
    """One verdict on the server: exit 0 ok, 1 warning, 2 critical or refusing writes, 3 unknown."""
    connection = invocation.connection
    # First of all: the server answers, and the time between the two looks runs, while the rest is loaded.
    knock = Preflight(connection, again_after=GAP_SECONDS) if Preflight.suits(connection) else None
    from redis_oom_tui.cli import check_output
    from redis_oom_tui.cli.check_samples import examined

    try:
        answer = examined(invocation, knock, gap=GAP_SECONDS)
    except TriageError as error:
        from redis_oom_tui.rules.verdict import unknown

        verdict = unknown(str(error))
        PRINTED.document = True
        click.echo(check_output.unknown(verdict, connection.address, as_json=as_json))
        return verdict.level.exit_code
    said = check_output.told(answer, as_json=as_json)
    PRINTED.document = True
    click.echo(said)
    return answer.verdict.level.exit_code
