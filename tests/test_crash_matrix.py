"""A short form of eval/benchmarks/crash_matrix.py, which has all rows and many rounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "eval" / "benchmarks"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_is_killed_or_damaged_comes_back() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from crash_matrix import run_matrix\n"
        "run_matrix(1, seconds=120, seed=1, tuned=False)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) > 6
    assert [row for row in rows if row["failures"]] == []
    kills = [row for row in rows if row["what"].startswith(("ingest", "index", "questions"))]
    assert len(kills) == 6
    assert all((row["answers"] or 0) == row["rounds"] for row in kills)
