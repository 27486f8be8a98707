"""Who may read and write the configuration, and where secrets come from."""

import os
import sys
from pathlib import Path

import pytest

from redis_oom_tui.files import config
from redis_oom_tui.files.config.file import fetch
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.config import SecretKind, SecretSource, WebhookFormat
from redis_oom_tui.models.errors import BadInput
from tests.files.test_config import written


def test_a_password_in_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    text = "[profiles.p]\npassword = 'hunter2'\n"
    assert config.load(written(tmp_path, text)).connection("p").password == Secret("hunter2")
    for mode in (0o640, 0o604):
        with pytest.raises(BadInput, match=r"line 2: profiles\.p\.password may be read by others") as caught:
            config.load(written(tmp_path, text, mode))
        assert "hunter2" not in str(caught.value)
    assert config.load(written(tmp_path, "[profiles.p]\npassword_env = 'X'\n", 0o644)).settings.profiles


def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="written by everybody"):
        config.load(written(tmp_path, "", 0o666))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[hooks]\nwebhook = 'https://h.example/hunter2'\n", r"hooks\.webhook"),
        ("[profiles.p.hooks]\nwebhook = 'https://h.example/hunter2'\n", r"profiles\.p\.hooks\.webhook"),
        ("[profiles.p]\nsentinel_password = 'hunter2'\n", r"profiles\.p\.sentinel_password"),
    ],
)
def test_every_secret_in_a_file_that_others_may_read_is_refused(tmp_path: Path, text: str, key: str) -> None:
    assert config.load(written(tmp_path, text))
    for mode in (0o640, 0o604):
        with pytest.raises(BadInput, match=rf"line 2: {key} may be read by others") as caught:
            config.load(written(tmp_path, text, mode))
        assert "hunter2" not in str(caught.value)
        assert "more" not in str(caught.value)


POWERS = [
    "[profiles.p]\npassword_command = 'echo x'\n",
    "[profiles.p]\nsentinels = ['a:1']\nmaster = 'm'\nsentinel_password_command = 'echo x'\n",
    "[profiles.p.hooks]\nexec = 'echo x'\n",
    "[hooks]\nexec = 'echo x'\n",
    "[hooks]\nwebhook_env = 'HOOK'\n",
    "[hooks]\nwebhook_command = 'echo x'\n",
    "[plans.x]\nmatch = 'x:*'\n[profiles.p.emergency]\nplan = 'x'\narmed = true\n",
]


@pytest.mark.parametrize("text", POWERS)
def test_what_runs_or_tells_is_refused_in_a_file_that_others_may_write(tmp_path: Path, text: str) -> None:
    assert config.load(written(tmp_path, text, 0o640))
    for mode in (0o660, 0o620):
        with pytest.raises(BadInput, match="refused in a file that its group may write: run chmod g-w"):
            config.load(written(tmp_path, text, mode))
    path = written(tmp_path, text)
    tmp_path.chmod(0o770)
    with pytest.raises(BadInput, match="refused while others may write the folder"):
        config.load(path)
    tmp_path.chmod(0o1770)
    assert config.load(path)
    tmp_path.chmod(0o700)
    os.chown(path, 12345, -1)
    with pytest.raises(BadInput, match="belongs to another user"):
        config.load(path)


def test_a_link_to_a_file_in_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    written(tmp_path / "open", POWERS[0])
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link.toml").symlink_to(tmp_path / "open" / "config.toml")
    with pytest.raises(BadInput, match=r"refused while others may write the folder .*/open"):
        config.load(tmp_path / "link.toml")


def test_a_file_that_names_nothing_of_that_kind_may_be_written_by_its_group(tmp_path: Path) -> None:
    assert config.load(written(tmp_path, "[profiles.p]\nhost = 'a'\npassword_env = 'X'\n", 0o664))


def test_a_pipe_is_read_and_one_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"[profiles.p]\nhost = 'a'\n")
        os.close(write)
        assert config.load(Path(f"/dev/fd/{read}")).settings.profiles
    finally:
        os.close(read)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="a pipe that nobody writes to"):
        config.load(tmp_path / "pipe")
    with pytest.raises(BadInput, match="a pipe that nobody writes to"):
        fetch(SecretSource(SecretKind.FILE, str(tmp_path / "pipe")), "the password")


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/", "/dev/tty"])
def test_a_device_or_a_folder_is_no_configuration_and_no_password(place: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        config.load(Path(place))
    with pytest.raises(BadInput, match="cannot be read"):
        fetch(SecretSource(SecretKind.FILE, place), "the password")


def test_secrets_come_from_better_places_and_never_show(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from-file\n")
    command = f"{sys.executable} -c 'print(1234)'"
    text = f"[profiles.f]\npassword_file = 'pw'\n[profiles.c]\npassword_command = \"{command}\"\n"
    configuration = config.load(written(tmp_path, text + "[profiles.l]\npassword = 'literal!'\n"))
    assert configuration.connection("f").password == Secret("from-file")
    assert configuration.connection("c").password == Secret("1234")
    assert "literal!" not in repr(configuration)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("password_env = 'SURELY_NOT_SET'", "environment variable SURELY_NOT_SET, which is not set"),
        ("password_file = 'absent'", "No such file"),
        ("password_command = 'false'", "ended with status 1"),
        ("password_command = 'true'", "is empty where it should be"),
        ("password_command = '/no/such/program'", "No such file"),
    ],
)
def test_a_secret_that_cannot_be_fetched_is_one_sentence(tmp_path: Path, line: str, expected: str) -> None:
    configuration = config.load(written(tmp_path, f"[profiles.p]\n{line}\n"))
    with pytest.raises(BadInput, match="the password of profile 'p'") as caught:
        configuration.connection("p")
    assert expected in str(caught.value)


def test_webhooks_may_be_kept_elsewhere(tmp_path: Path) -> None:
    text = "[hooks]\nwebhook_env = 'HOOK_URL'\nwebhook_format = 'slack'\n"
    hooks = config.load(written(tmp_path, text)).settings.hooks
    assert hooks.webhook is not None
    assert (hooks.webhook.kind, hooks.webhook.place) == (SecretKind.ENVIRONMENT, "HOOK_URL")
    assert hooks.webhook_format is WebhookFormat.SLACK


def test_relative_secret_files_start_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("x")
    path = written(tmp_path, "[profiles.p]\npassword_file = 'pw'\n")
    before = Path.cwd()
    os.chdir("/")
    try:
        assert config.load(path).connection("p").password == Secret("x")
    finally:
        os.chdir(before)
