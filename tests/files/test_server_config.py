"""The server's own config file: its path is the server's word, so that anything may be there."""

import os
from pathlib import Path

import pytest

from redis_oom_tui.files.server_host import config_file
from redis_oom_tui.models.address import Address


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root under which process 7 is a Redis, with a root of its own."""
    (tmp_path / "proc/7/root").mkdir(parents=True)
    (tmp_path / "proc/7/comm").write_text("redis-server\n")
    return tmp_path


def test_a_plain_file_is_read(machine: Path) -> None:
    (machine / "proc/7/root/redis.conf").write_text("maxmemory 1gb\n")
    assert config_file(Address(), 7, "/redis.conf", machine) == {"maxmemory": "1gb"}


def test_a_pipe_a_device_and_a_huge_file_are_not_read(machine: Path) -> None:
    folder = machine / "proc/7/root"
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    with (folder / "huge").open("wb") as file:
        file.truncate(2**30)
    for name in ("/pipe", "/zero", "/huge", "/none", "/"):
        assert config_file(Address(), 7, name, machine) is None
