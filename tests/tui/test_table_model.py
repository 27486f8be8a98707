"""Rows move, the cursor and the marks stay on their row: for a tool that deletes, anything else is a defect."""

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.tui.widgets.table_model import HOLD_SECONDS, Column, TableModel, column_at, fitting, ordered

COLUMNS = (
    Column("size", "BYTES", 8, lambda row, w: str(row[1]), lambda row: row[1], align="right"),
    Column("idle", "IDLE", 8, lambda row, w: "?", lambda row: None, yields=2),
    Column("name", "KEY", 0, lambda row, w: row[0], lambda row: row[0], falling=False),
)


def a_model(rows=(), height=5):
    model = TableModel(COLUMNS, lambda row: row[0], "size")
    model.height = height
    model.update(rows, now=100.0)
    return model


def some(n):
    return [(f"k{i}", i) for i in range(n)]


def test_the_cursor_stays_on_its_row_and_line_when_the_order_turns_over():
    model = a_model(some(50))
    model.move_to(20, now=100.0)
    row, line = model.current, model.place - model.top
    model.update([(name, -size) for name, size in some(50)], now=100.0 + HOLD_SECONDS)
    assert model.current[0] == row[0]
    assert model.place - model.top == line


def test_until_the_cursor_is_moved_the_top_of_the_order_stays_in_view():
    model = a_model(some(3))
    assert model.current == ("k2", 2)
    model.update([*some(3), ("big", 90), ("bigger", 91)], now=200.0)
    assert (model.top, model.place, model.current) == (0, 2, ("k2", 2)), "in view, it stays on its row"
    model.update([*some(3), *((f"big{n}", 90 + n) for n in range(9))], now=201.0)
    assert (model.top, model.current) == (0, ("big8", 98))
    model.update([*some(3), ("later", 99)], now=202.0)
    model.update([*some(3), ("later", 99)], now=203.0, moving=False)
    assert model.current == ("later", 99), "once they stand still, it goes to the first"
    model.update([*some(3), *((f"big{n}", 90 + n) for n in range(9))], now=204.0, moving=False)
    model.move_to(0, now=300.0)
    model.update([*some(3), *((f"big{n}", 99 - n) for n in range(9))], now=400.0)
    assert model.current == ("big8", 91)


def test_the_order_holds_for_two_seconds_after_a_cursor_key_and_figures_still_move():
    model = a_model(some(10))
    model.move_to(3, now=100.0)
    names = [row[0] for row in model.rows]
    changed = [(name, -size) for name, size in some(10)]
    model.update([*changed, ("new", 99)], now=100.0 + HOLD_SECONDS - 0.01)
    assert [row[0] for row in model.rows] == [*names, "new"], "new rows come at the end meanwhile"
    assert model.rows[0][1] == -9
    model.update([*changed, ("new", 99)], now=100.0 + HOLD_SECONDS)
    assert model.rows[0] == ("new", 99)


def test_sorting_by_hand_does_not_wait():
    model = a_model(some(10))
    model.move_to(3, now=100.0)
    model.sort_by("size", falling=False)
    assert [row[1] for row in model.rows] == sorted(row[1] for row in model.rows)


def test_a_row_that_goes_leaves_the_cursor_in_its_place():
    model = a_model(some(10))
    model.move_to(4, now=100.0)
    gone = model.current
    model.update([row for row in some(10) if row != gone], now=200.0)
    assert model.place == 4
    model.update([], now=300.0)
    assert model.current is None
    model.update(some(3), now=400.0)
    assert model.current is not None


def test_in_a_list_that_begins_anew_the_cursor_leads_until_it_is_moved_again():
    model = a_model(some(10))
    model.move_to(1, now=100.0)
    model.update([], now=200.0)
    model.update(some(8), now=201.0)
    model.update([*some(8), *((f"big{n}", 90 + n) for n in range(9))], now=202.0)
    model.update([*some(8), *((f"big{n}", 90 + n) for n in range(9))], now=203.0, moving=False)
    assert (model.top, model.current) == (0, ("big8", 98))
    model.move_to(1, now=300.0)
    here = model.current
    model.update([], now=400.0)
    model.update([("bigger", 99), here, *some(8)], now=401.0)
    assert model.current == here, "a filter that let nothing through took nothing away"


def test_rows_that_a_column_leaves_equal_keep_the_order_they_had():
    model = TableModel(COLUMNS, lambda row: row[0], "name")
    given = [("b", 1), ("a", 1), ("c", 2)]
    model.update(given, now=100.0)
    model.sort_by("idle")
    model.update(given, now=200.0)
    assert [name for name, _ in model.rows] == ["a", "b", "c"], "no row has a value there: the order stays"
    model.sort_by("size")
    model.update(given, now=300.0)
    assert [name for name, _ in model.rows] == ["c", "a", "b"]


def test_marks_outlive_leaving_the_top_and_keep_the_last_figures():
    model = a_model(some(10))
    model.toggle(("k3", 3))
    model.update([("k3", 33)], now=200.0)
    model.update([("k9", 9)], now=300.0)
    assert dict(model.marked) == {"k3": ("k3", 33)}
    model.toggle(("k3", 1))
    assert not model.marked


def test_unknown_goes_last_either_way():
    column = Column("x", "X", 4, lambda r, w: "", lambda row: row)
    assert ordered([None, 1, 2], column, falling=True) == [2, 1, None]
    assert ordered([None, 1, 2], column, falling=False) == [1, 2, None]


def test_columns_give_way_by_their_word_and_the_name_takes_the_rest():
    assert [(c.id, w) for c, w in fitting(COLUMNS, 40)] == [("size", 8), ("idle", 8), ("name", 22)]
    assert [(c.id, w) for c, w in fitting(COLUMNS, 28)] == [("size", 8), ("name", 19)]
    assert [c.id for c, _ in fitting(COLUMNS, 3)] == ["size", "name"]
    shown = fitting(COLUMNS, 40)
    assert [column_at(shown, x).id for x in (0, 8, 9, 17, 18, 39)] == ["size", "size", "idle", "idle", "name", "name"]
    assert column_at(shown, 41) is None


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 9)), unique_by=lambda r: r[0])), st.data()
)
def test_whatever_comes_the_cursor_is_on_its_row_while_that_is_there(updates, data):
    model = a_model(height=data.draw(st.integers(1, 6)))
    for step, rows in enumerate(updates):
        before = model.current
        model.update(rows, now=200.0 + step * data.draw(st.sampled_from([0.1, 5.0])))
        if before is not None and any(row[0] == before[0] for row in rows):
            assert model.current[0] == before[0]
        assert (model.current is None) == (not rows)
        assert 0 <= model.top <= max(0, len(rows) - 1)
        if rows:
            assert model.top <= model.place < model.top + model.height
            model.move_to(data.draw(st.integers(-2, 12)), now=200.0 + step)


def test_where_the_column_that_it_was_sorted_by_goes_the_usual_order_comes_back():
    model = a_model(some(5))
    model.sort_by("name")
    assert model.falling is False
    model.columns = COLUMNS[:2]
    assert (model.sort, model.falling) == ("size", True)
    model.update(some(7), now=500.0)
    assert model.rows[0] == ("k6", 6)
    assert model.column("no such").id == "size"
