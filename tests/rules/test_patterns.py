"""Names become patterns: what varies, what does not, and the roll-up in bounded memory."""

import base64
import json
import os
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.rules import patterns
from redis_oom_tui.rules.pattern_rows import rows
from redis_oom_tui.rules.pattern_tree import GROUPS, PatternTree, tree_from, tree_rows
from redis_oom_tui.rules.sampling import SampledShare, quantiles, step_of


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (b"user:42:cart", b"user:*:cart"),
        (b"user123", b"user*"),
        (b"session:9f86d081884c7d659a2feaa0c55ad015", b"session:*"),
        (b"s:3f2504e0-4f89-11d3-9a0c-0305e82c3301", b"s:*"),
        (b"S:3F2504E0-4F89-11D3-9A0C-0305E82C3301", b"S:*"),
        (b"log:2024-01-31", b"log:*"),
        (b"log:2024-01-31T10", b"log:*"),
        (b"net:10.0.0.1", b"net:*"),
        (b"token:V1StGXR8_Z5jdHi6B-myT", b"token:*"),
        (b"sess:nZBEKGHwQXaQa-hwxU6k9J6lnrKSZOy0", b"sess:*"),
        (b"sess:E172C-sST3hDOERAUGXOrmQOfGVAiEqP", b"sess:*"),
        (b"9f86d081884c7d65-ThumbnailLargeSquareImage", b"*-ThumbnailLargeSquareImage"),
        (b"token:aGVsbG8gd29ybGQxMjM0NTY3OA==", b"token:*"),
        (b"01ARZ3NDEKTSV4RRFFQ69G5FAV", b"*"),
        (b"api:v2:item:7", b"api:v2:item:*"),
        (b"cafe:feed", b"cafe:feed"),
        (b"UserProfileCacheEntry", b"UserProfileCacheEntry"),
        (b"{user:7}:cart", b"{user:*}:cart"),
        (b"feature-flags", b"feature-flags"),
        (b"", b""),
        (b":", b":"),
        (b"a\nb:5", b"a\nb:*"),
    ],
)
def test_what_varies(name: bytes, pattern: bytes) -> None:
    assert patterns.shown(patterns.Normaliser().name(name)) == pattern


def test_random_ids_with_dashes_are_one_pattern() -> None:
    chance = random.Random(5)
    ids = [base64.urlsafe_b64encode(chance.randbytes(24)) for _ in range(2000)]
    assert patterns.Normaliser().names([b"sess:" + one for one in ids]).count(b"sess:\0") >= 1950


def test_one_odd_name_does_not_disturb_its_neighbours() -> None:
    assert patterns.Normaliser().names([b"a:1", b"x\ny:2", b"b:3"]) == [b"a:\0", b"x\ny:\0", b"b:\0"]
    assert patterns.shapes([b"a:1", b"x\n2"]) == [b"a:0", b"x\n0"]


@given(st.lists(st.text("ab1:-{}_fF", max_size=12).map(str.encode), max_size=20))
def test_names_are_judged_alike_part_by_part_and_whole(names: list[bytes]) -> None:
    part_by_part = patterns.Normaliser(b":").names(names)
    assert part_by_part == patterns.Normaliser(b"::").names(names)
    assert part_by_part == [patterns.Normaliser().name(name) for name in names]


@given(st.binary(max_size=2000))
def test_parts_are_bounded(name: bytes) -> None:
    parts = patterns.parts(patterns.Normaliser().name(name))
    assert 1 <= len(parts) <= patterns.DEEPEST
    assert all(len(part) <= patterns.LONGEST_PART for part in parts)


def test_globs_escape_what_is_literal() -> None:
    assert patterns.glob(b"a*[b]:\0") == b"a\\*\\[b\\]:*"


