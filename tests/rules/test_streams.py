"""What is wrong with the readers of a stream."""

from redis_oom_tui.models.keys import ConsumerHealth, GroupHealth
from redis_oom_tui.rules.streams import health

DAY = 86400


def test_a_group_that_is_read_and_acknowledged_has_nothing_to_tell() -> None:
    assert health([GroupHealth(b"mail", 1, 30, 5, (ConsumerHealth(b"c", 30, 2),))]) == ()
    assert health([GroupHealth(b"several", 900, 30, 5)]) == ()


def test_gone_consumers_are_named_with_the_way_out_and_the_trap() -> None:
    dead = ConsumerHealth(b"c[1]", 20, 5 * DAY)
    (sentence,) = health([GroupHealth(b"mail", 2, 20, 0, (dead, ConsumerHealth(b"live", 0, 1)))])
    assert sentence == (
        "Group 'mail': consumer 'c[1]' was last seen 5d00h ago, holding 20 pending entries. XAUTOCLAIM gives them to"
        " another consumer; XGROUP DELCONSUMER loses them."
    )


def test_many_gone_consumers_are_counted() -> None:
    dead = tuple(ConsumerHealth(b"c%d" % n, n, DAY) for n in range(7))
    sentences = health([GroupHealth(b"mail", 7, 21, 0, dead)])
    assert len(sentences) == 5
    assert sentences[3] == "Group 'mail': 3 more consumers were not seen for an hour and hold 6 pending entries."
    assert sentences[4] == (
        "Group 'mail': 1 consumer was not seen for a day and holds nothing: XGROUP DELCONSUMER removes such."
    )


def test_entries_that_nobody_will_take_are_told() -> None:
    assert health([GroupHealth(b"a", 0, 3)]) == (
        "Group 'a' has 3 pending entries and no consumer: nobody acknowledges them.",
    )
    assert health([GroupHealth(b"a", 0, 0, 9)]) == ("Group 'a' is 9 behind, and no consumer read it within an hour.",)


def test_of_very_many_groups_not_each_has_its_sentence() -> None:
    sentences = health([GroupHealth(b"g%d" % n, 0, 3) for n in range(60)])
    assert (len(sentences), sentences[-1]) == (51, "10 more such sentences are left out.")
