"""Our quick dataclass is the standard one in all that anybody can see."""

import copy
import dataclasses
import pickle
from dataclasses import field
from typing import ClassVar

import pytest

from redis_oom_tui.models.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Ours:
    """A value."""

    word: str
    count: int = 3
    names: tuple[str, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    hidden: str = field(default="secret", repr=False)

    kind: ClassVar[str] = "kind"

    @property
    def twice(self) -> int:
        """A property."""
        return 2 * self.count


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """A value."""

    word: str
    count: int = 3
    names: tuple[str, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    hidden: str = field(default="secret", repr=False)

    kind: ClassVar[str] = "kind"


@dataclass(frozen=True, slots=True)
class Nothing:
    """No field at all."""


@dataclass(frozen=True, slots=True)
class Wary:
    """Checks what it is given, and shows it in its own way."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("negative")

    def __repr__(self) -> str:
        return "wary"


@pytest.mark.parametrize("args", [("a",), ("a", 4), ("a", 4, ("x",), {"y": 1})])
def test_it_holds_and_shows_what_the_standard_one_does(args):
    ours, theirs = Ours(*args), Theirs(*args)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert [each.name for each in dataclasses.fields(Ours)] == [each.name for each in dataclasses.fields(Theirs)]
    assert Ours.__match_args__ == Theirs.__match_args__


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_equality_and_hash_are_by_value_and_kind(kind):
    assert kind("a") == kind("a")
    assert kind("a") != kind("b")
    assert kind("a") != dataclasses.replace(kind("a"), hidden="x")
    assert Ours("a") != Theirs("a")
    assert hash(Wary(1)) == hash(Wary(1))
    with pytest.raises(TypeError, match="unhashable"):
        hash(kind("a"))


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_nothing_can_be_set_or_added_or_deleted(kind):
    value = kind("a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'word'"):
        value.word = "b"
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'word'"):
        del value.word
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_wrong_arguments_are_refused_by_name(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__}.__init__\(\) got an unexpected keyword argument 'nothing'"):
        kind("a", nothing=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'word'"):
        kind()


def test_defaults_are_made_anew_and_copies_are_equal():
    assert Ours("a").table is not Ours("a").table
    value = Ours("a", names=("n",))
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert dataclasses.replace(value, count=9).twice == 18


def test_its_own_methods_and_checks_are_kept():
    assert repr(Wary(1)) == "wary"
    with pytest.raises(ValueError, match="negative"):
        Wary(-1)
    assert Nothing() == Nothing()
    assert repr(Nothing()) == "Nothing()"


def test_what_is_not_frozen_is_not_for_it():
    with pytest.raises(TypeError, match="standard dataclass"):
        dataclass(frozen=False, slots=True)