def filled(names: list[bytes], *, sizes: list[int] | None = None, max_nodes: int = 5000) -> PatternTree:
    tree = PatternTree(max_nodes=max_nodes)
    for start in range(0, len(names), 1000):
        page = names[start : start + 1000]
        figures = [100] * len(page) if sizes is None else sizes[start : start + 1000]
        tree.add(0, page, figures, [-1] * len(page), [b"string"] * len(page), (start // 1000) % GROUPS)
    return tree


def by_name(found: tuple[PatternRow, ...]) -> dict[bytes, PatternRow]:
    assert len({row.pattern for row in found}) == len(found)
    return {row.pattern: row for row in found}


def test_every_level_with_its_parent_and_no_level_that_says_nothing() -> None:
    names = [b"user:%d:cart" % n for n in range(300)] + [b"user:%d:profile" % n for n in range(100)]
    names += [b"job:%d:log:%d" % (n, n) for n in range(50)]
    found = by_name(rows(filled(names)))
    assert set(found) == {b"user:*", b"user:*:cart", b"user:*:profile", b"job:*:log:*"}
    assert found[b"user:*"].keys == 400
    assert found[b"user:*"].level == 1
    assert found[b"user:*:cart"].parent == b"user:*"
    assert found[b"user:*:cart"].level == 2
    assert found[b"job:*:log:*"].parent is None
    assert sum(row.share for row in found.values() if row.level == 1) == pytest.approx(1.0)


def test_a_pattern_beside_its_parent_has_a_name_of_its_own() -> None:
    names = [b"user:%d" % n for n in range(100)] + [b"user:config", b"user:<id>", b"user:*", b"user:#"]
    found = by_name(rows(filled(names)))
    assert found[b"user:*"].keys == 104
    assert sum(row.keys for row in found.values() if row.parent == b"user:*") == 104


def test_databases_are_kept_apart() -> None:
    tree = PatternTree()
    for db in (0, 5):
        tree.add(db, [b"a:1"], [10], [1000], [b"hash"], 0)
    assert {(row.db, row.pattern, row.no_ttl_keys, row.types) for row in rows(tree)} == {
        (0, b"a:*", 0, (("hash", 1),)),
        (5, b"a:*", 0, (("hash", 1),)),
    }


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"1", b"22", b"x" * 9, b""]), max_size=4).map(b":".join)))
def test_nothing_is_lost_or_counted_twice(names: list[bytes]) -> None:
    found = rows(filled(names), limit=10_000)
    assert sum(row.keys for row in found if row.level == 1) == len(names)
    assert sum(row.size for row in found if row.level == 1) == 100 * len(names)
    children: dict[bytes | None, int] = {}
    for row in found:
        children[row.parent] = children.get(row.parent, 0) + row.keys
    assert all(children.get(row.pattern, 0) <= row.keys for row in found)


def test_memory_stays_bounded_and_the_large_patterns_right() -> None:
    chance = random.Random(7)
    names, sizes = [], []
    truth: dict[bytes, int] = {}
    for number in range(60_000):
        kind = min(int(chance.paretovariate(0.6)), 10_000)
        pattern = b"family-%s" % _word(kind)
        size = chance.randrange(50, 500)
        names.append(pattern + b":%d" % number)
        sizes.append(size)
        truth[pattern + b":*"] = truth.get(pattern + b":*", 0) + size
    tree = filled(names, sizes=sizes, max_nodes=1000)
    assert tree.nodes <= 1000
    found = by_name(rows(tree, limit=2000))
    whole = sum(sizes)
    for pattern, size in sorted(truth.items(), key=lambda item: -item[1])[:50]:
        assert abs(found[pattern].size - size) <= found[pattern].error * whole
    assert sum(row.size for row in found.values() if row.level == 1) == whole


def test_names_that_only_people_tell_apart_become_one_pattern() -> None:
    names = [b"user:%s:%s" % (_word(number), part) for number in range(20_000) for part in (b"cart", b"seen")]
    names += [b"flag:%s" % _word(number) for number in range(20)]
    tree = filled(names, max_nodes=2000)
    assert tree.nodes <= 2000
    found = by_name(rows(tree))
    assert found[b"user:*"].keys == 40_000
    assert found[b"user:<other>:cart"].keys > 18_000
    assert found[b"flag:*"].keys == 20


def _word(number: int) -> bytes:
    letters = []
    for _ in range(5):
        number, letter = divmod(number, 20)
        letters.append(b"bcdfghjklmnpqrstvwxz"[letter])
    return bytes(letters)


def test_random_names_of_every_kind_stay_few_patterns() -> None:
    kinds = [
        lambda: b"session:" + os.urandom(16).hex().encode(),
        lambda: b"cart:" + str(uuid.uuid4()).encode(),
        lambda: b"count:%d" % random.randrange(10**9),
    ]
    found = by_name(rows(filled([kind() for kind in kinds for _ in range(2000)])))
    assert {name: row.keys for name, row in found.items()} == {b"session:*": 2000, b"cart:*": 2000, b"count:*": 2000}


def test_a_corrected_size_reaches_its_pattern() -> None:
    tree = filled([b"a:1", b"b:1"])
    tree.correct(0, b"a:1", 900, 0, expires=False)
    assert by_name(rows(tree))[b"a:*"].size == 1000
    assert by_name(rows(tree))[b"a:*"].no_ttl_bytes == 1000


def test_what_never_expires_is_summed_apart() -> None:
    tree = PatternTree()
    tree.add(0, [b"a:1", b"a:2", b"b:x"], [10, 400, 7], [9000, -1, -1], [b"string"] * 3, 0)
    tree.correct(0, b"a:1", 5, 0, expires=True)
    found = by_name(rows(tree))
    assert [(found[name].size, found[name].lasting_bytes) for name in (b"a:*", b"b:x")] == [(415, 400), (7, 7)]
    before = [row[:10] for row in tree_rows(tree)]
    old = PatternTree()
    tree_from(before, old)
    assert by_name(rows(old))[b"a:*"].lasting_bytes == 207, "by their number, from a file of before"


