"""Make pictures of a terminal: real commands on the sample data, with colours.

    python docs/make_recording.py                  all of them
    python docs/make_recording.py repl progress    docs/images/repl.svg and progress.svg

Each command runs in a pseudo-terminal, in a new folder that holds nothing but `data`. terminal.svg
shows what is left on the screen, without the progress that was written over; progress.svg shows
the screen while a bar runs, and repl.svg what is typed at the REPL and answered. Times differ from
run to run. Korean documents need `pip install 'rag-app[multilingual]'`. The picture names no
address but that of SVG itself: whoever shows it asks no network.
"""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME as THEME
from rich.text import Text

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
TARGET = IMAGES / "terminal.svg"
COLUMNS, LINES = 100, 30
COMMANDS = (
    "rag-app ingest data/en",
    'rag-app query -q "how long do i have to send something back" --llm none --k 2',
    "rag-app evaluate data/en/questions.jsonl --retriever vector --retriever hybrid:equal",
    "rag-app ingest data/ko --storage storage-ko",
    'rag-app query -q "반품은 며칠 안에 해야 하나요" --storage storage-ko --llm none --k 2',
)
INGEST = COMMANDS[0]
REPL = "rag-app query --llm none --k 2"
TYPED = ("my parcel has not arrived, where is it", "/open 1")
# What prompt_toolkit writes where it begins and where it ends to read a line.
READS, HAS_READ = "\x1b[?2004h", "\x1b[?2004l"
# Escape sequences but for those of colour and weight.
_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")
# In pixels of the picture: a column, a line, and what is around the text.
COLUMN, LINE, EDGE, BAR = 8.4, 19, 16, 40
FONT_SIZE = 14
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'NanumGothicCoding', monospace"
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")


def main() -> None:
    """Record, and write the pictures that are named, or all."""
    for name in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "data").symlink_to(ROOT / "data")
            text = Text("\n").join(PICTURES[name](Path(folder)))
        (IMAGES / f"{name}.svg").write_text(as_svg(text, title="rag-app"), "utf-8")


def session(folder: Path) -> Iterator[Text]:
    """Each command as it is typed, and what it says."""
    for number, command in enumerate(COMMANDS):
        if number:
            yield Text()
        yield prompted("$", command)
        yield as_text(run(command, folder))


def progress(folder: Path) -> Iterator[Text]:
    """An ingest while its bar runs."""
    yield prompted("$", INGEST)
    yield as_text(until_bar(run(INGEST, folder)))


def repl(folder: Path) -> Iterator[Text]:
    """The REPL on the sample: what is typed, and what it says."""
    run(INGEST, folder)
    written = run(REPL, folder, lines=TYPED)
    # Whose machine it was made on says nothing.
    said, *answers = conversation(written.replace(f"{ROOT}/", "").replace(f"{folder}/", ""))
    yield prompted("$", REPL)
    yield as_text(said)
    for line, answer in zip(TYPED, answers, strict=False):
        yield prompted("ask>", line)
        yield Text()
        yield as_text(answer)
        yield Text()
    yield prompted("ask>", "")


PICTURES: dict[str, Callable[[Path], Iterator[Text]]] = {
    "terminal": session,
    "progress": progress,
    "repl": repl,
}


def prompted(prompt: str, line: str) -> Text:
    """A line as it is typed."""
    return Text.assemble((f"{prompt} ", "bold green"), (line, "bold"))


