"""A column is defined once: what it says stands in the screen's table, in text, in JSON and in CSV."""

from redis_oom_tui.formatting.check import NODE_COLUMNS
from redis_oom_tui.formatting.columns import (
    KEY_CSV,
    Column,
    ShareBase,
    Sized,
    field_names,
    key_columns,
    row_document,
    text_table,
)
from redis_oom_tui.formatting.hogs import keys, keys_csv, patterns
from redis_oom_tui.formatting.pattern_columns import PATTERN_CSV, pattern_columns
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.scan import Interval, PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.widgets.table_model import cells_of, fitting, header

ROW = KeyRow(KeyId(0, b"user:1"), "hash", 2048, ttl_ms=60_000, idle_seconds=5, size_low=1024, size_high=4096)
LENGTH: Column[Sized] = Column(
    "length",
    "LEN",
    4,
    lambda row, _: str(len(row.id.key)),
    lambda row: len(row.id.key),
    heading="length",
    unit=" B",
    fields={"key_length_bytes": lambda row: len(row.id.key)},
)


def test_a_new_column_is_everywhere_by_its_definition_alone() -> None:
    columns = (LENGTH, *key_columns())
    assert text_table([ROW], columns)[0].startswith("length  ")
    assert text_table([ROW], columns)[1].startswith("6 B  ")
    assert row_document(ROW, columns)["key_length_bytes"] == 6
    assert field_names(columns, KEY_CSV) == [*KEY_CSV, "key_length_bytes"]
    shown = fitting(columns, 100)
    assert next(text.strip() for text, _ in cells_of(ROW, shown, None)) == "6"
    assert header(shown, "size", True, DrawStyle().glyphs)[0][0].strip() == "LEN"


def test_the_order_of_csv_stays_and_holds_every_field() -> None:
    assert set(KEY_CSV) == set(field_names(key_columns()))
    assert keys_csv([ROW]).splitlines()[0] == ",".join(KEY_CSV)
    assert set(PATTERN_CSV) <= set(field_names(pattern_columns()))


def test_a_planned_key_has_the_cells_of_a_scanned_one() -> None:
    planned = PlannedKey(ROW.id, "hash", 2048, ttl_ms=60_000, idle_seconds=5, size_low=1024, size_high=4096)
    columns = key_columns(ShareBase(lambda: 4096), exact_names=True)
    assert text_table([planned], columns) == text_table([ROW], columns)
    assert "~2.0K" in text_table([planned], columns)[1]


def test_names_are_cut_in_the_middle_and_never_by_their_escape_codes() -> None:
    hostile = KeyRow(KeyId(0, b"\x1b[31m" + b"k" * 900), "string", 1, size_low=1, size_high=1)
    for columns in (key_columns(), key_columns(exact_names=True)):
        assert all(line.isprintable() for line in text_table([hostile], columns))


def test_every_column_with_a_title_says_something_of_every_row() -> None:
    pattern = PatternRow(b"", b"*", 3, 0, 0.0, 1)
    for column in pattern_columns(partial=True):
        assert not column.title or column.id == "type" or column.cell(pattern)
    assert len({column.id for column in NODE_COLUMNS}) == len(NODE_COLUMNS)


def test_the_shares_of_a_key_and_of_its_pattern_are_of_the_same() -> None:
    giant = KeyRow(KeyId(0, b"board:1"), "zset", 800, size_low=800, size_high=800)
    pattern = PatternRow(b"board:*", b"board:*", 1, 800, 0.88, 0, sizes_exact=True)
    view = ScanView(
        ScanState.COMPLETE,
        scanned_keys=2,
        bytes_seen=909,
        top=(giant,),
        patterns=(pattern,),
        explained_share=0.909,
    )
    for scan, base, share in (
        (view, "of used", "80.0%"),
        (replace(view, explained_share=None), "of scan", "88.0%"),
        (replace(view, explained_share=1.2, contradiction="It cannot be."), "of scan", "88.0%"),
    ):
        for head, line in (keys([giant], scan), patterns([pattern], scan, Recognition())):
            assert base in head
            assert share in line


def test_on_screen_the_share_of_a_pattern_says_whether_it_is_known_whole() -> None:
    of = ShareBase(lambda: 1000)

    def shown(row: PatternRow, *, partial: bool, of: ShareBase = of) -> str:
        return next(column for column in pattern_columns(share_of=of, partial=partial) if column.id == "share").cell(
            row
        )

    row = PatternRow(b"a:*", b"a:*", 1, 100, 0.5, 0)
    estimated = replace(row, estimated_bytes=Interval(250.0, 200.0, 300.0))
    assert shown(row, partial=False) == "10.0%"
    assert shown(row, partial=True) == ">10.0%"
    assert shown(estimated, partial=True) == "~25.0%"
    assert shown(replace(row, size=1001), partial=False) == "?"
    assert shown(row, partial=False, of=ShareBase(lambda: None)) == "?"
