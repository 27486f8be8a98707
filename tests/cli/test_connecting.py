"""How redis-cli's options, a URL and the environment come together."""

from pathlib import Path

import pytest

from redis_oom_tui.cli.connecting import ConnectionOptions, from_url, resolve, whole_socket_path
from redis_oom_tui.cli.main import main
from redis_oom_tui.models.address import Address, Connection, Secret
from redis_oom_tui.models.errors import BadInput
from tests.support.servers import RunningServer


def test_the_defaults_are_redis_clis() -> None:
    connection = resolve(ConnectionOptions(), {})
    assert connection.address == Address("127.0.0.1", 6379)
    assert connection.db is None
    assert connection.tls is None


def test_options_stand_over_the_environment() -> None:
    environment = {"REDIS_URL": "redis://elsewhere:1/5", "REDISCLI_AUTH": "from-env"}
    connection = resolve(ConnectionOptions(host="here", password=Secret("given")), environment)
    assert connection.address == Address("here", 6379)
    assert connection.password == Secret("given")
    assert resolve(ConnectionOptions(), environment).address == Address("elsewhere", 1)
    assert resolve(ConnectionOptions(), environment).password == Secret("from-env")


def test_a_single_word_before_the_host_is_the_password_as_for_redis_cli() -> None:
    connection = from_url("redis://hunter2@cache-1")
    assert (connection.username, connection.password) == (None, Secret("hunter2"))
    connection = from_url("redis://sre:@cache-1")
    assert (connection.username, connection.password) == ("sre", None)


def test_a_unix_url() -> None:
    connection = from_url("unix:///run/redis.sock?db=3")
    assert connection.address == Address(socket_path="/run/redis.sock")
    assert connection.db == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://u:hunter2@cache:6379",
        "redis://u:hunter2@cache:port",
        "redis://u:hunter2@cache/first",
        "hunter2@cache:6379",
        "unix://hunter2@",
        "redis://u:hunter2@[::1",
    ],
)
def test_a_bad_url_is_one_sentence_without_its_secret(url: str) -> None:
    with pytest.raises(BadInput) as refusal:
        from_url(url)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "options",
    [
        ConnectionOptions(url="redis://a", host="b"),
        ConnectionOptions(socket="/s", port=1),
        ConnectionOptions(sentinels=("a:1",)),
        ConnectionOptions(master="m"),
        ConnectionOptions(sentinels=("a:x",), master="m"),
        ConnectionOptions(sentinels=("u:hunter2@a:1",), master="m"),
    ],
)
def test_options_that_contradict_each_other(options: ConnectionOptions) -> None:
    with pytest.raises(BadInput) as refusal:
        resolve(options, {})
    assert "hunter2" not in str(refusal.value)


def test_insecure_means_tls_without_checking() -> None:
    tls = resolve(ConnectionOptions(insecure=True), {}).tls
    assert tls is not None
    assert not tls.verify


def test_a_limit_can_be_stated_over_the_profiles_own() -> None:
    base = Connection(stated_limit_bytes=2**30)
    assert resolve(ConnectionOptions(), {}, base).stated_limit_bytes == 2**30
    assert resolve(ConnectionOptions(limit="4gb"), {}, base).stated_limit_bytes == 2**32


@pytest.mark.parametrize("limit", ["0", "4GiB", "", "50%", "-1"])
def test_a_limit_that_is_no_size_is_refused(limit: str) -> None:
    with pytest.raises(BadInput):
        resolve(ConnectionOptions(limit=limit), {})


@pytest.mark.parametrize(
    "options", [ConnectionOptions(socket="/s", tls=True), ConnectionOptions(url="unix:///s", insecure=True)]
)
def test_tls_with_a_unix_socket_is_refused_rather_than_left_out(options: ConnectionOptions) -> None:
    with pytest.raises(BadInput, match="has no effect on a unix socket"):
        resolve(options, {})


def test_a_socket_in_a_folder_of_a_long_name_is_reached_by_its_short_path(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    (deep / "s").symlink_to(str(valkey.socket_path))
    monkeypatch.chdir(deep)
    for words in (("-s", "s"), ("-u", "unix:s")):
        with pytest.raises(SystemExit) as ended:
            main([*words, "check", "--json"])
        assert ended.value.code == 0, capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    assert whole_socket_path("s") == str(tmp_path / "s")
