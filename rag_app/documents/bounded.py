"""Files read in a process of their own, which is ended when one of them takes too much."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Timer
from typing import IO, Any

from rag_app.documents.content import Content
from rag_app.documents.left_out import LeftOut
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.known import KnownQuestion

# -P: a json.py in the folder that the user works in must not be imported in place of Python's.
WORKER = (sys.executable, "-P", "-m", "rag_app.documents.worker")
# The process must find this very package, and what the parent finds.
_PACKAGE_ROOT = str(Path(__file__).parents[2])
# The process's own bounds are of processor time; a file on a dead disk uses none.
LONGEST_SECONDS = 300.0
# A file that its reader cannot tell apart from an attack.
_MEND = "split it into smaller files, or remove it"


class ReadingProcess:
    """One process that reads file after file; started when it is needed, and again when it ended.

    Arguments:
        command: what is started; it speaks as rag_app/documents/worker.py does.
        longest_seconds: for one file, by the clock; for each page that another program reads.
    """

    def __init__(
        self, command: Sequence[str] = WORKER, *, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        self._command = command
        self._longest_seconds = longest_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> "ReadingProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, source: Source) -> list[Content]:
        """Read one file.

        Raises:
            DocumentError: it cannot be read, or takes too much time or memory.
        """
        if not self.starts():
            raise OSError("the reading process cannot be started")
        child = self._child
        assert child is not None  # noqa: S101 - it was started
        with _Clock(self._longest_seconds, child.kill) as clock:
            return [_content(raw) for raw in self._answers(child, source, clock)]

    def _answers(
        self, child: "subprocess.Popen[bytes]", source: Source, clock: "_Clock"
    ) -> Iterator[Any]:
        assert child.stdin is not None  # noqa: S101 - both are pipes
        assert child.stdout is not None  # noqa: S101
        try:
            child.stdin.write(_request(source))
            child.stdin.flush()
        except OSError:
            raise DocumentError(self._why_ended()) from None
        while line := child.stdout.readline():
            answer = json.loads(line)
            if "goes_on" in answer:
                clock.start_again()
                continue
            if "content" in answer:
                yield answer["content"]
                continue
            if answer.get("ends"):
                self._end()
            if "failed" in answer:
                raise DocumentError(answer["failed"])
            return
        raise DocumentError(self._why_ended())

    def starts(self) -> bool:
        """Start the process, if it does not run; False where the system refuses that."""
        if self._child is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            try:
                self._child = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=os.environ
                    | {"PYTHONPATH": os.pathsep.join([_PACKAGE_ROOT, *filter(None, sys.path)])},
                    # Ctrl-C is for the parent to handle.
                    start_new_session=True,
                )
            except OSError:
                self._errors.close()
                return False
        return True

    def _why_ended(self) -> str:
        """Why the process ended in the middle of a file."""
        code, said = self._end()
        if code == -signal.SIGKILL or code == -getattr(signal, "SIGXCPU", 0):
            return f"takes too long to read; {_MEND}"
        if "MemoryError" in said or code == -signal.SIGABRT:
            return f"needs too much memory to read; {_MEND}"
        if code < 0:
            return f"crashes its reader (signal {-code}); save it again, or remove it"
        return f"cannot be read ({said or f'the reader ended with {code}'}); {_MEND}"

    def _end(self) -> tuple[int, str]:
        """End the process, if there is one; its exit status, and the last line that it said."""
        child, errors = self._child, self._errors
        self._child = self._errors = None
        if child is None or errors is None:
            return 0, ""
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                _close(pipe)
        try:
            code = child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        errors.seek(0)
        lines = errors.read().decode("utf-8", "replace").strip().splitlines()
        errors.close()
        return code, lines[-1] if lines else ""


class _Clock:
    """Calls something when so many seconds went by since it was started, or started again."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds, self._call = seconds, call

    def __enter__(self) -> "_Clock":
        self._timer = self._started()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def start_again(self) -> None:
        """Give it as many seconds once more, from now on."""
        self._timer.cancel()
        self._timer = self._started()

    def _started(self) -> Timer:
        timer = Timer(self._seconds, self._call)
        timer.start()
        return timer


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        # What was not written yet is for a process that has ended.
        return


def _request(source: Source) -> bytes:
    request = {
        "path": str(source.path),
        "id": source.id,
        "question_column": source.question_column,
        "answer_column": source.answer_column,
        "ocr": source.ocr,
    }
    return json.dumps(request).encode() + b"\n"


def _content(raw: dict[str, Any]) -> Content:
    raw["questions"] = [KnownQuestion(**question) for question in raw["questions"]]
    raw["left_out"] = [LeftOut(**left) for left in raw["left_out"]]
    return Content(**raw)
