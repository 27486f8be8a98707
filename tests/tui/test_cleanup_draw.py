"""What the panes draw, for any name, text and size: harmless letters only, and never wider than there is room."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models.action import AuditEntry, PlanningView, RestoreOutcome, RestoreReport
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, KeyOutcome, Operation, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import budget as budgets
from redis_oom_tui.tui.dialogs.questions import kill_question
from redis_oom_tui.tui.drawing import DrawStyle, paragraph, quoted, width
from redis_oom_tui.tui.flows.state import CleanupState, LimitsState, LogState, Stage
from redis_oom_tui.tui.glyphs import ASCII, FULL
from redis_oom_tui.tui.panes import cleanup_draw, cleanup_form, limits_draw, log_draw
from redis_oom_tui.tui.panes.cleanup_form import Form
from tests.support.scripted import a_snapshot
from tests.support.scripted_operator import ScriptedOperator
from tests.support.scripted_runs import HOSTILE, a_plan

ODD = "\x1b]0;x\x07[red]\x9b2J\u202e\u0301\ufe0f\udcff😀漢[@click=app.quit]"
names = st.one_of(st.binary(max_size=60), st.sampled_from([*HOSTILE[:-1], ODD.encode("utf-8", "surrogateescape")]))
texts = st.one_of(st.text(max_size=80), st.just(ODD))
rooms = st.integers(24, 130)
heights = st.integers(3, 40)
pens = st.sampled_from([DrawStyle(FULL), DrawStyle(ASCII, tracks=False)])


def harmless(lines, room):
    """Assert that nothing in the lines can do anything, or reaches over the edge."""
    for line in lines:
        assert width(line) <= room, line
        for text, _ in line:
            for char in text:
                assert char.isprintable(), repr(text)
                assert not unicodedata.category(char).startswith("M"), repr(text)
                assert char != "\u202e"


def keys_of(some):
    return tuple(
        PlannedKey(KeyId(0, name), kind, size, ttl_ms=None if n % 2 else 5000, idle_seconds=n)
        for n, (name, kind, size) in enumerate(some)
    )


some_keys = st.lists(st.tuples(names, texts, st.integers(0, 2**40)), min_size=1, max_size=6).map(keys_of)


@settings(max_examples=80, deadline=None)
@given(keys=some_keys, flag=texts, room=rooms, height=heights, style=pens, at=st.integers(0, 5))
def test_a_plan(keys, flag, room, height, style, at):
    criteria = Criteria(patterns=tuple(key.id.key for key in keys if key.id.key))
    plan = Plan(keys, criteria, 0.0, flag, flags=(flag,), complete=False, matched_keys=99, keyspace_keys=99)
    sums = cleanup_draw.PlanSums(plan.size, budgets.budget(plan, a_snapshot()))
    lines = cleanup_draw.plan_head(plan, sums, room, height, style, hidden=2)
    harmless(lines, room)
    assert len(lines) <= max(height, 4)
    harmless([cleanup_draw.key_line(key, room, style, here=n == at) for n, key in enumerate(keys)], room)
    expiring = replace(plan, operation=Operation.EXPIRE, expire_seconds=60)
    harmless(cleanup_draw.plan_head(expiring, sums, room, height, style), room)


@settings(max_examples=80, deadline=None)
@given(keys=some_keys, words=texts, room=rooms, height=heights, style=pens, ended=st.booleans())
def test_a_run_and_a_putting_back(keys, words, room, height, style, ended):
    run = RunView(
        total_keys=len(keys),
        counts=dict.fromkeys(Outcome, 3),
        used_before_bytes=5,
        used_now_bytes=4,
        lazyfree_pending_objects=2,
        backup_path=words or None,
        phase=words,
        ended=words if ended else None,
    )
    outcomes = tuple(KeyOutcome(key.id, Outcome.CHANGED, words) for key in keys)
    state = CleanupState(Stage.REPORT if ended else Stage.RUNNING, run=run, outcomes=outcomes, more=4)
    harmless(cleanup_draw.run_lines(state, a_snapshot().memory, room, height, style), room)
    for one in outcomes:
        harmless([cleanup_draw.outcome_line(one, room, style, here=True)], room)
        harmless(cleanup_draw.whole_reason(one, room, height), room)
    report = RestoreReport(
        words, 9, dict.fromkeys(RestoreOutcome, 1), left_out_keys=1, left_out=(words,), ended=words if ended else None
    )
    harmless(cleanup_draw.restore_lines(report, room, style), room)
    harmless(cleanup_draw.planning_lines(PlanningView(scanned_keys=3, total_keys=9), room, style), room)


@settings(max_examples=80, deadline=None)
@given(match=texts, error=texts, room=rooms, height=heights, style=pens, at=st.integers(0, 9), blind=st.booleans())
def test_the_form(match, error, room, height, style, at, blind):
    form = Form(match=match, origin=error, database=error, max_keys=error)
    unseen = error if blind else None
    harmless(cleanup_draw.form_head(form, room, height, error=error, refused=error, unseen=unseen), room)
    for n, entry in enumerate((*cleanup_form.entries(form), None)):
        harmless([cleanup_draw.form_line(form, entry, room, style, here=n == at)], room)
        harmless(cleanup_draw.form_hint(entry, room), room)


@settings(max_examples=80, deadline=None)
@given(what=texts, room=rooms, height=heights, style=pens)
def test_the_log(what, room, height, style):
    change = Change(what, what, what)
    entry = AuditEntry(
        1.0, what, what, what, what, what, 2.0, what, False, {what: 1}, what, ChangeResult(change, True, what)
    )
    every = log_draw.log_entries([], [entry], 0.0)
    harmless(log_draw.log_head(None, LogState(skipped=height, unread_before=height), room, now=9e9, level=None), room)
    for here in (True, False):
        harmless([log_draw.log_row(every[0], room, style, 9e9, here=here, several=not here)], room)
    for text, role in log_draw.in_full(every[0]):
        assert isinstance(text, str)
        assert role


@settings(max_examples=40, deadline=None)
@given(words=texts, room=rooms, height=heights, style=pens, at=st.integers(0, 16))
async def test_the_limits(words, room, height, style, at):
    operator = ScriptedOperator()
    found = await operator.limits()
    result = ChangeResult(Change("maxmemory", "1", "2"), True, "2")
    state = LimitsState(limits=replace(found, refused=words), error=words, notice=words, reverting=result, reverts_at=5)
    harmless(limits_draw.head(state, room, 1.0), room)
    harmless(limits_draw.head(LimitsState(limits=found, notice=words), room, 1.0), room)
    for n, row in enumerate(limits_draw.rows(found)):
        lines = limits_draw.row_lines(found, row, room, style, here=n == at, first=n == 0, estimated=True)
        harmless(lines, room)
        harmless(limits_draw.below(row, room, height), room)
        harmless(limits_draw.beside(found, row, room, height, style, estimated=True, live=n % 2 == 0), room)


@settings(max_examples=80, deadline=None)
@given(name=names, room=st.integers(10, 100))
def test_a_name_in_full_is_its_exact_bytes_again(name, room):
    lines = quoted(name, room)
    harmless(lines, room)
    joined = "".join(text for line in lines for text, role in line if role == "text")
    assert unescape_exact(joined[1:-1]) == name


@settings(max_examples=80, deadline=None)
@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300), room=st.integers(5, 60))
def test_a_paragraph_loses_nothing_of_a_long_word(text, room):
    lines = paragraph(text, room)
    assert all(width(line) <= room for line in lines)
    assert "".join(piece for line in lines for piece, _ in line) == text


@given(name=names)
def test_a_clients_own_words_are_asked_about_exactly(name):
    question = kill_question(ClientBuffer(1, "10.0.0.1:5", name=name, library=name, user=name, command=name), "here")
    harmless([[(line, "text")] for line in question.lines], 10**6)


@settings(max_examples=80, deadline=None)
@given(patterns=st.lists(names.filter(bool), max_size=3))
def test_a_pattern_goes_through_the_form_unharmed(patterns):
    found = Criteria(patterns=tuple(pattern for pattern in patterns if pattern.strip() == pattern))
    assert cleanup_form.criteria(cleanup_form.from_criteria(found)) == found


def _left_alone(outcomes, at=0, room=80, height=8):
    rows = [cleanup_draw.outcome_line(one, room, DrawStyle(), here=n == at) for n, one in enumerate(outcomes)]
    lines = [*rows, *cleanup_draw.whole_reason(outcomes[at], room, height)]
    return ["".join(text for text, _ in line) for line in lines]


def test_a_key_left_alone_is_told_with_its_node_and_its_whole_reason():
    reason = "NOPERM User sre has no permissions to run the 'unlink' command on this key of the family at all"
    outcomes = [KeyOutcome(KeyId(0, b"a:%d" % n, f"127.0.0.1:700{n}"), Outcome.FAILED, reason) for n in range(3)]
    lines = _left_alone(outcomes, at=1)
    assert "127.0.0.1:7002" in lines[2]
    assert '"a:2"' in lines[2]
    assert "On 127.0.0.1:7001: " + reason in " ".join(" ".join(lines[3:]).split())
    assert len(_left_alone(outcomes, height=3)) == 3, "the list comes first where there is no room for both"


def test_a_short_reason_stands_in_its_line_alone():
    outcomes = [KeyOutcome(KeyId(0, b"a"), Outcome.CHANGED, "its type changed")]
    assert len(_left_alone(outcomes)) == 1


@pytest.mark.parametrize("plan", [a_plan(), replace(a_plan(), operation=Operation.EXPIRE, expire_seconds=900)])
def test_what_will_expire_is_not_said_to_have_freed_nothing(plan):
    run = RunView(total_keys=40, counts={Outcome.EXPIRING: 40}, ended="Set a TTL on 40 of 40 keys.")
    lines = cleanup_draw.run_lines(CleanupState(Stage.REPORT, plan=plan, run=run), None, 80, 24, DrawStyle())
    shown = "\n".join("".join(text for text, _ in line) for line in lines)
    expires = plan.operation is Operation.EXPIRE
    assert ("nothing is freed at once: the keys go within 15m00s" in shown) is expires
    assert ("freed (sum of key sizes)" in shown) is not expires


@pytest.mark.parametrize("outcome", [Outcome.DELETED, Outcome.NOT_ATTEMPTED])
def test_a_run_that_did_nothing_has_reached_no_goal(outcome):
    run = RunView(total_keys=40, counts={outcome: 40}, ended="It ended.")
    memory = a_snapshot(used=100 * 2**20).memory
    lines = cleanup_draw.run_lines(CleanupState(Stage.REPORT, plan=a_plan(), run=run), memory, 80, 24, DrawStyle())
    shown = "\n".join("".join(text for text, _ in line) for line in lines)
    assert "below 80%" in shown
    assert ("reached" in shown) is (outcome is Outcome.DELETED)


def test_names_in_another_script_can_be_told_apart_where_their_bytes_do_not_fit():
    names = [f"缓存:商品:{n}:詳細情報データ".encode() for n in range(3)]
    shown = [cleanup_draw.shown_name(name, 40) for name in names]
    assert shown == [name.decode() for name in names]
    assert cleanup_draw.shown_name("é:1".encode(), 40) == r'"\xc3\xa9:1"', "what fits is exact"
    assert cleanup_draw.shown_name(b"\xff" * 30, 20).startswith('"'), "what cannot be read is not told as if it could"
    *exact, last = ["".join(text for text, _ in line) for line in quoted(names[2], 60, most=2)]
    assert exact[0].startswith('  "\\xe7')
    assert last == "  缓存:商品:2:詳細情報データ (37 bytes)"


@settings(max_examples=80, deadline=None)
@given(name=names, room=st.integers(10, 100))
def test_a_sample_of_a_name_is_harmless_and_fits(name, room):
    harmless(quoted(name, room, most=2), room)
