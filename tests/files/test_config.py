"""The configuration file: what it can say, and each fault with its line."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files import config
from redis_oom_tui.files.config.reader import key_lines
from redis_oom_tui.models.address import Address, Secret, Sentinel
from redis_oom_tui.models.config import Color
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.plan import Operation, Order, TtlFilter

FULL = """\
default_profile = "prod"

[watch]
warn = 70
crit = 90
interval = "10s"
hysteresis = 5
hold = 20
bell = true

[hooks]
exec = "/usr/local/bin/page --team 'cache people'"
timeout = 5

[emergency]
armed = true
plan = "cache"
max_keys = 500
max_bytes = "64mb"

[plans.cache]
match = ["cache:*", "tmp:\\\\xff*"]
type = "string"
ttl = "without"
larger_than = "1kb"
idle_over = "7d"
max_keys = 1000
order = "oldest"

[plans.later]
match = "session:*"
expire = "10m"

[profiles.prod]
host = "cache-1"
port = 7000
username = "sre"
password_env = "CACHE_PASSWORD"
tls = { ca = "ca.pem", verify = false }
production = true

[profiles.prod.watch]
crit = 99

[profiles."odd.name"]
socket = "/run/redis.sock"
color = "blue"

[profiles.ha]
sentinels = ["s1:26379", "[::1]:26380"]
master = "mymaster"
"""


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(BadInput) as caught:
        config.load(written(tmp_path, text))
    return str(caught.value).removeprefix(str(tmp_path / "config.toml"))


def test_everything_that_the_file_can_say_is_read(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, FULL)).settings
    assert (settings.watch.thresholds.warn, settings.watch.thresholds.crit) == (0.70, 0.90)
    assert (settings.watch.interval_seconds, settings.watch.hold_seconds, settings.watch.bell) == (10.0, 20.0, True)
    assert settings.hooks.command == ("/usr/local/bin/page", "--team", "cache people")
    assert (settings.emergency.armed, settings.emergency.max_bytes) == (True, 64 * 1024**2)
    cache = settings.plans["cache"]
    assert cache.criteria.patterns == (b"cache:*", b"tmp:\xff*")
    assert cache.criteria.ttl is TtlFilter.WITHOUT
    assert cache.criteria.order is Order.OLDEST
    assert (cache.criteria.idle_over_seconds, cache.criteria.larger_than_bytes) == (7 * 86400, 1024)
    assert (settings.plans["later"].operation, settings.plans["later"].expire_seconds) == (Operation.EXPIRE, 600)


def test_a_profile_takes_over_what_it_leaves_out_but_is_armed_only_in_its_own_table(tmp_path: Path) -> None:
    profile = config.load(written(tmp_path, FULL)).profile()
    assert profile.name == "prod"
    assert (profile.watch.thresholds.warn, profile.watch.thresholds.crit) == (0.70, 0.99)
    assert profile.hooks.command[0] == "/usr/local/bin/page"
    assert (profile.emergency.max_keys, profile.emergency.armed) == (500, False)
    assert (profile.production, profile.color) == (True, Color.RED)


def test_a_connection_is_made_of_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", "hunter2")
    configuration = config.load(written(tmp_path, FULL))
    connection = configuration.connection("prod")
    assert connection.address == Address("cache-1", 7000)
    assert connection.password == Secret("hunter2")
    assert connection.tls is not None
    assert (connection.tls.ca_file, connection.tls.verify) == (tmp_path / "ca.pem", False)
    assert configuration.connection("odd.name").address == Address(socket_path="/run/redis.sock")
    sentinels = (Address("s1", 26379), Address("::1", 26380))
    assert configuration.connection("ha").sentinel == Sentinel(sentinels, "mymaster")


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config.load().path is None
    assert config.load().connection().address == Address()
    assert config.load().profile().watch.thresholds.warn == 0.80
    path = tmp_path / "redis-oom-tui" / "config.toml"
    path.parent.mkdir()
    path.write_text("[watch]\nwarn = 50\n")
    assert config.default_path() == path
    assert config.load().profile().watch.thresholds.warn == 0.50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[watch]\n\nwarn = 'high'\n", ", line 3: watch.warn must be a percentage from 0 to 100"),
        ("[watch]\nwarn = 97\n", ", line 2: watch.warn must leave warn above 0 and below crit"),
        ("[watch]\ncrit = true\n", ", line 2: watch.crit must be a percentage from 0 to 100"),
        ("[watch]\nwran = 80\n", ", line 2: watch.wran is not known here; did you mean warn?"),
        ("[profiles.p]\nuser = 'sre'\n", ", line 2: profiles.p.user is not known here; did you mean username?"),
        ("[watch]\ninterval = '5 bananas'\n", ", line 2: watch.interval '5 bananas' is not a length of time: "),
        ("[watch]\ninterval = 0.1\n", ", line 2: watch.interval must be at least half a second"),
        ("watch = 3\n", ", line 1: watch must be a table of keys"),
        ('[hooks]\nexec = "page \'me"\n', ", line 2: hooks.exec cannot be split into words (No closing quotation)"),
        ("[hooks]\nwebhook_format = 'teams'\n", ", line 2: hooks.webhook_format must be one of json, slack"),
        ("[hooks]\nevents = ['oom', 'fire']\n", ", line 2: hooks.events must be one of warning, critical, oom, "),
        ("[plans.x]\ntype = 'hash'\n", ", line 1: plans.x.match is needed: "),
        ("[plans.x]\nmatch = '*'\ntype = 'hsah'\n", ", line 3: plans.x.type 'hsah' is not a type of keys: "),
        ("[plans.x]\nmatch = 'a\\xzz'\n", ", line 2: plans.x.match "),
        ("[plans.x]\nmatch='a'\nmax_bytes = '1tb'\n", ", line 3: plans.x.max_bytes '1tb' is not a size: "),
        ("[plans.x]\nmatch='a'\nmax_keys = 0\n", ", line 3: plans.x.max_keys must be a whole number from 1 to "),
        ("[profiles.p]\n\n\nport = 70000\n", ", line 4: profiles.p.port must be a whole number from 1 to 65535"),
        ("[profiles.p]\nsocket='/s'\nhost='h'\n", ", line 3: profiles.p.host cannot be combined with socket"),
        ("[profiles.p]\nmaster='m'\n", ", line 2: profiles.p.master needs both sentinels and master"),
        (
            "[profiles.p]\nmaster='m'\nsentinels='s'\n",
            ", line 3: profiles.p.sentinels must hold addresses as host:port",
        ),
        ("[profiles.p]\npassword_env='A'\npassword_file='B'\n", "profiles.p.password is given more than once"),
        ("[profiles.p]\ntls = { verfy = false }\n", ", line 2: profiles.p.tls.verfy is not known here; did you mean"),
        (
            "default_profile = 'q'\n[profiles.p]\n",
            ", line 1: default_profile is not a profile of this file, which has p",
        ),
        ("[emergency]\narmed = true\n", ", line 2: emergency.armed needs a plan beside it"),
        ("[emergency]\nplan = 'gone'\n", ", line 2: emergency.plan is not a plan of this file, which has none"),
        (
            "[plans.a]\nmatch='a'\n[profiles.p]\nread_only=true\nemergency={armed=true, plan='a'}\n",
            ", line 4: profiles.p.read_only cannot be combined with an armed emergency cleanup",
        ),
        ("[watch\n", ", line 1: not valid TOML: "),
        ("a = 1\nb = \n", ", line 2: not valid TOML: invalid value"),
        ("a = '''\n\n", ", line 3: not valid TOML: "),
        ("[profiles.p]\nhost = 3\n[profiles.q]\nhost = 3\n", "(and 1 more: run `redis-oom-tui config check`)"),
    ],
)
def test_a_fault_is_one_sentence_with_file_line_and_key(tmp_path: Path, text: str, expected: str) -> None:
    sentence = complaint(tmp_path, text)
    assert expected in sentence
    assert "\n" not in sentence


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = config.problems(written(tmp_path, "[profiles.p]\nhost = 3\nport = 0\n[watch]\nwarn = 200\nfoo = 1\n"))
    assert [sentence.split(": ")[1].split()[0] for sentence in found] == [
        "profiles.p.host",
        "profiles.p.port",
        "watch.warn",
        "watch.foo",
    ]


def test_values_nested_too_deep_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nested too deep"):
        config.load(written(tmp_path, "x = " + "[" * 60000 + "]" * 60000))


_ENDS = """
import sys, threading
from pathlib import Path
from redis_oom_tui.files import config
there = config.load(Path(sys.argv[1]))
threading.Thread(target=there.connection, args=("p",), daemon=True).start()
sys.stdin.readline()
"""


def test_a_command_that_hangs_ends_with_the_program_and_so_does_what_it_started(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = f"sh -c 'sleep 300 & echo $$ $! > {begun}.part; mv {begun}.part {begun}; wait'"
    path = written(tmp_path, f'[profiles.p]\npassword_command = "{command}"\n')
    with subprocess.Popen([sys.executable, "-c", _ENDS, path], stdin=subprocess.PIPE, text=True) as program:
        _wait(begun.exists)
        processes = [int(pid) for pid in begun.read_text().split()]
        assert all(Path(f"/proc/{pid}").exists() for pid in processes)
        program.communicate("\n")
    _wait(lambda: not any(_runs(pid) for pid in processes), seconds=1.0)


def _wait(true: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether it is there, and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_unknown_profiles_and_unreadable_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no profile 'x'; it has ha, odd\.name, prod"):
        config.load(written(tmp_path, FULL)).profile("x")
    with pytest.raises(BadInput, match="name another file with --config"):
        config.load(tmp_path / "absent.toml")
    with pytest.raises(BadInput, match="cannot be read"):
        config.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"a = 1\nb = '\xe9'\n")
    with pytest.raises(BadInput, match=r"line 2: not UTF-8"):
        config.load(tmp_path / "latin.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(BadInput, match="larger than a configuration"):
        config.load(tmp_path / "big.toml")


def test_a_hook_is_told_of_what_it_asks_for(tmp_path: Path) -> None:
    hooks = config.load(written(tmp_path, "[hooks]\nevents = ['oom', 'restarted']\n")).settings.hooks
    assert [kind.value for kind in hooks.events] == ["oom", "restarted"]
    assert "restarted" not in [kind.value for kind in config.load(written(tmp_path, "")).settings.hooks.events]


NAMES = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(), max_size=4), max_size=5), st.integers(0, 3))
def test_each_key_is_found_on_its_line(tables: dict[str, dict[str, int]], gap: int) -> None:
    lines: list[str] = []
    expected = {}
    for table, keys in tables.items():
        lines += ["# [not.a.table]"] * gap + [f"[outer.{table}]"]
        expected["outer", table] = len(lines)
        for key, value in keys.items():
            lines += [f"{key} = [", f"  {value},", "]"]
            expected["outer", table, key] = len(lines) - 2
    found = key_lines("\n".join(lines))
    assert {path: found[path] for path in expected} == expected


def test_a_text_over_several_lines_is_not_taken_for_keys() -> None:
    lines = key_lines('a = """\nb = 1\n[c]\n"""\nb = 2\n')
    assert lines == {("a",): 1, ("b",): 5}


def test_keys_are_kept_by_the_id_of_what_they_do(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[keys]\nfreeze = "F"\n"hogs.scan" = "ctrl+r"\n')
    assert config.load(file).settings.keys == {"freeze": "F", "hogs.scan": "ctrl+r"}
    file.write_text("[keys]\nfreeze = 5\n")
    assert "keys.freeze" in config.problems(file)[0]


def test_a_profile_states_the_limit_of_a_server_that_reports_none(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.managed]\nhost = "m"\nlimit = "4gb"\n[profiles.own]\nhost = "o"\n')
    settings = config.load(path)
    assert settings.connection("managed").stated_limit_bytes == 2**32
    assert settings.connection("own").stated_limit_bytes is None


def test_a_certificate_that_is_no_plain_file_is_one_sentence(tmp_path: Path) -> None:
    text = "[profiles.p]\nhost = 'a'\ntls = { ca = '/dev/zero' }\n"
    with pytest.raises(BadInput, match="/dev/zero is not a plain file"):
        config.load(written(tmp_path, text)).connection("p")


def test_a_plan_may_name_a_pattern_as_a_scan_counts_it(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[plans.a]\npattern = ['user:<id>', 's:*']\n")
    found = config.load(file).settings.plans["a"].criteria
    assert found.patterns == ()
    assert found.key_patterns == (KeyPattern((b"user:", b"\0")), KeyPattern((b"s:",), below=True))
    file.write_text("[plans.a]\npattern = 'user:42'\n")
    assert "plans.a.pattern" in "".join(config.problems(file))
