"""Output that stalls: nobody waits for it, what falls out is said, and the end is not held up."""

import os
import select
import threading
import time
from pathlib import Path

import pytest

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.monitor.output import BufferedOutput


def read_all(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode()


def test_lines_arrive_whole_and_in_order() -> None:
    readable, writable = os.pipe()
    stream = BufferedOutput(writable)
    for number in range(500):
        stream.write(f"line {number}\n")
    stream.close()
    os.close(writable)
    assert read_all(readable).splitlines() == [f"line {number}" for number in range(500)]


def test_a_stalled_reader_holds_up_nobody_and_learns_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.monitor.output._FAREWELL_SECONDS", 20.0)
    readable, writable = os.pipe()
    stream = BufferedOutput(writable, most_lines=10, missing=lambda lines: f"missing {lines}\n")
    long = "x" * 200_000 + "\n"  # more than a pipe holds
    stream.write(long)
    while os.fstat(readable).st_size == 0 and not _readable(readable):
        time.sleep(0.001)
    for number in range(30):
        stream.write(f"line {number}\n")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(read_all(readable)))
    reader.start()
    stream.close()
    os.close(writable)
    reader.join(20)
    assert got[0] == long + "missing 20\n" + "".join(f"line {number}\n" for number in range(20, 30))


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def test_a_reader_that_has_gone_is_told_at_the_next_line() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    stream = BufferedOutput(writable)
    with pytest.raises(BrokenPipeError):
        _write_on(stream)
    stream.close()
    os.close(writable)


def _write_on(stream: BufferedOutput) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        stream.write("line\n")
        time.sleep(0.001)


def test_a_disk_that_is_full_is_one_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        stream = BufferedOutput(full.fileno())
        with pytest.raises(BadInput, match="standard output cannot be written: No space left on device"):
            _write_on(stream)


def test_what_the_encoding_lacks_is_escaped() -> None:
    readable, writable = os.pipe()
    stream = BufferedOutput(writable, encoding="ascii")
    stream.write("café\n")
    stream.close()
    os.close(writable)
    assert read_all(readable) == "caf\\xe9\n"
