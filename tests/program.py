"""rag-app in a process of its own, forked from one that has imported its libraries.

What is killed, is typed into or works while another one does has to be a process; that each
imports torch once more took most of the tests' time. How the program starts is tested where it is
started anew: test_cli, test_lazy_packages, test_wheel.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("this system does not fork", allow_module_level=True)

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["loaded"])
PATIENCE_SECONDS = 300.0


class Program:
    """A command that runs.

    Arguments:
        arguments: those of rag-app.
        folder: the current folder of the command.
        environment: set besides what is set here.
    """

    def __init__(
        self, *arguments: str | Path, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        self._typed, out, err = ours
        self.stdout = out.makefile("r", encoding="utf-8")
        self.stderr = err.makefile("r", encoding="utf-8")
        self._process = _CONTEXT.Process(
            target=_be_command,
            args=([*map(str, arguments)], folder, {**os.environ, **(environment or {})}, theirs),
        )
        self._process.start()
        for one in (*theirs, out, err):
            one.close()

    @property
    def returncode(self) -> int | None:
        """The exit code, -9 of one that was killed; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        pid = self._process.pid
        if self.returncode is None and pid is not None:
            os.kill(pid, number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def send(self, text: str) -> None:
        """Write to its standard input."""
        self._typed.sendall(text.encode())

    def communicate(self, typed: str = "") -> tuple[str, str]:
        """Type the last of it, and wait for the end; standard output and standard error."""
        if typed:
            self.send(typed)
        self._typed.shutdown(socket.SHUT_WR)
        with ThreadPoolExecutor(2) as readers:
            out, err = readers.map(lambda one: one.read(), (self.stdout, self.stderr))
        self.wait()
        return out, err

    def wait(self) -> int:
        """Wait for the end; the exit code.

        Raises:
            TimeoutError: it does not end.
        """
        self._process.join(PATIENCE_SECONDS)
        if self.returncode is None:
            self.kill()
            raise TimeoutError(f"it did not end within {PATIENCE_SECONDS:.0f} seconds")
        return self.returncode

    def wait_until(self, path: Path, pattern: str) -> None:
        """Wait for a file of this name."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not list(path.glob(pattern)):
            assert self.returncode is None, self.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self.wait()
        for one in (self._typed, self.stdout, self.stderr):
            one.close()


def _be_command(
    arguments: list[str], folder: Path, environment: dict[str, str], ends: tuple[socket.socket, ...]
) -> None:
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["rag-app", *arguments]
    from rag_app.cli import main

    main()
