"""kill -9 anywhere, and damaged files: what is left, and whether the next run completes.

    python eval/benchmarks/crash_matrix.py [--rounds 20] [--seconds 600] [--finetune] [--publish]
    python eval/benchmarks/crash_matrix.py --damages [--publish]

A round copies a storage folder, starts a command in a process of its own and kills that: in one
round at a random moment of the time that the command takes, in the next, where strace may follow
it, at one of its system calls that write (write, rename, unlink, ...; each is as likely), before
that is done. Then a question is asked: it must end with exit 0, or with 2 and a message, and cite
no passage but those that were there before the command or are after it. The command is run again,
and ids, texts, metadata, vectors and the passages that answer the question are compared with those
of a run that nobody killed.
`--damages` makes the rows of damaged files alone, beside those of kills that are kept in the JSON.
`--publish` writes docs/reliability.md. Processes are forked from one that has imported the
libraries, so that the moments fall into the work and not into imports. Needs a system that forks.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import write_results

ROOT = Path(__file__).parents[2]
DOCUMENTS = 60
# Each of a chunk: Chroma keeps the vectors of more than 1,000 in files of their own.
MANY_DOCUMENTS = 1100
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "eval" / "results" / "crash_matrix.json"
# A command that is not killed, at the longest.
PATIENCE_SECONDS = 300.0
QUESTION = ("query", "-q", "how long do refunds of order 7 take", "--llm", "none", "--json")

# What changes a file or a folder.
WRITING = (
    "write,writev,pwrite64,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat"
)
# A line of strace: the thread, and the call that begins.
CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)

# Of each chunk by its id: text, metadata, vector.
State = dict[str, list[Any]]
# Documents and texts of the cited passages, best first. Which of a document's sentences that are
# alike is cited is chance.
Answer = list[tuple[str, str]]


@dataclass
class Row:
    """What came of the rounds of one command, or of one kind of damage.

    Fields:
        killed: rounds in which it was killed before its end.
        at_writes: those of them in which a system call that writes was the moment.
        answers: rounds after which a question was answered as after an undisturbed run; None where
            answers are not compared.
    """

    what: str
    rounds: int = 0
    killed: int = 0
    at_writes: int = 0
    answers: int | None = None
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """A command on a storage folder.

    Fields:
        start: the folder to copy.
        arguments: of the command.
        result: what of a storage folder is compared.
        prepare: puts the documents into the state that the command finds.
        weight: rounds of this case for each that was asked for.
    """

    what: str
    start: Path
    arguments: tuple[str, ...]
    result: "Callable[[Path], Any]"
    prepare: Callable[[], None] = lambda: None
    weight: float = 1.0


def main() -> None:
    """Run all rows, print them, write the JSON, and the page if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finetune", action="store_true", help="also kill a finetune")
    parser.add_argument("--damages", action="store_true", help="damaged files alone")
    parser.add_argument("--publish", action="store_true")
    arguments = parser.parse_args()
    if arguments.damages:
        values = json.loads(RESULTS.read_text("utf-8"))
        kept = [row for row in values["rows"] if row["what"] not in DAMAGES]
        values = {**values, "rows": [*kept, *map(vars, run_damages())]}
    else:
        values = measured(arguments)
    write_results("crash_matrix", values)
    if arguments.publish:
        PAGE.write_text(page(values), "utf-8")


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """What comes of all rows."""
    rows = run_matrix(
        arguments.rounds,
        seconds=arguments.seconds,
        seed=arguments.seed,
        tuned=arguments.finetune,
    )
    return {"seed": arguments.seed, "rows": [vars(row) for row in rows]}


def run_matrix(rounds: int, *, seconds: float, seed: int = 0, tuned: bool = True) -> list[Row]:
    """All rows, in turns, until the rounds are done or the time is over."""
    preload()
    draw = random.Random(seed)  # noqa: S311
    until = time.monotonic() + seconds
    with TemporaryDirectory() as name:
        place = Place(Path(name))
        cases = place.cases(tuned=tuned)
        rows = {case.what: Row(case.what) for case in cases}
        expected = {case.what: undisturbed(case, place) for case in cases}
        for number in range(rounds):
            for case in cases:
                if time.monotonic() > until or number >= rounds * case.weight:
                    continue
                one_round(case, place, expected[case.what], rows[case.what], draw)
        for row in rows.values():
            print(json.dumps(vars(row)), flush=True)
        return [*rows.values(), *damages(place)]


def run_damages() -> list[Row]:
    """The rows of damaged files."""
    preload()
    with TemporaryDirectory() as name:
        return damages(Place(Path(name)))


