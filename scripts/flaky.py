"""Runs the tests several times and lists those that did not end the same: `make flaky RUNS=10 TESTS=tests/tui`.

Ends with 1 where a test differed or failed. A failure is told by the first line of its error, once for each wording.
"""

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "8", "--dist", "worksteal"]


def run(number: int, folder: Path, arguments: list[str]) -> dict[str, str]:
    """How each test ended: `passed`, `skipped`, or the error's first line."""
    report = folder / f"{number}.xml"
    done = subprocess.run([*PYTEST, f"--junitxml={report}", *arguments], capture_output=True, text=True, check=False)
    if not report.exists():
        raise SystemExit(done.stdout + done.stderr)
    print(f"run {number}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    # The file is pytest's own, of a moment ago.
    cases = ET.parse(report).iter("testcase")  # noqa: S314
    return {f"{case.get('classname')}::{case.get('name')}": ending(case) for case in cases}


def ending(case: ET.Element) -> str:
    """How one test ended."""
    for child in case:
        if child.tag == "skipped":
            return "skipped"
        if child.tag in {"failure", "error"}:
            return (child.get("message") or child.tag).strip().splitlines()[0]
    return "passed"


def main() -> int:
    """Run, compare, and list."""
    parser = argparse.ArgumentParser(prog="make flaky", description=__doc__)
    parser.add_argument("runs", type=int)
    options, arguments = parser.parse_known_args()
    endings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory(prefix="rot-") as folder:
        for number in range(1, options.runs + 1):
            for name, how in run(number, Path(folder), arguments).items():
                endings[name][how] += 1
    good = ({"passed": options.runs}, {"skipped": options.runs})
    differed = {name: ended for name, ended in endings.items() if ended not in good}
    for name, ended in sorted(differed.items()):
        missing = options.runs - ended.total()
        times = [f"{count} x {text[:200]}" for text, count in ended.most_common()]
        print(name, *times, *([f"{missing} x not run"] if missing else []), sep="\n    ")
    print(f"{len(endings)} tests, {options.runs} runs: {len(differed)} differed or failed")
    return 1 if differed else 0


if __name__ == "__main__":
    sys.exit(main())
