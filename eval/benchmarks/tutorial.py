"""The tutorial followed by its letter from a fresh clone: seconds and memory of each command.

    python eval/benchmarks/tutorial.py [--markdown]

The blocks of docs/tutorial.md marked `bash` (the installation) and `sh` are typed into one shell,
in a clone of this repository's last commit, in a new environment; the address that the page clones
is put in the place of this repository's. Each command's wall clock, processor time (its children's
included) and peak memory are written to eval/results/tutorial.json with the last lines that it
printed. `--markdown` prints the table of the page from that file.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

from corpora import RESULTS, write_results

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ADDRESS = "https://github.com/rag-app/rag-app"
# Printed by Python, which is there for certain: GNU time may not be.
MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(["bash", "-euc", sys.argv[2]])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    print(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss, file=file)
sys.exit(code)
"""
# Of what is printed: pip and the list of questions say much.
LAST, WIDEST = 30, 300
# What changes the shell itself is not worth a measurement.
SHELL = ("cd ", ". ", "export ", "mkdir ", "cp ", "mv ")


def main() -> None:
    """Follow the page, or print the table of the last time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    if parser.parse_args().markdown:
        print_table(json.loads((RESULTS / "tutorial.json").read_text("utf-8")))
        return
    with TemporaryDirectory() as folder:
        rows = follow(Path(folder))
    values = {
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[2], 1),
        "commands": rows,
    }
    write_results("tutorial", values)
    print_table(values)


def follow(folder: Path) -> list[dict[str, Any]]:
    """Type all lines of the page in this folder; one row for each that does something."""
    text = PAGE.read_text("utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines() if line]
    measured = folder / "measured"
    rows = []
    with subprocess.Popen(
        ["bash"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        keys, screen = cast("IO[str]", shell.stdin), cast("IO[str]", shell.stdout)
        for line in lines:
            typed = line.replace(ADDRESS, f"{ROOT} rag-app") if "git clone" in line else line
            if not line.startswith(SHELL):
                typed = shlex.join(["python3", "-c", MEASURE, str(measured), typed])
            print(f"{typed}\necho END $?", file=keys, flush=True)
            printed = []
            for answer in screen:
                if answer.startswith("END "):
                    break
                printed.append(answer.rstrip("\n"))
            if answer != "END 0\n":
                raise SystemExit("\n".join([*printed, f"{line} failed ({answer.strip()})"]))
            if measured.exists():
                seconds, processor, kilobytes = map(float, measured.read_text("utf-8").split())
                measured.unlink()
                rows.append(
                    {
                        "command": line,
                        "seconds": round(seconds, 1),
                        "processor_seconds": round(processor, 1),
                        "peak_mb": round(kilobytes / 1000),
                        "printed": [said[:WIDEST] for said in printed[-LAST:]],
                    }
                )
    return rows


def print_table(values: dict[str, Any]) -> None:
    """The table at the end of the page."""
    print("| command | wall clock, s | processor, s | peak memory, MB |")
    print("|---|---|---|---|")
    for row in values["commands"]:
        cells = [row["seconds"], row["processor_seconds"], row["peak_mb"]]
        print(f"| `{row['command']}` | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    print(f"\n{sum(row['seconds'] for row in values['commands']) / 60:.1f} minutes in all")


if __name__ == "__main__":
    main()