def until_bar(written: str) -> str:
    """What was written until a bar that says how long it still takes, halfway."""
    bars = list(re.finditer(r"\rindex [^\r]* left", written))
    return written[: bars[len(bars) // 2].end()]


def conversation(written: str) -> list[str]:
    """What the REPL said before it read a line, and after each line, without what was typed."""
    before, *read = written.split(READS)
    said = [before, *(part.partition(HAS_READ)[2] for part in read)]
    return [_MOVES.sub("", part) for part in said]


def run(command: str, folder: Path, *, lines: Sequence[str] = ()) -> str:
    """What a command of this environment writes to a terminal; see `printed`."""
    print(f"$ {command}", file=sys.stderr)  # noqa: T201
    program, *arguments = shlex.split(command)
    return printed([str(Path(sys.executable).parent / program), *arguments], folder, lines=lines)


def printed(command: Sequence[str], folder: Path, *, lines: Sequence[str] = ()) -> str:
    """What a command writes to a terminal of COLUMNS and LINES, escape sequences included.

    Arguments:
        lines: that are typed, each once the command reads one; then Ctrl-D.
    Raises:
        CalledProcessError: it fails.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    # Nobody is here to say where the cursor is.
    environment["PROMPT_TOOLKIT_NO_CPR"] = "1"
    process = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, cwd=folder, env=environment
    )
    os.close(its)
    typed = iter([*(f"{line}\r" for line in lines), "\x04"])
    written = b""
    while part := _read(ours):
        before, written = written.count(READS.encode()), written + part
        for _ in range(written.count(READS.encode()) - before):
            os.write(ours, next(typed).encode())
    os.close(ours)
    if process.wait():
        text = written.decode(errors="replace")
        raise subprocess.CalledProcessError(process.returncode, list(command), text)
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says where nobody writes any more
        return b""


def as_text(written: str) -> Text:
    """What is left on the screen, with its colours: of a line that was written over, the last."""
    lines = (line.rsplit("\r", 1)[-1] for line in written.replace("\r\n", "\n").split("\n"))
    left = Text.from_ansi("\n".join(lines)).split("\n", allow_blank=True)
    said = [number for number, line in enumerate(left) if line.plain.strip()]
    return Text("\n").join(left[said[0] : said[-1] + 1] if said else [])


def as_svg(text: Text, *, title: str) -> str:
    """A window of a terminal with this text in it."""
    lines = text.wrap(Console(width=COLUMNS), COLUMNS)
    width, height = COLUMNS * COLUMN + 2 * EDGE, BAR + len(lines) * LINE + EDGE
    buttons = (
        f'<circle cx="{EDGE + 6 + 20 * place}" cy="{BAR / 2:g}" r="6" fill="{color}"/>'
        for place, color in enumerate(BUTTONS)
    )
    shown = (
        piece for row, line in enumerate(lines, 1) for piece in _pieces(line, BAR + row * LINE - 5)
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>text {{ font-family: {FONTS}; font-size: {FONT_SIZE}px; white-space: pre; }}"
            "</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{THEME.background_color.hex}"/>',
            *buttons,
            f'<text x="{width / 2:g}" y="{BAR / 2 + 5:g}" text-anchor="middle" '
            f'fill="{THEME.foreground_color.hex}">{escape(title)}</text>',
            *shown,
            "</svg>\n",
        ]
    )


def _pieces(line: Text, bottom: float) -> Iterator[str]:
    """The parts of a line, each as long as its columns.

    Wide characters stand in parts of their own, stretched: a Hangul syllable takes two columns,
    however wide the font makes it.
    """
    column = 0
    for segment in line.render(Console(color_system="truecolor")):
        for width, run in groupby(segment.text.rstrip("\n"), key=cell_len):
            part = "".join(run)
            columns = cell_len(part)
            stretched = ' lengthAdjust="spacingAndGlyphs"' if width > 1 else ""
            if part.strip():
                yield (
                    f'<text x="{EDGE + column * COLUMN:.1f}" y="{bottom:g}" '
                    f'textLength="{columns * COLUMN:.1f}"{stretched}{_look(segment.style)}>'
                    f"{escape(part)}</text>"
                )
            column += columns


def _look(style: Style | None) -> str:
    """Colour and weight of a part."""
    style = style or Style.null()
    color = THEME.foreground_color
    if style.color is not None:
        color = style.color.get_truecolor(THEME)
    weight = ' font-weight="bold"' if style.bold else ""
    strength = ' opacity="0.6"' if style.dim else ""
    return f' fill="{color.hex}"{weight}{strength}'


if __name__ == "__main__":
    main()
