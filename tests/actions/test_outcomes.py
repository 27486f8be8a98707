"""Outcomes by key: counted as they change, told in the plan's order."""

from redis_oom_tui.actions.outcomes import OutcomeTable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import KeyOutcome, Outcome, OutcomeNote, PlannedKey

KEYS = tuple(PlannedKey(KeyId(0, b"%d" % n), "string", 10) for n in range(3))


def test_what_nothing_is_said_of_was_not_attempted() -> None:
    assert dict(OutcomeTable(KEYS).counts()) == {Outcome.NOT_ATTEMPTED: 3}


def test_a_later_word_about_a_key_replaces_the_earlier() -> None:
    tally = OutcomeTable(KEYS)
    tally.put(1, Outcome.FAILED, "lost")
    tally.put(1, Outcome.DELETED)
    tally.put(1, Outcome.DELETED)
    tally.put(2, Outcome.CHANGED, "used")
    assert dict(tally.counts()) == {Outcome.NOT_ATTEMPTED: 1, Outcome.DELETED: 1, Outcome.CHANGED: 1}
    assert tally.freed_bytes == 10
    assert list(tally.each(frozenset({Outcome.DELETED, Outcome.CHANGED}))) == [
        KeyOutcome(KeyId(0, b"1"), Outcome.DELETED),
        KeyOutcome(KeyId(0, b"2"), Outcome.CHANGED, "used"),
    ]


def test_what_was_kept_is_counted_by_its_note_and_not_by_its_words() -> None:
    table = OutcomeTable(KEYS)
    table.put(0, Outcome.FAILED, "kept: too large to save", OutcomeNote.UNSAVED)
    table.put(1, Outcome.FAILED, "kept: in the server's own words")
    table.put(2, Outcome.GONE, "deleted", OutcomeNote.DELETED_EARLIER)
    assert (table.noted(OutcomeNote.UNSAVED), table.noted(OutcomeNote.DELETED_EARLIER)) == (1, 1)
    table.put(0, Outcome.DELETED)
    assert table.noted(OutcomeNote.UNSAVED) == 0
