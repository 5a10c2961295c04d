"""docs/make_recording.py: what a terminal shows becomes a picture that asks no network."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from conftest import load_script
from rich.text import Text

NAMESPACE = "http://www.w3.org/2000/svg"


SCRIPT = load_script("make_recording")


def pieces(picture: str) -> list[ET.Element]:
    """The texts of the picture but for its title."""
    found = ET.fromstring(picture).findall(f"{{{NAMESPACE}}}text")  # noqa: S314 - our own
    return [piece for piece in found if "textLength" in piece.attrib]


def test_what_was_written_over_is_gone() -> None:
    written = "\r\nread 1/2   \rread 2/2   \r           \r\x1b[31mred\x1b[0m\r\n\r\nend\r\n"
    assert SCRIPT.as_text(written).plain == "red\n\nend"
    assert SCRIPT.as_text(" \r\n").plain == ""


def test_colours_and_places_of_a_line() -> None:
    text = SCRIPT.as_text("\x1b[1;31mno\x1b[0m <반품> x\r\n")
    found = [(one.text, one.attrib) for one in pieces(SCRIPT.as_svg(text, title="a"))]
    assert [part for part, _ in found] == ["no", " <", "반품", "> x"]
    assert found[0][1]["font-weight"] == "bold"
    assert found[0][1]["fill"] != found[1][1]["fill"]
    # Columns 0, 2, 4 and, after two syllables of two columns each, 8.
    left = [round((float(one["x"]) - SCRIPT.EDGE) / SCRIPT.COLUMN) for _, one in found]
    assert left == [0, 2, 4, 8]
    long = [round(float(one["textLength"]) / SCRIPT.COLUMN) for _, one in found]
    assert long == [2, 2, 4, 3]


def test_a_long_line_goes_on_below() -> None:
    found = pieces(SCRIPT.as_svg(Text("word " * 30), title="a"))
    assert len({one.attrib["y"] for one in found}) == 2


def test_no_address_but_svgs_own() -> None:
    made = [(SCRIPT.IMAGES / f"{name}.svg").read_text("utf-8") for name in SCRIPT.PICTURES]
    for picture in (SCRIPT.as_svg(Text("a"), title="a"), *made):
        assert re.findall(r"\w+://[^\s\"'<]+", picture) == [NAMESPACE]
        assert not re.search(r"url\(|@import|@font-face|href|<script|<image", picture)


def test_the_picture_shows_the_commands() -> None:
    shown = "".join(one.text or "" for one in pieces(SCRIPT.TARGET.read_text("utf-8")))
    for command in SCRIPT.COMMANDS:
        assert command.replace(" ", "") in shown.replace(" ", "")


def shown(name: str) -> str:
    """The text of a picture that is kept, without blanks."""
    picture = (SCRIPT.IMAGES / f"{name}.svg").read_text("utf-8")
    return "".join(one.text or "" for one in pieces(picture)).replace(" ", "")


def test_the_other_pictures_show_a_bar_and_a_conversation() -> None:
    assert SCRIPT.INGEST.replace(" ", "") in shown("progress")
    assert re.search(r"index━+[╸╺]━+\d+/219,\d+s", shown("progress"))
    for line in (SCRIPT.REPL, *SCRIPT.TYPED):
        assert line.replace(" ", "") in shown("repl")
    assert "[1]" in shown("repl")


def test_a_picture_of_progress_ends_with_a_bar_halfway() -> None:
    bars = [f"\rindex ━ {done}/9, 1 s left" for done in (1, 2, 3)]
    written = f"about a minute\r\n{''.join(bars)}\r       \rdone\r\n"
    assert SCRIPT.as_text(SCRIPT.until_bar(written)).plain == (
        "about a minute\nindex ━ 2/9, 1 s left"
    )


def test_a_conversation_is_what_was_said_after_each_line(tmp_path: Path) -> None:
    """Each line is typed once the program reads one; what it echoes is left out."""
    ask = (
        "import sys\n"
        "print('hello')\n"
        "while True:\n"
        "    print('\\x1b[?2004h\\x1b[Jask> ', end='', flush=True)\n"
        "    line = sys.stdin.readline()\n"
        "    print('\\x1b[?2004l', end='')\n"
        "    if not line: break\n"
        "    print('\\x1b[2K\\x1b[1mgot\\x1b[0m', line.strip())\n"
    )
    written = SCRIPT.printed([sys.executable, "-c", ask], tmp_path, lines=["one", "two"])
    said = [SCRIPT.as_text(part).plain for part in SCRIPT.conversation(written)]
    assert said == ["hello", "got one", "got two", ""]


def test_a_command_speaks_to_a_terminal(tmp_path: Path) -> None:
    ask = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns)"
    written = SCRIPT.printed([sys.executable, "-c", ask], tmp_path)
    assert SCRIPT.as_text(written).plain == f"True {SCRIPT.COLUMNS}"
    with pytest.raises(subprocess.CalledProcessError):
        SCRIPT.printed([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
