"""Pages that are pictures, read by the program tesseract."""

import math
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from rag_app.documents.limits import allow_program
from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

_PROGRAM = "tesseract"
_LANGUAGES = re.compile(r"\w+(?:/\w+)?(?:\+\w+(?:/\w+)?)*", re.ASCII)
# What tesseract's makers advise; a page of more letters than A3 holds is rendered coarser.
_DPI = 300
_POINTS_PER_INCH = 72
_MOST_PIXELS = 25_000_000
# For one page: of processor time, and by the clock.
SECONDS = 60
_LONGEST_SECONDS = 240


def check_ocr(languages: str) -> None:
    """Make sure that pages can be read by OCR.

    Arguments:
        languages: as tesseract calls them: kor+eng.
    Raises:
        ConfigError: tesseract is not installed, or lacks one of them; names the command that
            installs it.
    """
    if not _LANGUAGES.fullmatch(languages):
        raise ConfigError(
            f"ocr is {languages!r}; name languages as tesseract does, joined by +: kor+eng"
        )
    named = languages.split("+")
    if shutil.which(_PROGRAM) is None:
        raise ConfigError(
            f"OCR needs the program tesseract, which is not installed; run `{_installing(named)}` "
            "(Debian, Ubuntu) or `brew install tesseract tesseract-lang` (macOS)"
        )
    known = _known_languages()
    if missing := [name for name in named if name not in known]:
        raise ConfigError(
            f"tesseract has no data for {', '.join(missing)}, only for {', '.join(known)}; run "
            f"`{_installing(missing)}` (Debian, Ubuntu) or `brew install tesseract-lang` (macOS)"
        )


def _installing(languages: list[str]) -> str:
    """The command that installs languages, as Debian calls their packages."""
    names = [name.lower().replace("_", "-").replace("/", "-") for name in languages]
    # English comes with the program.
    packages = [f"tesseract-ocr-{name}" for name in names if name != "eng"]
    return f"apt-get install {' '.join(['tesseract-ocr', *packages])}"


def _known_languages() -> list[str]:
    """The languages whose data are there; the first line of the answer is a heading."""
    try:
        answer = subprocess.run(
            [_PROGRAM, "--list-langs"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"tesseract cannot be run ({error}); install it again") from None
    return sorted(answer.stdout.splitlines()[1:])


def text_by_ocr(page: "PdfPage", languages: str) -> str:
    """Read a page as it is shown; empty where no text is found, or it takes too long."""
    width, height = page.get_size()
    points = max(width * height, 1.0)
    scale = min(_DPI / _POINTS_PER_INCH, math.sqrt(_MOST_PIXELS / points))
    dpi = str(max(round(scale * _POINTS_PER_INCH), 70))
    # Notes and values of forms are read as what they are.
    bitmap = page.render(scale=scale, grayscale=True, draw_annots=False, may_draw_forms=False)
    head = f"P5 {bitmap.width} {bitmap.height} 255\n".encode()
    pixels = bytes(bitmap.buffer)
    rows = (pixels[at : at + bitmap.width] for at in range(0, len(pixels), max(bitmap.stride, 1)))
    allow_program(SECONDS)
    try:
        answer = subprocess.run(
            [_PROGRAM, "stdin", "stdout", "-l", languages, "--dpi", dpi],
            input=head + b"".join(rows),
            capture_output=True,
            timeout=_LONGEST_SECONDS,
            check=True,
            # Its threads wait for each other longer than they save.
            env=os.environ | {"OMP_THREAD_LIMIT": "1"},
        )
    except (OSError, subprocess.SubprocessError):
        # The page is counted among those without text.
        return ""
    return answer.stdout.decode("utf-8", "replace").replace("\f", "").strip()
