"""How long the REPL takes on a terminal: until it can be typed into, and until it has answered.

    python eval/benchmarks/repl_start.py --corpus sample-en

`rag-app query` is started in a pseudo-terminal, each round as a process of its own. "prompt" is the
time until it reads a line; then a question is typed, and "answer" is the time until all of the
first answer is shown and the next line is read; "second" is that of another question. Without a
language model the answer is the passages, folded to the screen. Seconds are of the clock, so other
programs should rest; the median and the greatest of the rounds count. Written to
eval/results/repl_start.json.
"""

import argparse
import fcntl
import os
import platform
import pty
import shutil
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from corpora import CORPORA, MINILM, WORK, load, write_results

NAME = "repl_start"
QUESTIONS = ("how long does it take to send something back", "can i pay by card")
PARTS = ("prompt", "answer", "second")
COLUMNS, LINES = 100, 30
# What prompt_toolkit writes where it begins to read a line.
READS = b"\x1b[?2004h"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    found = {}
    for corpus in map(load, arguments.corpus or ["sample-en"]):
        storage = WORK / NAME / corpus.name
        shutil.rmtree(storage, ignore_errors=True)
        documents = ("ingest", str(corpus.documents), "--model", MINILM, "--quiet")
        subprocess.run(rag_app(storage, *documents), check=True, stdout=subprocess.DEVNULL)
        rounds = [measure(storage) for _ in range(arguments.rounds)]
        found[corpus.name] = {
            part: {
                "median": round(statistics.median(one[part] for one in rounds), 2),
                "most": round(max(one[part] for one in rounds), 2),
            }
            for part in PARTS
        }
        print(corpus.name, found[corpus.name], flush=True)
        result = {"machine": platform.processor(), "rounds": len(rounds), "corpora": found}
        write_results(NAME, result)


def rag_app(storage: Path, *arguments: str) -> list[str]:
    """A command of this environment."""
    return [sys.executable, "-m", "rag_app", *arguments, "--storage", str(storage)]


def measure(storage: Path) -> dict[str, float]:
    """One round: seconds of each part.

    Raises:
        CalledProcessError: the REPL ended before all was answered, or failed.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    # Nobody is here to say where the cursor is.
    environment = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    command = rag_app(storage, "query", "--llm", "none")
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    typed = iter([*(f"{question}\r" for question in QUESTIONS), "\x04"])
    seconds: list[float] = []
    written = b""
    while part := _read(ours):
        before, written = written.count(READS), written + part
        for _ in range(written.count(READS) - before):
            seconds.append(time.perf_counter() - started)
            os.write(ours, next(typed).encode())
            started = time.perf_counter()
    os.close(ours)
    if process.wait() or len(seconds) != len(PARTS):
        text = written.decode(errors="replace")
        raise subprocess.CalledProcessError(process.returncode, command, text)
    return dict(zip(PARTS, seconds, strict=True))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says where nobody writes any more
        return b""


if __name__ == "__main__":
    main()