@given(st.lists(st.integers(0, 2**24), min_size=1))
def test_idle_quantiles_are_right_within_a_quarter(idles: list[int]) -> None:
    histogram = [0] * 136
    for idle in idles:
        histogram[step_of(idle)] += 1
    found = quantiles(histogram)
    assert found is not None
    ordered = sorted(idles)
    for share, value in zip((0.1, 0.5, 0.9), found, strict=True):
        exact = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
        assert value <= exact <= value * 1.25 + 1


def test_no_quantiles_without_idle_times() -> None:
    assert quantiles([]) is None


def test_the_interval_of_a_pattern_holds_its_truth_nineteen_times_in_twenty() -> None:
    chance = random.Random(11)
    held = {b"user:*": 0, b"cart:*": 0, b"rare:*": 0}
    rounds = 60
    for _ in range(rounds):
        keys = [(b"user:%d" % n, chance.randrange(50, 500)) for n in range(3000)]
        keys += [(b"cart:%d" % n, int(chance.lognormvariate(5, 1))) for n in range(1000)]
        keys += [(b"rare:%d" % n, 100) for n in range(40)]
        truth: dict[bytes, int] = {}
        for name, size in keys:
            pattern = name.split(b":")[0] + b":*"
            truth[pattern] = truth.get(pattern, 0) + size
        chance.shuffle(keys)
        tree = PatternTree()
        seen = [0] * GROUPS
        for page in range(30):
            part = keys[page * 40 : page * 40 + 40]
            group = page % GROUPS
            tree.add(0, [name for name, _ in part], [size for _, size in part], [-1] * 40, [b"string"] * 40, group)
            seen[group] += 40
        found = by_name(rows(tree, samples={0: SampledShare(tuple(seen), len(keys))}))
        for pattern in held:
            interval = found[pattern].estimated_bytes if pattern in found else None
            held[pattern] += interval is not None and interval.low <= truth[pattern] <= interval.high
    assert all(count / rounds >= 0.88 for count in held.values()), held


@given(st.text("abcfxyzABCF0127-_./+=", max_size=45).map(str.encode))
def test_a_part_is_judged_as_the_whole_name_would_be(part: bytes) -> None:
    # Two delimiters, neither of them in the part, are the way without short cuts.
    assert patterns.Normaliser(b":").name(part) == patterns.Normaliser(b":|").name(part)


def test_a_tree_that_was_kept_goes_on_as_if_nothing_had_been() -> None:
    chance = random.Random(7)
    one, other = PatternTree(max_nodes=100), PatternTree(max_nodes=100)
    for page in range(40):
        names = [b"app%d:%s:%d" % (chance.randrange(9), chance.randbytes(2).hex().encode(), n) for n in range(50)]
        figures = ([10] * 50, [-1, 5] * 25, [b"string"] * 50, page % GROUPS)
        for tree in (one, other):
            tree.add(page % 2, names, *figures)
        if page % 10 == 9:
            kept, other = tree_rows(other), PatternTree(max_nodes=100)
            tree_from(json.loads(json.dumps(kept)), other)
            assert tree_rows(other) == kept
    assert other.nodes == one.nodes
    assert rows(other, limit=200) == rows(one, limit=200)


@pytest.mark.parametrize("char", b"-_+/", ids=chr)
def test_a_name_of_100_kb_is_looked_at_no_further_than_its_pattern_is_shown(char: int) -> None:
    """The search for tokens takes the square of a name's length and more: unbounded, this would take minutes."""
    name = b"upload:%b" % (bytes([char]) * 100_000)
    normal = patterns.Normaliser().name(name)
    assert len(normal) <= patterns.LONGEST_NAME
    assert patterns.parts(normal) == [b"upload:", patterns.VARIABLE]
    tree = PatternTree()
    tree.add(0, [name, name[:-1]], [100_100, 100_099], [-1, -1], [b"string", b"string"], 0)
    row = rows(tree, limit=10)[0]
    assert (row.pattern, row.keys, row.size) == (b"upload:*", 2, 200_199)


def test_single_keys_beside_a_large_pattern_have_rows_of_their_own() -> None:
    names = [b"bull:mail:%d" % number for number in range(500)] + [b"bull:mail:completed", b"bull:mail:meta"]
    names += [b"%s:%d" % (_word(number), number) for number in range(300) for _ in range(9)]
    tree = filled(names)
    few = rows(tree, limit=50)
    assert b"bull:mail:completed" not in by_name(few)
    more = rows(tree, limit=50, exact=True)
    assert [row.pattern for row in more[: len(few)]] == [row.pattern for row in few]
    assert [row.pattern for row in more[len(few) :]] == [b"bull:mail:completed", b"bull:mail:meta"]
    assert {row.parent for row in more[len(few) :]} == {b"bull:mail:*"}
