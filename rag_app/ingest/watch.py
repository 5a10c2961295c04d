"""Waiting for documents to change."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

from rag_app.errors import DocumentError

# An editor writes a file in several steps, and a copy takes its time.
QUIET_MS = 800
LONGEST_WAIT_MS = 10_000


def changes(
    paths: Sequence[Path],
    *,
    leave_out: Sequence[Path] = (),
    stop: Event | None = None,
    quiet_ms: int = QUIET_MS,
) -> Iterator[list[Path]]:
    """Yield what changed below these paths, each time they have been quiet for a moment.

    Of a file its folder is watched, since editors put another file in its place.

    Arguments:
        leave_out: folders whose changes do not count, such as the storage folder.
        stop: ends it when it is set.
    Raises:
        DocumentError: a path, or a named file's folder, does not exist.
        KeyboardInterrupt: Ctrl-C.
    """
    from watchfiles import watch

    roots = [path.absolute() for path in paths]
    left_out = [path.absolute() for path in leave_out]
    places = {root if root.is_dir() else root.parent for root in roots}
    if missing := sorted(place for place in places if not place.is_dir()):
        raise DocumentError(f"{missing[0]} does not exist; name a file or folder that does")

    def counts(_: object, name: str) -> bool:
        path = Path(name)
        return any(_is_seen(path, root) for root in roots) and not any(
            path.is_relative_to(place) for place in left_out
        )

    found = watch(
        *places,
        watch_filter=counts,
        debounce=LONGEST_WAIT_MS,
        step=quiet_ms,
        stop_event=stop,
        ignore_permission_denied=True,
    )
    for some in found:
        yield sorted({Path(name) for _, name in some})


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
    stop: Event | None = None,
    quiet_ms: int = QUIET_MS,
) -> None:
    """Repeat something each time these paths change, until Ctrl-C or `stop`.

    Raises:
        DocumentError: as `changes`.
    """
    try:
        for _ in changes(paths, leave_out=leave_out, stop=stop, quiet_ms=quiet_ms):
            repeat()
    except KeyboardInterrupt:
        # The way to end it; an ingest that it stops goes on with the next.
        return
