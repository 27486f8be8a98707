"""Pages that wait for each other lose nothing, and neither a sample nor a screen waits for them."""

from typing import Any

from redis_oom_tui.server.resp import KeyQuestion
from redis_oom_tui.server.scan.aggregates import Columns
from redis_oom_tui.server.scan.workers import PageBatch

ASKED = (KeyQuestion.SIZE, KeyQuestion.TYPE, KeyQuestion.TTL)


class Counted:
    def __init__(self) -> None:
        self.pages: list[tuple[int, list[bytes], Columns]] = []

    def __call__(self, db: int, names: list[bytes], columns: Columns) -> None:
        self.pages.append((db, names, columns))


def page(first: int, size: int) -> tuple[list[bytes], list[Any]]:
    names = [b"k%d" % at for at in range(first, first + size)]
    return names, [answer for at in range(first, first + size) for answer in (at, b"string", -1)]


def test_each_key_is_counted_once_with_its_own_answers() -> None:
    counted = Counted()
    gathering = PageBatch(counted)
    at = 0
    for size in [8] * 400 + [3, 600, 8]:
        names, answers = page(at, size)
        gathering.add(0, names, ASKED, answers)
        at += size
    gathering.hand_over()
    seen = [row for _, names, columns in counted.pages for row in zip(names, columns.sizes or (), strict=True)]
    assert seen == [(b"k%d" % number, number) for number in range(at)]
    assert gathering.keys == 0


def test_the_first_pages_are_counted_one_by_one_and_later_ones_in_larger_parts() -> None:
    counted = Counted()
    gathering = PageBatch(counted)
    for turn in range(4000):
        gathering.add(0, *_with_asked(page(turn * 8, 8)))
    sizes = [len(names) for _, names, _ in counted.pages]
    assert sizes[:32] == [8] * 32
    assert max(sizes) == 256
    assert sizes == sorted(sizes)


def test_keys_of_two_databases_do_not_mix() -> None:
    counted = Counted()
    gathering = PageBatch(counted)
    for turn in range(100):
        gathering.add(0, *_with_asked(page(turn * 8, 8)))
    names, answers = page(800, 2)
    gathering.add(3, names, ASKED, answers)
    gathering.hand_over()
    assert {db for db, _, _ in counted.pages} == {0, 3}
    assert [names for db, names, _ in counted.pages if db == 3] == [[b"k800", b"k801"]]
    assert sum(len(names) for db, names, _ in counted.pages if db == 0) == 800


def test_nothing_to_hand_over_counts_nothing() -> None:
    counted = Counted()
    PageBatch(counted).hand_over()
    assert counted.pages == []


def _with_asked(made: tuple[list[bytes], list[Any]]) -> tuple[list[bytes], tuple[KeyQuestion, ...], list[Any]]:
    names, answers = made
    return names, ASKED, answers
