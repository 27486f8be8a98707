"""Names that are looked up come to the pattern that taking them apart would give."""

import random
import uuid

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.rules.patterns import Normaliser, PatternCache

_HASH = st.text("0123456789abcdef", min_size=6, max_size=9).map(str.encode)
_WORD = st.sampled_from([b"cafe", b"beef", b"user", b"v2", b"42", b"07", b"", b"defaced", b"abcdefab", b"ABCDEF12"])
_UUID = st.uuids().map(lambda made: str(made).encode())
_NAMES = st.lists(st.lists(st.one_of(_WORD, _HASH, _UUID), max_size=4).map(b":".join), max_size=60)


def known_of(normaliser: Normaliser) -> tuple[PatternCache[bytes], list[bytes]]:
    """One whose patterns are the normalised names themselves, and the names that it took apart."""
    taken: list[bytes] = []

    class Counting(Normaliser):
        def name(self, name: bytes) -> bytes:
            taken.append(name)
            return normaliser.name(name)

    return PatternCache(Counting(normaliser.delimiters), lambda normal: normal), taken


@given(_NAMES, st.sampled_from([b":", b"/", b":-", b"a"]))
def test_looked_up_or_taken_apart_is_the_same(names: list[bytes], delimiters: bytes) -> None:
    normaliser = Normaliser(delimiters)
    known, _ = known_of(normaliser)
    for _ in range(2):
        assert known.patterns_of(names) == normaliser.names(names)


def test_every_shape_of_one_call_is_learnt() -> None:
    known, taken = known_of(Normaliser())
    names = [b"job:%d" % number for number in range(9000, 10_100)]
    known.patterns_of(names)
    taken.clear()
    known.patterns_of(names)
    assert taken == []


def test_hashes_are_taken_apart_once() -> None:
    chance = random.Random(3)
    names = [b"session:app%d:%032x" % (number % 7, chance.getrandbits(128)) for number in range(500)]
    names += [b"s:%b:data" % str(uuid.UUID(int=chance.getrandbits(128))).encode() for _ in range(500)]
    known, taken = known_of(Normaliser())
    assert set(known.patterns_of(names)) == {b"session:app\0:\0", b"s:\0:data"}
    assert len(taken) == 2


def test_a_word_in_the_place_of_a_hash_stays_a_word() -> None:
    known, _ = known_of(Normaliser())
    found = known.patterns_of([b"s:1234abcd", b"s:feedface", b"s:0feedfac", b"cafe:1234abcd", b"beef:1234abcd"])
    assert found == [b"s:\0", b"s:feedface", b"s:\0", b"cafe:\0", b"beef:\0"]


def test_what_was_learnt_can_be_forgotten() -> None:
    known, taken = known_of(Normaliser())
    known.patterns_of([b"s:1234abcd"])
    known.forget()
    known.patterns_of([b"s:1234abcd"])
    assert len(taken) == 2
