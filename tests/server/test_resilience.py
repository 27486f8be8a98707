"""Writes that are tried again where the server is out of memory: each form of a write, and its bounds."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from redis_oom_tui import resilience
from redis_oom_tui.models.errors import OutOfMemory
from redis_oom_tui.resilience import NamespaceCleanup, OomRetry, is_oom
from redis_oom_tui.rules.flavours import MANAGED, PRODUCTS
from redis_oom_tui.server.errors import in_script, translated
from tests.support.servers import RunningServer, started

SET_SCRIPT = "return redis.call('SET', KEYS[1], ARGV[1])"


def fill(client: redis.Redis) -> None:
    """Take the memory, then forbid more of it."""
    client.set("ballast", b"x" * 500_000)
    client.config_set("maxmemory", 1)


def relieve(client: redis.Redis) -> None:
    client.config_set("maxmemory", 0)


class Helper:
    """A hook that mends the server at its `at`-th call and remembers what it was told."""

    def __init__(self, server: RunningServer, at: int = 2) -> None:
        self.server = server
        self.at = at
        self.heard: list[int] = []

    def __call__(self, error: Exception, failures: int) -> None:
        assert is_oom(error)
        self.heard.append(failures)
        if failures == self.at:
            with self.server.client() as other:
                relieve(other)


def retrying(server: RunningServer, at: int = 2) -> tuple[OomRetry, Helper]:
    helper = Helper(server, at)
    return OomRetry(retries=4, base_seconds=0.005, cap_seconds=0.02, before_retry=helper), helper


def single(client: redis.Redis) -> Callable[[OomRetry], object]:
    return lambda retry: retry.call(client.set, "k", "v")


def script(client: redis.Redis) -> Callable[[OomRetry], object]:
    return lambda retry: retry.call(client.eval, SET_SCRIPT, 1, "k", "v")


def registered(client: redis.Redis) -> Callable[[OomRetry], object]:
    command = client.register_script(SET_SCRIPT)
    return lambda retry: retry.call(command, keys=["k"], args=["v"])


def pipeline(client: redis.Redis) -> Callable[[OomRetry], object]:
    return lambda retry: retry.execute(client.pipeline(transaction=False).set("k", "v"))


def transaction(client: redis.Redis) -> Callable[[OomRetry], object]:
    return lambda retry: retry.execute(client.pipeline().set("k", "v").get("k"))


def watching(client: redis.Redis) -> Callable[[OomRetry], object]:
    def change(pipe: Any) -> None:
        pipe.multi()
        pipe.set("k", "v")

    return lambda retry: retry.call(client.transaction, change, "k")


FORMS = [single, script, registered, pipeline, transaction, watching]


@pytest.mark.in_turn
@pytest.mark.parametrize("form", FORMS)
def test_a_write_gets_through_once_there_is_room(
    server: RunningServer, form: Callable[[redis.Redis], Callable[[OomRetry], object]]
) -> None:
    retry, helper = retrying(server)
    with server.client() as client:
        fill(client)
        form(client)(retry)
        assert client.get("k") == b"v"
    assert helper.heard == [1, 2]


@pytest.mark.in_turn
@pytest.mark.parametrize("form", FORMS)
def test_the_error_itself_comes_when_nobody_helps(
    server: RunningServer, form: Callable[[redis.Redis], Callable[[OomRetry], object]]
) -> None:
    heard: list[int] = []
    retry = OomRetry(retries=2, base_seconds=0.01, cap_seconds=0.02, before_retry=lambda _, n: heard.append(n))
    with server.client() as client:
        fill(client)
        began = time.monotonic()
        with pytest.raises(redis.ResponseError) as caught:
            form(client)(retry)
        took = time.monotonic() - began
        assert client.exists("k") == 0
    assert is_oom(caught.value)
    assert heard == [1, 2]
    assert took >= retry.longest_wait_seconds / 2


def test_a_helper_in_another_thread(server: RunningServer) -> None:
    with server.client() as client, server.client() as other:
        fill(client)
        timer = threading.Timer(0.1, relieve, [other])
        timer.start()
        assert OomRetry(retries=200, base_seconds=0.01, cap_seconds=0.05).call(client.set, "k", "v")
        timer.join()


def test_a_pipeline_sends_only_what_was_refused_again(server: RunningServer) -> None:
    retry, _ = retrying(server, at=1)
    with server.client() as client:
        client.rpush("jobs", "a", "b", "c")
        fill(client)
        pipe = client.pipeline(transaction=False).lpop("jobs").set("k", "v").llen("jobs").incr("n")
        assert retry.execute(pipe) == [b"a", True, 2, 1]
        assert client.llen("jobs") == 2


def test_other_errors_are_not_retried(server: RunningServer) -> None:
    retry, helper = retrying(server)
    with server.client() as client:
        client.rpush("jobs", "a")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            retry.call(client.incr, "jobs")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            retry.execute(client.pipeline(transaction=False).set("k", 1).incr("jobs"))
        assert client.get("k") == b"1"
    assert helper.heard == []


def test_a_watching_pipeline_is_not_sent_without_its_watch(server: RunningServer) -> None:
    retry, helper = retrying(server)
    with server.client() as client:
        fill(client)
        with client.pipeline() as pipe:
            pipe.watch("k")
            pipe.multi()
            pipe.set("k", "v")
            with pytest.raises(redis.ResponseError) as caught:
                retry.execute(pipe)
    assert is_oom(caught.value)
    assert helper.heard == []


def test_a_hook_that_fails_ends_the_trying(server: RunningServer) -> None:
    def failing(error: Exception, failures: int) -> None:
        raise RuntimeError("no cleanup today")

    with server.client() as client:
        fill(client)
        with pytest.raises(RuntimeError, match="no cleanup today"):
            OomRetry(before_retry=failing).call(client.set, "k", "v")


def load_cache(client: redis.Redis, *, idle: int = 600) -> None:
    """A thousand idle cache keys with a TTL, beside keys that must stay."""
    client.set("template", b"x" * 2000)
    payload = client.dump("template")
    client.delete("template")
    assert payload is not None
    for number in range(1000):
        client.restore(f"cache:[a]:{number}", 3_600_000, payload, idletime=idle)  # type: ignore[arg-type]
    client.restore("cache:[a]:pinned", 0, payload, idletime=idle)  # type: ignore[arg-type]
    client.restore("cache:[a]:fresh", 3_600_000, payload, idletime=0)  # type: ignore[arg-type]
    client.restore("cache:a:other", 3_600_000, payload, idletime=idle)  # type: ignore[arg-type]


def hold(client: redis.Redis, over: int) -> None:
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - over)


def test_room_made_in_a_namespace_lets_the_write_through(server: RunningServer) -> None:
    with server.client() as client:
        load_cache(client)
        hold(client, 200_000)
        cleanup = NamespaceCleanup(client, b"cache:[a]:", max_keys=150)
        retry = OomRetry(retries=6, base_seconds=0.01, cap_seconds=0.05, before_retry=cleanup)
        retry.call(client.set, "k", "v")
        assert 0 < cleanup.deleted_total <= 900
        assert client.dbsize() == 1000 + 3 + 1 - cleanup.deleted_total
        assert client.exists("cache:[a]:pinned", "cache:[a]:fresh", "cache:a:other") == 3


def test_a_cleanup_keeps_its_bounds(server: RunningServer) -> None:
    with server.client() as client:
        load_cache(client)
        cleanup = NamespaceCleanup(client, b"cache:[a]:", max_keys=10)
        assert cleanup() == 10
        assert cleanup() == 10
        assert client.dbsize() == 1003 - 20
        assert NamespaceCleanup(client, b"cache:[a]:", max_keys=10_000, max_scanned=500)() <= 600
        everything = NamespaceCleanup(client, b"cache:[a]:", max_keys=10_000, idle_over_seconds=0, only_expiring=False)
        everything()
        assert client.keys("*") == [b"cache:a:other"]


def test_a_cleanup_takes_nothing_that_was_used(server: RunningServer) -> None:
    with server.client() as client:
        load_cache(client, idle=30)
        assert NamespaceCleanup(client, b"cache:", max_keys=10_000)() == 0
        assert client.dbsize() == 1003


def test_every_wording_is_recognised() -> None:
    oom = "OOM command not allowed when used memory > 'maxmemory'."
    texts = [
        f"Transaction discarded because of: {oom}",
        f"Error running script (call to f_ab): @user_script:1: @user_script: 1: -{oom}",
        f"@user_script: 1: -{oom}",
        f"Command # 2 (SET a b) of pipeline caused error: {oom[4:]}",
    ]
    assert all(is_oom(redis.ResponseError(text)) for text in texts)
    assert is_oom(redis.exceptions.OutOfMemoryError(oom[4:]))
    assert not is_oom(redis.ResponseError("Transaction discarded because of previous errors."))
    assert not is_oom(redis.ConnectionError(oom))
    assert not is_oom(None)


def test_a_script_that_catches_the_error_and_returns_it(flavour: str) -> None:
    with started(flavour) as server, server.client() as client:
        fill(client)
        with pytest.raises(redis.ResponseError) as caught:
            client.eval("return redis.pcall('SET', KEYS[1], 'v')", 1, "k")
        assert is_oom(caught.value)


def test_a_copy_of_the_file_needs_redis_py_and_nothing_else(tmp_path: Path) -> None:
    shutil.copy(resilience.__file__, tmp_path / "copied.py")
    others = ("redis_oom_tui", "msgspec", "textual", "rich", "click", "humanize", "platformdirs")
    code = f"import sys, copied; print([name for name in {others} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.strip() == "[]"


FOREIGN = sorted({known.refusal for known in (*PRODUCTS, *MANAGED) if known.refusal})


@pytest.mark.parametrize("refusal", FOREIGN)
@pytest.mark.parametrize("form", ["{}", "Command # 1 (SET a b) of pipeline caused error: {}", "@user_script: 1: {}"])
def test_every_refusal_of_another_server_is_waited_out(refusal: str, form: str) -> None:
    # redis-py takes the ERR away.
    error = redis.ResponseError(form.format(refusal.removeprefix("ERR ")))
    assert is_oom(error)
    assert is_oom(redis.ResponseError(form.format(refusal)))
    answers = [error, error, "OK"]

    def write() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert OomRetry(retries=3, base_seconds=0.001).call(write) == "OK"
    with pytest.raises(OutOfMemory), translated("there", "RESTORE"):
        raise error
    assert isinstance(in_script(refusal), OutOfMemory)


@pytest.mark.parametrize(
    "text",
    ["Out of memory is what this is called: no such command", "value is not an integer", "DB index is out of range"],
)
def test_other_words_are_no_refusal_for_want_of_room(text: str) -> None:
    assert not is_oom(redis.ResponseError(text))
