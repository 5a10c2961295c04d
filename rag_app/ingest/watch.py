"""Waiting for documents to change."""

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from rag_app.errors import DocumentError

# An editor writes a file in several steps, and a copy takes its time.
QUIET_MS = 800
LONGEST_WAIT_MS = 10_000
# How often it is looked whether a folder is still the one that is watched.
LOOK_MS = 1_000

# The clocks of file systems are some milliseconds behind.
SLACK_NS = 50_000_000

_Missed = Callable[[], set[Path]]
# Folders, each with what tells it from another one of its name.
_There = dict[Path, tuple[int, int]]


def changes(
    paths: Sequence[Path],
    *,
    leave_out: Sequence[Path] = (),
    since_ns: int | None = None,
    stop: Event | None = None,
    quiet_ms: int = QUIET_MS,
) -> Iterator[list[Path]]:
    """Yield what changed below these paths, each time they have been quiet for a moment.

    Of a file its folder is watched, since editors put another file in its place. A folder that is
    removed is waited for; when it is there again, what lies in it counts as changed.

    Arguments:
        leave_out: folders whose changes do not count, such as the storage folder.
        since_ns: when the paths were last looked at, in nanoseconds since 1970; what changed
            between that and now counts.
        stop: ends it when it is set.
    Raises:
        DocumentError: a path, or a named file's folder, does not exist.
        KeyboardInterrupt: Ctrl-C.
    """
    looked_at = _LookedAt(
        {path.absolute(): _folder_of(path.absolute()) for path in paths},
        [path.absolute() for path in leave_out],
    )
    if missing := sorted(place for place in looked_at.places if not place.is_dir()):
        raise DocumentError(f"{missing[0]} does not exist; name a file or folder that does")
    stop = stop or Event()
    there = _there(looked_at.places)
    missed: _Missed = set if since_ns is None else partial(looked_at.changed_since, since_ns)
    while not stop.is_set():
        former = there
        gone = yield from _until_replaced(looked_at, there, missed, stop=stop, quiet_ms=quiet_ms)
        there = _there(looked_at.places)
        back = {place for place in there if place in gone or there[place] != former.get(place)}
        missed = partial(looked_at.within, back)


@dataclass(frozen=True)
class _LookedAt:
    """What is watched.

    Fields:
        roots: files and folders, each with the folder that is watched for it.
        left_out: folders whose changes do not count.
    """

    roots: dict[Path, Path]
    left_out: list[Path]

    @property
    def places(self) -> set[Path]:
        """The folders that are watched."""
        return set(self.roots.values())

    def within(self, places: Collection[Path]) -> set[Path]:
        """The roots for which these folders are watched."""
        return {root for root, place in self.roots.items() if place in places}

    def changed_since(self, since_ns: int) -> set[Path]:
        """The roots that changed, or hold what did."""
        return {
            root
            for root in self.roots
            if any(
                _changed_ns(path) > since_ns - SLACK_NS
                for path in (root, *root.rglob("*"))
                if path in self
            )
        }

    def __contains__(self, path: Path) -> bool:
        """Whether ingest would read the path."""
        seen = any(_is_seen(path, root) for root in self.roots)
        return seen and not any(path.is_relative_to(place) for place in self.left_out)


def _changed_ns(path: Path) -> int:
    """When a file, or what a folder holds, last changed; of what is gone, just now."""
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return time.time_ns()


def _folder_of(root: Path) -> Path:
    return root if root.is_dir() else root.parent


def _until_replaced(
    looked_at: _LookedAt,
    there: _There,
    missed: _Missed,
    *,
    stop: Event,
    quiet_ms: int,
) -> Generator[list[Path], None, set[Path]]:
    """Yield what changes until a folder is removed, or comes back; returns those removed.

    Arguments:
        there: the folders to watch.
        missed: roots that may hold what nobody saw being written; asked once they are watched.
    """
    from watchfiles import Change, watch

    if not there:
        stop.wait(LOOK_MS / 1000)
        return set()

    def counts(change: Change, name: str) -> bool:
        path = Path(name)
        return path in looked_at or (change is Change.deleted and path in there)

    for some in watch(
        *there,
        watch_filter=counts,
        debounce=LONGEST_WAIT_MS,
        step=quiet_ms,
        stop_event=stop,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        changed = missed() | {Path(name) for _, name in some if Path(name) in looked_at}
        missed = set
        if changed:
            yield sorted(changed)
        gone = {Path(name) for change, name in some if change is Change.deleted} & there.keys()
        if gone or _there(looked_at.places) != there:
            return gone
    return set()


def _there(places: Iterable[Path]) -> _There:
    """The folders that are there; one made where another was removed may look the same."""
    found = {}
    for place in places:
        with suppress(OSError):
            state = place.stat()
            found[place] = (state.st_dev, state.st_ino)
    return found


def _is_seen(path: Path, root: Path) -> bool:
    """Whether ingest would look at the path: below the root, and not hidden there."""
    if not path.is_relative_to(root):
        return False
    return not any(part.startswith((".", "~$")) for part in path.relative_to(root).parts)


def watch_and_repeat(
    repeat: Callable[[], None],
    paths: Sequence[Path],
    *,
    leave_out: Sequence[Path] = (),
    since_ns: int | None = None,
    stop: Event | None = None,
    quiet_ms: int = QUIET_MS,
) -> None:
    """Repeat something each time these paths change, until Ctrl-C or `stop`.

    Raises:
        DocumentError: as `changes`.
    """
    try:
        watched = changes(
            paths, leave_out=leave_out, since_ns=since_ns, stop=stop, quiet_ms=quiet_ms
        )
        for _ in watched:
            repeat()
    except KeyboardInterrupt:
        # The way to end it; an ingest that it stops goes on with the next.
        return
