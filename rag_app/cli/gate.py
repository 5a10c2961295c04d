"""`evaluate --baseline`: the options of the gate, what it prints and writes, and its exit code."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.run import Run
from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from rag_app.evaluate.gate import Gate
    from rag_app.evaluate.stored import RetrievalRun, RunSetting

GATE = "Gate"
# Questions that fell, of which the first are printed.
SHOWN = 5

Baseline = Annotated[
    Path | None,
    typer.Option(
        help="An earlier run to compare with: what `evaluate` or `finetune` wrote, as a "
        "folder or a file of it.",
        rich_help_panel=GATE,
    ),
]
Outcomes = Annotated[
    Path | None,
    typer.Option(
        help="Compare this earlier run with --baseline, instead of asking FILE's questions now.",
        rich_help_panel=GATE,
    ),
]
FailIfWorse = Annotated[
    bool,
    typer.Option(
        "--fail-if-worse",
        help="Exit 1 if retrieval certainly got worse, 3 if the questions cannot tell.",
        rich_help_panel=GATE,
    ),
]
SmallestLoss = Annotated[
    float | None,
    typer.Option(
        help="Loss of MRR@10 that has to be excluded for an exit of 0. [0.02]",
        rich_help_panel=GATE,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(help="File to write the decision to as JUnit XML.", rich_help_panel=GATE),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        help="File to write a comment for a pull request to.",
        rich_help_panel=GATE,
    ),
]


@dataclass(frozen=True)
class GateOptions:
    """What was asked of the gate."""

    baseline: Path | None
    fail_if_worse: bool
    smallest_loss: float | None
    junit: Path | None
    markdown: Path | None

    def check(self, *, several: bool) -> None:
        """Refuse before the work what could not be done after it.

        Arguments:
            several: whether more than one run was asked for.
        Raises:
            ConfigError, StorageError: as their names say.
        """
        if self.baseline is None:
            asked = (self.fail_if_worse, self.junit, self.markdown)
            flags = ("--fail-if-worse", "--junit", "--markdown")
            lonely = next((flag for flag, one in zip(flags, asked, strict=True) if one), None)
            if lonely:
                raise ConfigError(f"{lonely} needs an earlier run; name it with --baseline RUN")
            return
        if several:
            raise ConfigError(
                "--baseline compares one run; name one --index or --model, and one --retriever"
            )
        self._check_files(self.baseline)

    def read(self, *, like: "RunSetting") -> "RetrievalRun | None":
        """The earlier run; None where none is named.

        Arguments:
            like: of several runs at that place, the one that was asked alike.
        Raises:
            StorageError, ConfigError: as `read_run`.
        """
        from rag_app.evaluate.stored import read_run

        return None if self.baseline is None else read_run(self.baseline, like=like)

    def _check_files(self, baseline: Path) -> None:
        from rag_app.disk import refuse_unwritable
        from rag_app.errors import StorageError
        from rag_app.evaluate.gate import check_smallest_loss

        if self.smallest_loss is not None:
            check_smallest_loss(self.smallest_loss)
        if not baseline.exists():
            raise StorageError(
                f"--baseline {baseline}: there is no such file or folder; make it with "
                "`rag-app evaluate FILE`"
            )
        for file in filter(None, (self.junit, self.markdown)):
            refuse_unwritable(file, is_folder=False)


def compare_stored(
    run: Run, questions: Path | None, outcomes: Path | None, options: GateOptions, *, seed: int
) -> None:
    """Hold one earlier run against another; no index and no model is needed.

    Raises:
        ConfigError: questions are named too, or neither they nor a run, or no baseline.
    """
    from rag_app.evaluate.stored import read_run

    if outcomes is None:
        raise ConfigError("name a file of questions, or an earlier run with --outcomes RUN")
    if questions is not None:
        raise ConfigError(f"--outcomes asks no questions; leave out {questions}, or --outcomes")
    if options.baseline is None:
        raise ConfigError("--outcomes is compared with an earlier run; name it with --baseline RUN")
    now = read_run(outcomes)
    finish(run, options, (now, options.read(like=now.setting)), seed=seed, result={})


def finish(
    run: Run,
    options: GateOptions,
    runs: "tuple[RetrievalRun, RetrievalRun | None]",
    *,
    seed: int,
    result: dict[str, Any],
) -> None:
    """End `evaluate`: compare with the baseline if there is one, print, write, exit.

    Arguments:
        runs: this one, and the baseline.
    Raises:
        typer.Exit: with the gate's code, under --fail-if-worse.
    """
    now, baseline = runs
    if baseline is None:
        run.result(result)
        return
    from rag_app.evaluate.gate import SMALLEST_LOSS, judge_run

    smallest = SMALLEST_LOSS if options.smallest_loss is None else options.smallest_loss
    gate = judge_run(now, baseline, smallest_loss=smallest, seed=seed, progress=run.progress)
    _show(run, gate)
    _write(options, gate)
    run.result({**result, "baseline": gate.to_json()})
    if options.fail_if_worse and gate.exit_code:
        raise typer.Exit(gate.exit_code)


def _show(run: Run, gate: "Gate") -> None:
    from rag_app.cli.scores import gate_table
    from rag_app.evaluate.junit import counted, ranks

    run.out.print(gate_table(gate), "")
    for line in (*counted(gate), *gate.apart):
        run.say(line)
    for change in gate.worse[:SHOWN]:
        run.say(f"  fell: {change.question} ({ranks(change)})", hang=2)
    color = {"no loss": "green", "loss": "red"}.get(gate.decision, "yellow")
    run.say(f"{gate.decision}: {gate.reason}", style=color)


def _write(options: GateOptions, gate: "Gate") -> None:
    from rag_app.disk import write_whole
    from rag_app.evaluate.comment import markdown_comment
    from rag_app.evaluate.junit import junit_xml

    if options.junit:
        write_whole(options.junit, junit_xml(gate))
    if options.markdown:
        write_whole(options.markdown, markdown_comment(gate))