def damages(place: "Place") -> list[Row]:
    """Damage one file after the other."""
    place.make_large()
    rows = []
    for kind in DAMAGES:
        rows.append(damage(kind, place))
        print(json.dumps(vars(rows[-1])), flush=True)
    return rows


class Place:
    """Documents, a tiny model, and the storage folders that rounds begin with."""

    def __init__(self, folder: Path) -> None:
        from tiny import make_tiny_model

        self.folder = folder
        self.docs = folder / "docs"
        self.base = folder / "base"
        self.large = folder / "large"
        self.two = folder / "two"
        self.empty = folder / "empty"
        self.work = folder / "work"
        self.trace = folder / "trace.txt"
        self.empty.mkdir()
        self.model = folder / "tiny"
        in_child(lambda: make_tiny_model(self.model) and 0)
        self.before()
        must(self.ingest, self.base)
        shutil.copytree(self.base, self.two)
        must(("ingest", str(self.docs), "--chunk-size", "16", "--chunk-overlap", "0"), self.two)

    def make_large(self) -> None:
        """A storage whose index has its vectors in files of their own, and a copy of the model."""
        self.many()
        must(self.ingest, self.large)
        shutil.copytree(self.model, self.folder / "kept")

    @property
    def ingest(self) -> tuple[str, ...]:
        """The command that most rows are about."""
        return self._ingest_of(self.docs)

    def _ingest_of(self, path: Path) -> tuple[str, ...]:
        size = ("--chunk-size", "32", "--chunk-overlap", "0")
        return ("ingest", str(path), "--model", str(self.model), *size)

    def before(self) -> None:
        """The documents as they are indexed at the beginning."""
        self._write(dict.fromkeys(range(DOCUMENTS), "five"))

    def many(self) -> None:
        """So many documents that Chroma keeps their vectors in files of their own."""
        shutil.rmtree(self.docs, ignore_errors=True)
        self.docs.mkdir()
        for number in range(MANY_DOCUMENTS):
            (self.docs / f"f{number}.txt").write_text(f"Refunds of order {number} take five days.")

    def after(self) -> None:
        """Some changed, some gone, some new."""
        words = {n: "nine" if n % 3 == 0 else "five" for n in range(10, DOCUMENTS + 10)}
        self._write(words)

    def moved(self) -> None:
        """Half of the documents are gone, and one is elsewhere."""
        self._write(dict.fromkeys(range(DOCUMENTS // 2), "five"))

    def _write(self, days: dict[int, str]) -> None:
        shutil.rmtree(self.docs, ignore_errors=True)
        self.docs.mkdir()
        for number, word in days.items():
            text = f"Refunds of order {number} take {word} days. " * 4
            (self.docs / f"f{number}.txt").write_text(f"{text}\n\nWrite to office {number}.\n")

    def _pairs(self) -> Path:
        """Questions about the documents as they are before, with the passages that answer them."""
        lines = ["question,answer"]
        for number in range(DOCUMENTS):
            passage = f"Refunds of order {number} take five days."
            lines.append(f"how long do refunds of order {number} take,{passage}")
        path = self.folder / "pairs.csv"
        path.write_text("\n".join(lines))
        return path

    def cases(self, *, tuned: bool) -> list[Case]:
        """The rows."""
        other = next(n for n in names(self.two) if n not in names(self.base))
        prune = (*self._ingest_of(self.docs / "f0.txt"), "--prune")
        questions = ("questions", "--llm", "none", "--per-chunk", "1")
        switched = self.folder / "switched"
        shutil.copytree(self.two, switched)
        must(("index", "use", other), switched)
        found = [
            Case("ingest fresh", self.empty, self.ingest, contents, self.before),
            Case("ingest changed", self.base, self.ingest, contents, self.after),
            Case("ingest --prune", self.base, prune, contents, self.moved),
            Case("index use", self.two, ("index", "use", other), served, self.before),
            Case("index rollback", switched, ("index", "rollback"), served, self.before),
            Case("questions --llm none", self.base, questions, written, self.before),
        ]
        if tuned:
            pairs = ("--pairs", str(self._pairs()))
            adapter = ("finetune", "--method", "adapter", "--epochs", "1", *pairs)
            what = "finetune --method adapter"
            found.append(Case(what, self.base, adapter, contents, self.before, weight=0.25))
        return found


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves, how long it takes, and its calls that write.

    Fields:
        answer: what the question that is asked after it is answered.
        texts: of the chunks that are in service before it or after it.
        writes: name of the call, and its number among those of that name in its thread.
    """

    result: Any
    answer: Answer
    texts: frozenset[str]
    seconds: float
    writes: list[tuple[str, int]]


def one_round(
    case: Case, place: Place, expected: Undisturbed, row: Row, draw: random.Random
) -> None:
    """Kill a command, ask, run it again, compare."""
    begin(case, place)
    result = expected.result
    at_write = row.rounds % 2 == 1 and bool(expected.writes)
    if at_write:
        status = run_traced(case.arguments, place, kill_at=draw.choice(expected.writes))
    else:
        status = run(case.arguments, place.work, kill_after=draw.uniform(0, expected.seconds))
    row.rounds += 1
    row.killed += status == -signal.SIGKILL
    row.at_writes += status == -signal.SIGKILL and at_write
    number = f"round {row.rounds}"
    asked = run(QUESTION, place.work)
    if asked not in (0, 2):
        row.failures.append(f"{number}: a question after it ended with {asked}")
    elif asked == 0 and not {text for _, text in answered(place)} <= expected.texts:
        row.failures.append(f"{number}: a question after it cites what neither state has")
    # A switch that was made is not made twice: rolling back again would go further.
    done = case.what == "index rollback" and same(case.result(place.work), result)
    if not done and (again := run(case.arguments, place.work)) not in (0,):
        row.failures.append(f"{number}: the next run ended with {again}: {said(place.work)}")
    elif not same(case.result(place.work), result):
        row.failures.append(f"{number}: another result than that of an undisturbed run")
    elif run(QUESTION, place.work) != 0 or answered(place) != expected.answer:
        row.failures.append(f"{number}: another answer than after an undisturbed run")
    else:
        row.answers = (row.answers or 0) + 1


def answered(place: "Place") -> Answer:
    """What the question that was just asked was answered."""
    lines = _log(place.work).read_text("utf-8").splitlines()
    [values] = [json.loads(line) for line in lines if line.startswith("{")]
    return [(one["document"], one["text"]) for one in values["citations"]]


def begin(case: Case, place: Place) -> None:
    """Make the storage and the documents what a command finds."""
    shutil.rmtree(place.work, ignore_errors=True)
    shutil.copytree(case.start, place.work)
    case.prepare()


def undisturbed(case: Case, place: Place) -> Undisturbed:
    """What the command leaves and takes when nobody kills it."""
    begin(case, place)
    started = time.monotonic()
    must(case.arguments, place.work)
    seconds = time.monotonic() - started
    must(QUESTION, place.work)
    before = contents(case.start) if names(case.start) else {}
    texts = {text for state in (before, contents(place.work)) for text, *_ in state.values()}
    return Undisturbed(
        result=case.result(place.work),
        answer=answered(place),
        texts=frozenset(texts),
        seconds=seconds,
        writes=writes_of(case, place),
    )


def writes_of(case: Case, place: Place) -> list[tuple[str, int]]:
    """The calls of a command that write, as `Undisturbed` has them; none without strace."""
    begin(case, place)
    if shutil.which("strace") is None or run_traced(case.arguments, place) is None:
        return []
    count: Counter[tuple[str, str]] = Counter()
    writes = []
    for thread, name in CALL.findall(place.trace.read_text("utf-8")):
        count[thread, name] += 1
        writes.append((name, count[thread, name]))
    return writes


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _garbage(path: Path) -> None:
    path.write_bytes(b"\0garbage" * 50)


def _overwrite(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))  # noqa: S311


def _each(pattern: str, spoil: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil_all(storage: Path) -> None:
        found = list(storage.glob(pattern))
        if not found:
            raise SystemExit(f"there is no {pattern} to damage")
        for path in found:
            spoil(path)

    return spoil_all


_VECTORS = "indexes/*/chroma/*-*-*-*-*"
DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated SQLite": _each("indexes/*/chroma/chroma.sqlite3", _truncate),
    "missing HNSW folder": _each(_VECTORS, shutil.rmtree),
    "missing data_level0.bin": _each(f"{_VECTORS}/data_level0.bin", Path.unlink),
    "truncated data_level0.bin": _each(f"{_VECTORS}/data_level0.bin", _truncate),
    "overwritten data_level0.bin": _each(f"{_VECTORS}/data_level0.bin", _overwrite),
    "overwritten header.bin": _each(f"{_VECTORS}/header.bin", _overwrite),
    "overwritten index_metadata.pickle": _each(f"{_VECTORS}/index_metadata.pickle", _overwrite),
    "truncated model.safetensors": _each("../tiny/model.safetensors", _truncate),
    "corrupted pointer": _each("active.json", _garbage),
    "corrupted vector cache": _each("cache/vectors.sqlite", _garbage),
    "corrupted records.json": _each("indexes/*/records.json", _garbage),
    "corrupted files.json": _each("indexes/*/files.json", _garbage),
}


def damage(kind: str, place: Place) -> Row:
    """Damage a file, ask, follow the mend, compare."""
    row = Row(kind, rounds=1)
    shutil.rmtree(place.work, ignore_errors=True)
    shutil.copytree(place.large, place.work)
    place.many()
    expected, [name] = contents(place.large), names(place.large)
    DAMAGES[kind](place.work)
    asked = run(QUESTION, place.work)
    if asked not in (0, 2):
        row.failures.append(f"a question ended with {asked}: {said(place.work)}")
    if asked == 2:
        mend(name, place)
    if (again := run(place.ingest, place.work)) != 0:
        row.failures.append(f"the next ingest ended with {again}: {said(place.work)}")
    elif not same(contents(place.work), expected):
        row.failures.append("another result than that of an undamaged storage")
    return row


def mend(name: str, place: Place) -> None:
    """Do what the message of a damaged storage says, and what the next message says."""
    if "active.json is damaged" in said(place.work):
        run(("index", "use", name), place.work)
    elif "model.safetensors is damaged" in said(place.work):
        shutil.copytree(place.folder / "kept", place.model, dirs_exist_ok=True)
    elif run(("index", "repair", name), place.work):
        run(("index", "remove", name), place.work)


def names(storage: Path) -> list[str]:
    """The indexes of a folder."""
    return sorted(path.parent.name for path in (storage / "indexes").glob("*/chroma"))


def contents(storage: Path) -> State:
    """Id -> text, metadata and vector, of the index in service."""

    def read() -> State:
        from rag_app.index import Workspace

        passages = Workspace(storage).catalog.open().passages()
        return {
            node.node_id: [node.text, json.dumps(node.metadata, sort_keys=True), v.tolist()]
            for node, v in zip(passages.nodes, passages.vectors, strict=True)
        }

    found: State = in_child(read)
    return found


def served(storage: Path) -> Any:
    """What is in service."""
    return json.loads((storage / "active.json").read_text())["active"], sorted(contents(storage))


def written(storage: Path) -> list[str]:
    """The questions that were written."""
    lines = [
        line
        for path in storage.glob("questions/**/*.jsonl")
        for line in path.read_text().split("\n")
    ]
    return sorted(line for line in lines if line)


def same(found: Any, expected: Any) -> bool:
    """Whether two results are equal; vectors to 1e-3, as bfloat16 gives them."""
    if not isinstance(found, dict):
        return bool(found == expected)
    if found.keys() != expected.keys():
        return False
    texts = all(found[key][:2] == expected[key][:2] for key in found)
    near = all(np.allclose(found[key][2], expected[key][2], atol=1e-3) for key in found)
    return texts and near


def must(arguments: tuple[str, ...], storage: Path) -> None:
    """Run a command that has to succeed."""
    if status := run(arguments, storage):
        raise SystemExit(f"{' '.join(arguments)} ended with {status}: {said(storage)}")


def run(arguments: tuple[str, ...], storage: Path, *, kill_after: float | None = None) -> int:
    """Exit status of a command; -9 where it was killed."""
    child = started(arguments, storage)
    until = time.monotonic() + (PATIENCE_SECONDS if kill_after is None else kill_after)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.002)


def run_traced(
    arguments: tuple[str, ...], place: Place, *, kill_at: tuple[str, int] | None = None
) -> int | None:
    """Exit status of a command whose calls that write are listed, a line each.

    None where the system does not let strace follow it.

    Arguments:
        kill_at: the call at which it is killed: the first thread that comes to so many of it.
    """
    child = started(arguments, place.work, stopped=True)
    os.waitpid(child, os.WUNTRACED)
    command = ["strace", "-f", "-qq", "-p", str(child), "-o", str(place.trace)]
    command += ["-e", f"trace={WRITING}"]
    if kill_at is not None:
        name, number = kill_at
        command += ["-e", f"inject={name}:signal=KILL:when={number}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text("utf-8"):
            if tracer.poll() is not None:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.002)
        os.kill(child, signal.SIGCONT)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def started(arguments: tuple[str, ...], storage: Path, *, stopped: bool = False) -> int:
    """The process of a command; one that is stopped begins with SIGCONT."""
    child = os.fork()
    if child == 0:
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        _be_command(arguments, storage)
    return child


def _be_command(arguments: tuple[str, ...], storage: Path) -> None:
    """Be the command line, in a child; does not return."""
    status = 1
    with suppress(BaseException):
        log = os.open(_log(storage), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["rag-app", *arguments, "--storage", str(storage)]
        try:
            from rag_app.cli import main as command

            command()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:  # noqa: BLE001 - the child ends here
            import traceback

            traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)


def _log(storage: Path) -> Path:
    return storage.with_name(f"{storage.name}.log")


def said(storage: Path) -> str:
    """The last line that a command printed."""
    lines = _log(storage).read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def in_child(function: Callable[[], Any]) -> Any:
    """What a function returns in a process of its own."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        status = 1
        try:
            with os.fdopen(sender, "w") as file:
                json.dump(function(), file)
            status = 0
        finally:
            os._exit(status)
    os.close(sender)
    with os.fdopen(receiver) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def preload() -> None:
    """Import, before any fork, what the commands import; nothing that starts threads."""
    sys.path.insert(0, str(ROOT / "tests"))
    import loaded  # noqa: F401


# Below the table: what tests hold.
HELD_BY_TESTS = """
## Asked while documents are ingested

A question that is asked while another process ingests finds each document as it was before its
change, or as it is after it, never both: its new chunks are written and its old ones deleted
under one lock, and a retriever searches again where the index was written meanwhile. The first
question after the end of an ingest finds all of it. Documents are replaced together up to 250
chunks, a larger document at once; a question waits for the replacement that is being written.
`tests/test_one_state.py` asks without a pause while another process changes 30 documents five
times.

Not promised: that all documents are of one ingest before that ends; one state of a document
whose writer was killed between the two steps (`rag-app index verify` names it, the next ingest
completes it); one state on a Chroma server, which has no lock that readers heed: there old and
new chunks of a document are both found until the old ones are deleted.

## Tried by tests

- The disk is full while a model is trained, while its index is written, while views of passages
  are: `tests/test_resume.py`, `tests/test_rows_folder.py`. After room was made the same process
  writes on, too: `tests/test_storage_trouble.py`.
- A storage that may only be read; what the system says of a disk, a quota, too many open files:
  `tests/test_storage_trouble.py`.
- Damaged files of vectors, one by one, and a process that ends while it reads them:
  `tests/test_damaged_vectors.py`.
- Two writers; a writer that is killed in the middle; readers meanwhile:
  `tests/test_other_processes.py`. The same from two machines that share a Chroma server, one of
  which stands still for a while: `tests/test_server_lock.py`.
- An index that is removed under a command: `tests/test_removed_meanwhile.py`,
  `tests/test_rows_folder.py`.
- A Chroma server that dies and comes back; a client that is killed in a batch:
  `tests/test_removed_meanwhile.py`, `tests/test_chroma_server.py`.
- A clock that goes backwards: `tests/test_kept_files.py`.
- A worker of a Ray cluster that is killed; a cluster that dies: `tests/test_ray.py`.
"""


def page(values: dict[str, Any]) -> str:
    """docs/reliability.md."""
    lines = [
        "# Reliability",
        "",
        "What is left when a command is killed in the middle (`kill -9`), or a file is damaged.",
        "Made by `python eval/benchmarks/crash_matrix.py --rounds 100 --seconds 6000 --finetune",
        "--publish`, which says what a round is; fewer rounds than that ended with the time. Every",
        "second kill falls on a system call that writes, the others on any moment; those that came",
        "after the end are not counted. `--damages` makes the rows of damaged files alone; their",
        f"index has {MANY_DOCUMENTS:,} chunks, since Chroma has files of vectors above 1,000 only.",
        "",
        "| what | rounds | killed in the middle | at a write | answered alike | failed |",
        "|---|---|---|---|---|---|",
    ]
    keys = ("what", "rounds", "killed", "at_writes")
    cells = (
        [*(str(row[key]) for key in keys), _answers(row), str(len(row["failures"]))]
        for row in values["rows"]
    )
    lines += [f"| {' | '.join(row)} |" for row in cells]
    failures = [f"- {row['what']}: {text}" for row in values["rows"] for text in row["failures"]]
    if failures:
        lines += ["", "What failed:", "", *failures]
    lines += [
        "",
        "After each round a question is asked (exit 0, or 2 with a message; it cites no passage",
        "but those of before the command or after it), the command is run again, and ids, texts,",
        "metadata and vectors of the index in service are compared, and the documents and texts",
        "that answer the question then, in their order. Of damaged files the mend that the message",
        "names is followed first, and the question had to end with 0 or 2 and no more.",
        *HELD_BY_TESTS.rstrip().split("\n"),
    ]
    return "\n".join(lines) + "\n"


def _answers(row: dict[str, Any]) -> str:
    """Those of damaged files are not compared."""
    answers = row["answers"]
    return "not compared" if answers is None else str(answers)


if __name__ == "__main__":
    main()
