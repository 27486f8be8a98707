"""Commands behind a Sentinel: which server they name, before it is found, and after a failover."""

import pytest

from tests.cli.ran import ran
from tests.cli.test_watch import QUICK, watching
from tests.support.json_documents import document_of
from tests.support.ports import free_ports
from tests.support.sentinel import MASTER, failed_over, watched


def test_a_watch_names_who_answers_and_the_failover() -> None:
    with (
        watched("valkey") as them,
        watching("--sentinel", f"127.0.0.1:{them.sentinel_port}", "--master", MASTER, "watch", "--json", *QUICK) as run,
    ):
        before, now = f"127.0.0.1:{them.master_port}", f"127.0.0.1:{them.replica_port}"
        tick = document_of("watch", run.until(lambda line: '"verdict":"ok"' in line))
        assert tick["server"]["address"] == before
        failed_over(them)
        event = run.event("restarted")
        assert event["server"] == f"master {MASTER}"
        assert event["reason"] == (f"Failover: {now} is the server now, instead of {before}; its counters are its own.")


def test_a_tick_without_an_answer_names_who_answered_last() -> None:
    with (
        watched("valkey") as them,
        watching("--sentinel", f"127.0.0.1:{them.sentinel_port}", "--master", MASTER, "watch", "--json", *QUICK) as run,
    ):
        run.until(lambda line: '"verdict":"ok"' in line)
        them.replica.kill()
        them.master.kill()
        silent = document_of("watch", run.until(lambda line: '"verdict":"unknown"' in line))
        assert silent["server"]["address"] == f"127.0.0.1:{them.master_port}"


def test_a_server_that_no_sentinel_names_is_called_by_its_name() -> None:
    (nobody,) = free_ports(1)
    code, out, _ = ran("--sentinel", f"127.0.0.1:{nobody}", "--master", "orders", "check", "--json")
    assert code == 3
    assert document_of("check", out)["server"]["address"] == "master orders"


@pytest.mark.parametrize("given", [("-h", "cache-1"), ("-p", "7000"), ("-s", "/run/redis.sock")])
def test_an_address_beside_sentinels_is_refused(given: tuple[str, str]) -> None:
    code, out, _ = ran("--sentinel", "127.0.0.1:1", "--master", "orders", *given, "check")
    assert (code, out) == (
        3,
        f"UNKNOWN: {given[0]} has no effect here: the Sentinels name the server. Leave it out\n",
    )
