"""Another process that holds a lock."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held_elsewhere(
    imports: str, lock: str, *arguments: str | Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process hold a lock meanwhile, unless it is killed.

    Arguments:
        imports: the line that imports what the lock is made with.
        lock: what makes it, a context manager; `sys.argv[1]` is the first argument.
    """
    code = (
        f"import sys; from pathlib import Path; {imports}\n"
        f"with {lock}: print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield other
        if other.poll() is None:
            other.communicate()
