"""Workers on this machine or on a cluster, as long as a `with` lasts.

Ray ends the process that uses it when a part of it dies, and prints where it likes. So it has a
process of its own (driver.py), and what becomes of that is one error here.
"""

import multiprocessing
import socket
from collections.abc import Generator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from rag_app.errors import ClusterError, ConfigError
from rag_app.extras import require
from rag_app.ingest.spread.driver import DONE, FAULT, OUTCOME, UNUSABLE, Work, drive

# Ray on this machine alone, for this run alone.
LOCAL = "local"
_CONNECT_SECONDS = 10.0
# For Ray to end its processes.
_END_SECONDS = 30.0


class RayCluster:
    """Runs work in many processes; they are there when the first work is given.

    Use it in a `with`: at its end, however that comes, what was started is ended.

    Arguments:
        address: "local", or HOST:PORT of a running cluster that this machine is a part of.
        workers: processes that work at once; None: one for each core, or for each GPU that embeds.
    Raises:
        ConfigError: the extra is not installed, or an argument cannot be meant.
    """

    def __init__(self, address: str, *, workers: int | None = None) -> None:
        require("ray", extra="ray")
        if workers is not None and workers < 1:
            raise ConfigError(f"--ray-workers is {workers}; give it 1 or more")
        if address != LOCAL:
            _host_and_port(address)
        self._address = address
        self._workers = workers
        self._driver: multiprocessing.context.SpawnProcess | None = None
        self._line: Connection | None = None

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._driver is None or self._line is None:
            return
        self._line.close()
        self._driver.terminate()
        self._driver.join(_END_SECONDS)
        if self._driver.is_alive():
            self._driver.kill()
            self._driver.join()
        self._driver = self._line = None

    def map(
        self,
        worker: type,
        arguments: Mapping[str, Any],
        pieces: Sequence[Any],
        *,
        gpus: bool = False,
    ) -> Generator[Any, None, None]:
        """The outcome of each piece of work, in the order in which workers finish them.

        A process that dies is started again, and its piece is done again: Ray Data does that. Who
        wants no more outcomes closes the generator; what is started ends then, too.

        Arguments:
            worker: a class whose instances, one in each process, are called with rows (workers.py).
            arguments: that an instance is made with.
            gpus: the workers share the GPUs, where there are some.
        Raises:
            ClusterError: there is no cluster, or it ended before the work did.
        """
        line = self._started()
        is_done = False
        try:
            line.send(Work(worker, dict(arguments), list(pieces), gpus))
            while (answer := line.recv())[0] != DONE:
                yield self._outcome(*answer)
            is_done = True
        except (EOFError, ConnectionError):
            raise ClusterError(_ended("its processes are gone")) from None
        finally:
            if not is_done:
                self._end()

    def _outcome(self, kind: str, value: Any) -> Any:
        if kind == OUTCOME:
            return value
        if kind == FAULT:
            raise RuntimeError(f"a Ray worker failed:\n{value}")
        raise ClusterError(self._unusable(value) if kind == UNUSABLE else _ended(value))

    def _started(self) -> Connection:
        if self._line is not None:
            return self._line
        if self._address != LOCAL:
            _check_answers(self._address)
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        arguments = (theirs, None if self._address == LOCAL else self._address, self._workers)
        self._driver = context.Process(target=drive, args=arguments, daemon=True)
        self._driver.start()
        # So that the line ends when the process does.
        theirs.close()
        return self._line

    def _unusable(self, why: str) -> str:
        if self._address == LOCAL:
            return f"Ray does not start on this machine ({why}); leave --ray out, which needs none"
        return (
            f"the Ray cluster at {self._address} takes no work from here ({why}); run the command "
            "on a machine of the cluster, with the same versions of Python and Ray, and with its "
            "token in RAY_AUTH_TOKEN if it asks for one"
        )


def _ended(why: str) -> str:
    return (
        f"Ray ended before the work did ({why}); what was embedded is kept, and the same command "
        "goes on from there when Ray runs again, or without --ray"
    )


def _host_and_port(address: str) -> tuple[str, int]:
    """The parts of HOST:PORT.

    Raises:
        ConfigError: it is none.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"--ray is {address!r}; give it local, or HOST:PORT of a cluster that this machine is "
            "a part of, such as 10.0.0.1:6379"
        )
    return host, int(port)


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        ClusterError: nothing listens there.
    """
    try:
        socket.create_connection(_host_and_port(address), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); start one with `ray start --head`, or "
            "use --ray local"
        ) from None
