"""The ids of verdicts, causes and findings are a promise: none may go, and new ones go into the list (`make docs`)."""

import json
from pathlib import Path

from redis_oom_tui.rules import findings, verdict
from redis_oom_tui.rules.verdict import limit_rules
from redis_oom_tui.rules.verdict.causes import CAUSES
from tests.support.documents import page

PROMISED: dict[str, list[str]] = json.loads(Path(__file__).with_name("public_ids.json").read_text(encoding="utf-8"))


def test_no_id_goes_and_each_is_promised() -> None:
    declared = {
        "verdicts": {id_ for rule in (*verdict.RULES, limit_rules.healthy) for id_ in rule.ids},
        "findings": {id_ for rule in (*findings.RULES, *findings.ON_DEMAND) for id_ in rule.ids},
        "causes": {cause.name for cause in CAUSES},
    }
    for kind, ids in PROMISED.items():
        assert sorted(declared[kind]) == ids, kind
        assert len(ids) > 15


def test_each_id_is_in_the_documents_with_words_of_its_own() -> None:
    rows = [row for row in page("findings").splitlines() if row.startswith("| `")]
    listed = {cell.strip("`") for row in rows for cell in row.split("|")[1].split()}
    every = {id_.removesuffix("-") for ids in PROMISED.values() for id_ in ids}
    assert every <= {cell.removesuffix("-CAUSE").removesuffix("-SETTING") for cell in listed}
    assert all(len(row.split("|")[2].strip()) > 10 for row in rows)
