"""The process that reads files: ended where a file takes too much, the next one is read."""

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rag_app.documents import Source, read_documents
from rag_app.documents.bounded import ReadingProcess
from rag_app.errors import DocumentError


def answering(code: str) -> Sequence[str]:
    """A process that runs this code for its first request."""
    return (sys.executable, "-c", f"import sys; sys.stdin.readline()\n{code}")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import time; time.sleep(60)", "takes too long to read; split it"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 9))\nwhile True: pass",
            "takes too long to read; split it",
        ),
        ("import os; os.kill(os.getpid(), 11)", "crashes its reader (signal 11); save it again"),
        ("import os; os.abort()", "needs too much memory to read; split it"),
        ("raise MemoryError", "needs too much memory to read; split it"),
        ("raise SystemExit('no such luck')", "cannot be read (no such luck); split it"),
        ("sys.exit()", "cannot be read (the reader ended with 0); split it"),
    ],
)
def test_a_process_that_ends_is_the_failure_of_one_file(code: str, reason: str) -> None:
    process = ReadingProcess(answering(code), longest_seconds=5)
    with process, pytest.raises(DocumentError) as caught:
        process.read(Source(Path("a.md"), "a.md"))
    assert str(caught.value).startswith(reason)


def test_the_next_file_is_read_by_a_new_process(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A", "utf-8")
    source = Source(tmp_path / "a.txt", "a.txt")
    with ReadingProcess() as process:
        assert [content.text for content in process.read(source)] == ["A"]
        first = process._child
        assert first is not None
        first.kill()
        first.wait()
        with pytest.raises(DocumentError, match="takes too long"):
            process.read(source)
        assert [content.text for content in process.read(source)] == ["A"]
        assert process._child is not None
        assert process._child.pid != first.pid


HOSTILE = {
    "entities.html": "&#" * 1_000_000,
    "items.html": "<li>item of a list</li>" * 200_000,
    "open.html": "<div>x" * 1_999,
    "comments.html": "<!--" * 40_000,
    "ticks.md": "`" * 120_000,
    "nested.json": "[" * 500_000,
    "bold.html": "<p>item of a <b>list</b></p>" * 200_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_file_made_to_hang_a_reader_costs_seconds_and_itself_alone(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(HOSTILE[name], "utf-8")
    (tmp_path / "zebra.md").write_text("All is well.", "utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = read_documents([tmp_path])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 20
    assert result.documents[-1].text == "All is well."
    assert len(result.documents) + len(result.failures) == 2


def test_memory_is_bounded(tmp_path: Path) -> None:
    # A text of 160 MB is a table of values that would take 6 GB.
    (tmp_path / "a.json").write_text("[" + "[]," * 50_000_000 + "[]]", "utf-8")
    (tmp_path / "b.md").write_text("All is well.", "utf-8")
    result = read_documents([tmp_path])
    (failure,) = result.failures
    assert "too much memory" in failure.reason or "more memory than there is" in failure.reason
    assert len(result.documents) == 1
