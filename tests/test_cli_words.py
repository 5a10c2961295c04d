"""How the command line breaks lines, and tells what was typed wrongly."""

import io
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

from rag_app import __version__
from rag_app.cli.app import build_app
from rag_app.cli.printing import print_wrapped
from rag_app.cli.progress import ProgressLines
from rag_app.cli.run import Run
from rag_app.cli.tuning import _query_adapter, best_epoch
from rag_app.finetune.options import TrainingReport
from rag_app.progress import announce, renamed

STAGES = ("tune", "ingest", "questions", "finetune", "evaluate", "query", "sweep")
LONG = "all-minilm-l6-v2-of-a-name-that-is-longer-than-the-terminal-is-wide"


def run_app(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), arguments)


def printed(text: str, *, terminal: bool = True, label: str = "", hang: int = 0) -> list[str]:
    console = Console(width=40, file=io.StringIO(), force_terminal=terminal, color_system=None)
    print_wrapped(console, text, label=label, hang=hang)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def test_lines_are_broken_between_words_and_keep_their_indent() -> None:
    text = "    You have thirty days from delivery to send the thing back, unused, in its box"
    lines = printed(f"title\n{text}\n\nend")
    assert lines == [
        "title",
        "    You have thirty days from delivery",
        "    to send the thing back, unused, in",
        "    its box",
        "",
        "end",
    ]


def test_what_hangs_is_indented_from_its_second_line_on() -> None:
    text = "[1] 0.385  Sounds your Air 2 makes  (en/air/air-2-noise.md, characters 0-875)"
    assert printed(text, hang=4) == [
        "[1] 0.385  Sounds your Air 2 makes",
        "    (en/air/air-2-noise.md, characters",
        "    0-875)",
    ]


def test_an_interval_is_one_word() -> None:
    # Up to its comma it would still fit.
    text = "(mrr@10 went from .167 to .361: [+.000, +.333])"
    assert printed(text) == ["(mrr@10 went from .167 to .361:", "[+.000, +.333])"]


def test_wide_letters_count_twice() -> None:
    text = "  배송비는 주문 금액이 오만원 이상이면 무료이고 그렇지 않으면 삼천원입니다."
    lines = printed(text)
    assert " ".join(line.strip() for line in lines) == text.strip()
    assert all(cell_len(line) <= 40 and line.startswith("  ") for line in lines)
    assert len(lines) > 1


def test_a_long_word_stays_whole_and_a_label_counts() -> None:
    lines = printed(f"run `rag-app index use {LONG}` now [b]x[/b]", label="warning:")
    assert lines == ["warning: run `rag-app index use", f"{LONG}`", "now [b]x[/b]"]


def test_in_a_pipe_lines_stay_whole() -> None:
    text = f"    {'word ' * 30}end"
    assert printed(text, terminal=False) == [text]


# Usage


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("query", "--colour", "red"), "No such option: --colour"),
        (("query", "--k", "many"), "'--k': Input should be a valid integer"),
        (("ingest",), "see `rag-app ingest --help`"),
        (("index", "show"), "No such command 'show'; see `rag-app index --help`"),
        (("querry",), "Did you mean 'query'; see `rag-app --help`"),
    ],
)
def test_what_is_typed_wrongly_is_one_line_and_json_if_asked(
    typed: tuple[str, ...], says: str
) -> None:
    plain = run_app(*typed)
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert plain.stderr.startswith("error: ")
    assert plain.stderr.count("\n") == 1
    assert says in plain.stderr
    asked = run_app(*typed, "--json")
    assert asked.exit_code == 2
    values = json.loads(asked.stdout)
    assert values == {
        "error": plain.stderr.removeprefix("error: ").rstrip("\n"),
        "kind": "UsageError",
    }


def test_version_and_short_help() -> None:
    assert run_app("--version").stdout == f"rag-app {__version__}\n"
    for stage in STAGES:
        short, long = run_app(stage, "-h"), run_app(stage, "--help")
        assert short.exit_code == 0
        assert short.stdout == long.stdout
        assert f"rag-app {stage} " in short.stdout.partition("Examples:")[2]
        assert "--no-quiet" not in short.stdout
    assert "--install-completion" in run_app("-h").stdout


