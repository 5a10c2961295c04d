"""Whether an index is whole, found out by a process of its own.

Where the files of its vectors are damaged, Chroma (1.5) may follow what they say into memory that
is not there. That ends the process, and nothing in it can prevent that.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from rag_app.errors import IndexBroken, RagAppError
from rag_app.index.catalog import Catalog
from rag_app.index.health import problems
from rag_app.index.store import VectorIndex

# -P: a json.py in the folder that the user works in must not be imported in place of Python's.
COMMAND = (sys.executable, "-P", "-m", "rag_app.index.probe")
_PACKAGE_ROOT = str(Path(__file__).parents[2])
# Of a process that ends with a traceback.
_BUG = 1


def probe(catalog: Catalog, index: VectorIndex, *, sample: bool = False) -> list[str]:
    """What is wrong with an index, as `problems` finds it, whatever state its files are in.

    Raises:
        IndexBroken: it can no longer be opened.
    """
    if catalog.server:
        return problems(index, sample=sample)
    path = os.pathsep.join([_PACKAGE_ROOT, *filter(None, sys.path)])
    done = subprocess.run(
        [*COMMAND, str(catalog.storage.resolve()), index.name, *(["sample"] if sample else [])],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == _BUG:
        raise RuntimeError(done.stderr)
    if done.returncode:
        return [f"its vectors cannot be read: the process that tried {_ended(done.returncode)}"]
    found = json.loads(done.stdout)
    if "failed" in found:
        raise IndexBroken(found["failed"])
    return list(found["problems"])


def _ended(code: int) -> str:
    if -code in set(signal.Signals):
        return f"ended with {signal.Signals(-code).name}"
    return f"ended with {code}"


def main() -> None:
    """Print the problems of an index as JSON: {"problems": [...]} or {"failed": reason}."""
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    storage, name, *rest = sys.argv[1:]
    try:
        answer = {"problems": problems(Catalog(Path(storage)).open(name), sample=bool(rest))}
    except RagAppError as error:
        json.dump({"failed": str(error)}, answers)
    else:
        json.dump(answer, answers)
    answers.close()


if __name__ == "__main__":
    main()
