"""Make docs/images/terminal.svg: real commands on the sample data, in a terminal, with colours.

    python docs/make_recording.py

Each command runs in a pseudo-terminal, in a new folder that holds nothing but `data`. What is left
on the screen of each, without the progress that was written over, becomes one picture. Times differ
from run to run. Korean documents need `pip install 'rag-app[multilingual]'`. The picture names no
address but that of SVG itself: whoever shows it asks no network.
"""

import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME as THEME
from rich.text import Text

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/images/terminal.svg"
COLUMNS, LINES = 100, 30
COMMANDS = (
    "rag-app ingest data/en",
    'rag-app query -q "how long do i have to send something back" --llm none --k 2',
    "rag-app evaluate data/en/questions.jsonl --retriever vector --retriever hybrid:equal",
    "rag-app ingest data/ko --storage storage-ko",
    'rag-app query -q "반품은 며칠 안에 해야 하나요" --storage storage-ko --llm none --k 2',
)
# In pixels of the picture: a column, a line, and what is around the text.
COLUMN, LINE, EDGE, BAR = 8.4, 19, 16, 40
FONT_SIZE = 14
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'NanumGothicCoding', monospace"
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")


def main() -> None:
    """Record, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        text = Text("\n").join(session(Path(folder)))
    TARGET.write_text(as_svg(text, title="rag-app"), "utf-8")


def session(folder: Path) -> Iterator[Text]:
    """Each command as it is typed, and what it says."""
    (folder / "data").symlink_to(ROOT / "data")
    programs = Path(sys.executable).parent
    for number, command in enumerate(COMMANDS):
        print(f"$ {command}", file=sys.stderr)  # noqa: T201
        program, *arguments = shlex.split(command)
        if number:
            yield Text()
        yield Text.assemble(("$ ", "bold green"), (command, "bold"))
        yield as_text(printed([str(programs / program), *arguments], folder))


def printed(command: Sequence[str], folder: Path) -> str:
    """What a command writes to a terminal of COLUMNS and LINES, escape sequences included.

    Raises:
        CalledProcessError: it fails.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, cwd=folder, env=environment
    )
    os.close(its)
    written = b"".join(iter(lambda: _read(ours), b""))
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