def test_a_seed_is_taken_only_where_it_does_something() -> None:
    taken = {stage for stage in STAGES if "--seed" in run_app(stage, "-h").stdout}
    assert taken == {"tune", "questions", "finetune", "evaluate", "sweep"}
    assert "--seed" not in run_app("index", "remove", "-h").stdout


def test_what_most_people_need_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for stage in STAGES:
        first = run_app(stage, "-h").stdout.partition("─ Options ─")[2].partition("╰")[0]
        names = [line.split()[1] for line in first.splitlines() if line.startswith("│ --")]
        assert 4 <= len(names) <= 6, (stage, names)  # five, and --help


# What training did, in words

REPORT = TrainingReport(1.0, 1.0, 1, "cpu", False, 3, [], [], whitening=1.0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "best epoch: 3, query adapter: on (full whitening)"),
        ({"best_epoch": 0}, "no epoch beat the starting point, query adapter: on (full whitening)"),
        ({"whitening": 0.5}, "best epoch: 3, query adapter: on (whitening 0.5)"),
        ({"whitening": 0.0}, "best epoch: 3, query adapter: on (no whitening)"),
        ({"whitening": None}, "best epoch: 3"),
    ],
)
def test_what_training_made(changed: dict[str, Any], says: str) -> None:
    report = replace(REPORT, **changed)
    assert best_epoch(report) + _query_adapter(report) == says


# Progress


def test_steps_have_headings_and_no_count_begins_anew_under_its_name() -> None:
    console = Console(width=60, file=io.StringIO(), force_terminal=True, color_system=None)
    progress = ProgressLines(console)
    announce(progress, 2, 4, "training")
    for name in ("weights", "query adapter"):
        told = renamed(progress, "train", f"train {name}")
        told("train", 1, 20, "loss 0.5")
        told("embed", 1, 2)
        told("train", 20, 20)
    progress("train", 0, 0, "memory is short: batches of 16")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.startswith("2/4 training\n")
    # 30 columns of a bar, 1/20 and 1/2 of which are 1.5 and 15.
    assert f"train weights ━╸{' ' * 28} 1/20  loss 0.5" in shown
    assert "train query adapter ━╸" in shown
    assert f"embed {'━' * 15}{' ' * 15} 1/2 " in shown
    # A line without a count stays.
    assert shown.endswith("train  memory is short: batches of 16\n")


def test_a_long_korean_name_does_not_flood_the_screen() -> None:
    console = Console(width=50, file=io.StringIO(), force_terminal=True, color_system=None)
    ProgressLines(console)("read", 1, 3, "고객센터/" * 20)
    [line] = console.file.getvalue().split("\r")[1:]  # type: ignore[attr-defined]
    assert cell_len(line) == 49
    assert line == f"read {'━' * 10}{' ' * 20} 1/3  고객센 …"


@pytest.mark.parametrize("width", [4, 12, 20, 30, 60, 200])
def test_a_bar_fits_terminals_of_any_width(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    ProgressLines(console)("색인", 1, 3, "고객센터.md")
    [line] = console.file.getvalue().split("\r")[1:]  # type: ignore[attr-defined]
    assert cell_len(line) == width - 1
    assert ("━" in line) is (width > 17)


def test_a_step_keeps_its_time_while_others_are_parts_of_it() -> None:
    console = Console(width=60, file=io.StringIO(), force_terminal=True, color_system=None)
    progress = ProgressLines(console)
    progress("index", 0, 3)
    progress("embed", 64, 64)
    progress("index", 1, 3)
    assert ", 0 s left" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_is_said_meanwhile_takes_the_place_of_the_bar() -> None:
    run = Run(storage=None, config=None, as_json=False, quiet=False)
    run.err = Console(width=40, file=io.StringIO(), force_terminal=True, color_system=None)
    run.progress("index", 1, 3)
    run.warn("short of memory")
    shown = run.err.file.getvalue()  # type: ignore[attr-defined]
    assert shown.endswith(f"\r{' ' * 39}\rwarning: short of memory\n")


def test_a_bar_is_drawn_at_most_ten_times_a_second() -> None:
    console = Console(width=40, file=io.StringIO(), force_terminal=True, color_system=None)
    progress = ProgressLines(console)
    started = time.monotonic()
    for done in range(1000):
        progress("read", done, 1000)
    seconds = time.monotonic() - started
    assert console.file.getvalue().count("\r") <= 1 + 10 * seconds  # type: ignore[attr-defined]
