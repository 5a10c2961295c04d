"""The gate: what it decides on outcomes whose figures are known, and the files that it writes."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app
from rag_app.errors import ConfigError, PairsError, StorageError
from rag_app.evaluate.comment import markdown_comment
from rag_app.evaluate.gate import Gate, judge_run
from rag_app.evaluate.junit import junit_xml
from rag_app.evaluate.scoring import Outcome, write_outcomes
from rag_app.evaluate.stored import RetrievalRun, RunSetting, read_run

Ranks = Sequence[int | None]
DEMO = ROOT / "data" / "ci"
NAME = "all-minilm-l6-v2-256-928eef"


def outcome(number: int, rank: int | None, *, text: str = "") -> Outcome:
    """A question about a document of its own, whose right passage stands at this rank."""
    values = {f"hit_rate@{k}": float(rank is not None and rank <= k) for k in range(1, 11)}
    seen = rank if rank and rank <= 10 else None
    values["mrr@10"] = 1 / seen if seen else 0.0
    values["ndcg@10"] = 1 / math.log2(1 + seen) if seen else 0.0
    retrieved = ["right" if place == rank else f"other{place}" for place in range(1, 11)]
    scores = [1 - place / 10 for place in range(10)]
    name = text or f"question {number}"
    return Outcome(f"q{number}", name, f"d{number}", [["right"]], retrieved, scores, rank, values)


def stored(ranks: Ranks, *, first: int = 0, **setting: Any) -> RetrievalRun:
    outcomes = [outcome(number, rank) for number, rank in enumerate(ranks, first)]
    return RetrievalRun(Path("run.jsonl"), RunSetting(**setting), outcomes)


def judged(before: Ranks, now: Ranks, *, smallest_loss: float = 0.02) -> Gate:
    return judge_run(stored(now), stored(before), smallest_loss=smallest_loss, seed=13)


# Decisions


def test_a_certain_fall_is_a_loss() -> None:
    """40 of 200 questions fall from the first to the second place: .1 of MRR."""
    gate = judged([1] * 200, [2] * 40 + [1] * 160)
    assert (gate.decision, gate.exit_code) == ("loss", 1)
    assert gate.fell == ["hit_rate@1", "mrr@10", "ndcg@10"]
    assert gate.comparison.differences["mrr@10"].mean == pytest.approx(-40 / 200 / 2)
    assert "mrr@10 fell from 1.000 to .900 (-.100 [" in gate.reason
    assert (len(gate.worse), gate.worse[0].old_rank, gate.worse[0].new_rank) == (40, 1, 2)
    assert gate.worse[0].instead == "other1"


def test_rankings_that_did_not_move_are_no_loss_however_few() -> None:
    gate = judged([1, 2, None], [1, 2, None])
    assert (gate.decision, gate.exit_code) == ("no loss", 0)
    assert gate.reason == "all 3 rankings are as they were"


def test_a_certain_rise_is_no_loss_however_few_documents() -> None:
    gate = judged([2] * 20, [1] * 20)
    assert gate.decision == "no loss"
    assert gate.reason.startswith("mrr@10 rose from .500 to 1.000")


def test_what_the_interval_does_not_exclude_cannot_be_told() -> None:
    """20 of 200 move half a point, up or down: the mean's standard error is half of
    sqrt(.1 / 200) = .0112, so the interval ends near -.022."""
    before, now = [2] * 10 + [1] * 190, [1] * 10 + [2] * 10 + [1] * 180
    gate = judged(before, now)
    assert (gate.decision, gate.exit_code) == ("cannot tell", 3)
    change = gate.comparison.differences["mrr@10"]
    assert change.mean == 0
    assert change.low == pytest.approx(-1.96 * math.sqrt(0.025 / 200), abs=1e-3)
    more = math.ceil(200 * ((change.low / 0.02) ** 2 - 1))
    assert gate.reason.endswith(
        f"a loss of 0.02 is neither shown nor excluded; about {more} more questions about other "
        "documents would tell; these exclude a loss of 0.03"
    )
    assert judged(before, now, smallest_loss=0.03).decision == "no loss"


def test_few_documents_exclude_nothing_though_nothing_fell() -> None:
    """In 40 questions none fell and one other passage came: their interval has no width."""
    now = stored([1] * 40)
    now.outcomes[0].retrieved[9] = "new"
    gate = judge_run(now, stored([1] * 40), seed=13)
    assert gate.comparison.differences["mrr@10"].low == 0
    assert gate.decision == "cannot tell"
    # .98 ** 149 is the first power below .05.
    assert "questions about 149 documents or more, and these are about 40" in gate.reason
    # .9 ** 29 is below .05.
    assert judge_run(now, stored([1] * 40), smallest_loss=0.1, seed=13).decision == "no loss"


def test_many_questions_are_told_of_before_they_are_compared() -> None:
    # Of one document, so that nothing is resampled.
    runs = {n: stored([1] * n) for n in (10_000, 10_001)}
    for run in runs.values():
        run.outcomes[:] = [replace(one, cluster="d") for one in run.outcomes]
    told: list[str] = []
    for run in runs.values():
        judge_run(run, run, seed=13, progress=lambda step, *_: told.append(step))
    assert told == ["comparing 10,001 questions by resampling: up to 5 s for each 10,000"]


def test_another_metric_may_fall_where_the_mean_rank_holds() -> None:
    """12 leave the tenth place (.1 of MRR each), 3 rise from second to first (.5 each)."""
    gate = judged([10] * 12 + [2] * 3 + [1] * 185, [None] * 12 + [1] * 188)
    assert gate.comparison.differences["mrr@10"].mean == pytest.approx(0.3 / 200)
    assert (gate.decision, gate.fell) == ("loss", ["hit_rate@10"])
    assert gate.reason.startswith("hit_rate@10 fell from 1.000 to .940 (-.060 [")


def test_the_same_model_twice_is_seldom_a_loss() -> None:
    """Of 100 changes that only shuffle ranks 1 and 2 at most 5 % in the mean look like a loss."""
    import numpy as np

    draw = np.random.default_rng(5)
    losses = 0
    for _ in range(100):
        before, now = (draw.integers(1, 3, 60).tolist() for _ in range(2))
        losses += judged(before, now).decision == "loss"
    # Binomial: more than 11 of 100 at 5 % happens once in 230 times.
    assert losses <= 11


def test_what_no_metric_sees_did_not_fall() -> None:
    """Outcomes keep twenty ranks: 12 to 15 is no fall, 8 to 15 is one out of the first ten."""
    gate = judged([1] * 60 + [12, 11, 8, 3], [1] * 60 + [15, None, 15, 4])
    assert [(one.old_rank, one.new_rank) for one in gate.worse] == [(8, None), (3, 4)]
    suite = ElementTree.fromstring(junit_xml(gate))  # noqa: S314
    cases = suite.findall(".//testcase[@classname='rag-app.question']")
    assert [case.get("name") for case in cases] == ["question 62", "question 63"]
    said = [case[0].get("message") for case in cases]
    assert said[0] == "rank 8, now none; in its place: other8"
    named = replace(gate, names={"other8": "How long may I wait? (row 12)"})
    suite = ElementTree.fromstring(junit_xml(named))  # noqa: S314
    case = suite.find(".//testcase[@name='question 62']/skipped")
    assert case is not None
    assert case.get("message") == "rank 8, now none; in its place: How long may I wait? (row 12)"


# What else is said


def test_new_and_gone_questions_are_counted() -> None:
    now, before = stored([1] * 6, first=2), stored([1] * 5)
    gate = judge_run(now, before, seed=13)
    assert (gate.comparison.n, gate.new, gate.gone) == (3, 3, 2)


def test_without_a_common_question_there_is_nothing_to_compare() -> None:
    with pytest.raises(PairsError, match=r"none of these 2 questions is among the 3 of run\.jsonl"):
        judge_run(stored([1, 1], first=10), stored([1, 1, 1]), seed=13)


@pytest.mark.parametrize("loss", [0, 1, -0.1, math.nan])
def test_a_loss_that_cannot_be_is_refused(loss: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        judged([1], [1], smallest_loss=loss)


def test_other_settings_are_named_as_far_as_they_are_known() -> None:
    before = RunSetting("a", "models/minilm", "f1", 256, 32, "exact")
    assert before.apart(before) == []
    assert RunSetting("b", "/x/minilm", "f2", 128, None, "exact").apart(before) == [
        "index b, was a",
        "chunk size 128, was 256",
        "other weights of minilm",
    ]
    assert RunSetting().apart(before) == []


def test_a_model_that_knows_the_questions_passes_no_gate() -> None:
    trained, untrained = stored([1] * 20, trained_on=20), stored([2] * 20)
    gate = judge_run(trained, untrained, seed=13)
    assert gate.decision == "cannot tell"
    assert gate.reason.endswith(
        "the model was trained on 20 of its questions, the baseline's on none"
    )
    # Nor is it a loss to fall behind one.
    assert judge_run(untrained, trained, seed=13).decision == "cannot tell"
    # Both: as the next index of one model is.
    assert judge_run(trained, trained, seed=13).decision == "no loss"


# Files


def hostile(gate: Gate) -> Gate:
    text = "a | b <script>\x00 @team [x](http://evil) `c`\n# d"
    change = gate.worse[0]
    object.__setattr__(change, "question", text)
    return gate


def test_junit_has_a_case_for_the_decision_each_metric_and_each_question() -> None:
    gate = hostile(judged([1] * 200, [2] * 120 + [1] * 80))
    suite = ElementTree.fromstring(junit_xml(gate)).find("testsuite")  # noqa: S314
    assert suite is not None
    # 1 decision, 5 metrics, 100 of the 120 questions.
    counts = {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")}
    assert counts == {"tests": "106", "failures": "104", "skipped": "0", "errors": "0"}
    first = suite[0]
    assert first.get("name") == "mrr@10 did not fall by 0.02"
    failure = first.find("failure")
    assert failure is not None
    assert (failure.get("message") or "").startswith("loss: hit_rate@1 fell from 1.000 to .400")
    assert "20 more questions fell than are named here" in (first.findtext("system-out") or "")
    assert suite[6].get("name") == "a | b <script> @team [x](http://evil) `c` # d"


def test_junit_skips_what_cannot_be_told_and_fails_nothing() -> None:
    gate = judged([2] * 10 + [1] * 190, [1] * 10 + [2] * 10 + [1] * 180)
    suite = ElementTree.fromstring(junit_xml(gate)).find("testsuite")  # noqa: S314
    assert suite is not None
    # The decision and the ten questions that fell.
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "11")


def test_the_comment_is_short_and_obeys_no_question() -> None:
    now = stored([2] * 30 + [1] * 170)
    gate = hostile(judge_run(now, stored([1] * 201), seed=13))
    lines = markdown_comment(gate).splitlines()
    assert lines[0] == "### Retrieval: a certain loss"
    assert lines[6].startswith("| hit_rate@1 | 1.000 [1.000, 1.000] | .850 [")
    assert "- first 1: 0 questions fixed, 30 broken" in lines
    assert "- 1 questions of the baseline are gone" in lines
    row = next(line for line in lines if line.startswith("| a "))
    assert row.endswith(" | 1 | 2 |")
    assert row.count("|") == 4
    assert not set("<@[`#") & set(row.replace("&#", ""))
    # 30 questions fell, of which 20 are named.
    assert sum(line.startswith("| question ") for line in lines) == 20
    assert len(lines) < 50


# Runs on disk


def write_run(folder: Path, ranks: Ranks, *, name: str = "i-exact", **values: Any) -> Path:
    write_outcomes(folder / f"{name}.jsonl", stored(ranks).outcomes)
    run = {"name": "i", "retriever": "exact", "outcomes": f"{name}.jsonl", **values}
    (folder / "evaluate.json").write_text(json.dumps({"runs": [run], "results": str(folder)}))
    return folder


def test_a_run_is_found_by_its_folder_its_json_or_its_outcomes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [1, 2], chunk_size=256)
    printed = tmp_path / "printed.json"
    printed.write_text((folder / "evaluate.json").read_text())
    for place in (folder, folder / "evaluate.json", folder / "i-exact.jsonl", printed):
        run = read_run(place)
        assert [one.rank for one in run.outcomes] == [1, 2]
        assert run.setting.chunk_size == 256
    # Of an earlier version, or carried away alone.
    (folder / "evaluate.json").unlink()
    assert read_run(folder).setting == RunSetting()


def test_of_several_runs_the_one_asked_alike_is_meant(tmp_path: Path) -> None:
    runs = []
    for name, retriever in (("i", "exact"), ("i", "keyword"), ("j", "exact")):
        file = f"{name}-{retriever}"
        write_outcomes(tmp_path / f"{file}.jsonl", stored([1]).outcomes)
        runs.append({"name": name, "retriever": retriever, "outcomes": f"{file}.jsonl"})
    (tmp_path / "evaluate.json").write_text(json.dumps({"runs": runs}))
    for like, file in (
        (RunSetting(index="j", retriever="exact"), "j-exact"),
        (RunSetting(index="new", retriever="keyword"), "i-keyword"),
    ):
        assert read_run(tmp_path, like=like).place.stem == file
    with pytest.raises(ConfigError, match=r"holds 3 runs .*name the file of one"):
        read_run(tmp_path, like=RunSetting(index="new", retriever="exact"))
    assert read_run(tmp_path / "j-exact.jsonl").setting.index == "j"


@pytest.mark.parametrize(("promoted", "rank"), [(True, 1), (False, 2)])
def test_of_a_tuning_it_is_what_went_into_service(
    tmp_path: Path, promoted: bool, rank: int
) -> None:
    """Folds name a question apart; here each was asked by two of them."""
    for side, place in (("base", 2), ("tuned", 1)):
        outcomes = [outcome(0, place), outcome(0, 9)]
        named = zip(("1 q0", "2 q0"), outcomes, strict=True)
        write_outcomes(
            tmp_path / f"{side}.jsonl",
            [Outcome(**{**one.to_dict(), "question_id": name}) for name, one in named],
        )
    values: dict[str, Any] = {"index": "t", "model": "m/t", "base_index": "b", "base_model": "m/b"}
    values |= {"promoted": promoted, "verdict": "promote", "retriever": "vector"}
    (tmp_path / "finetune.json").write_text(json.dumps(values))
    run = read_run(tmp_path)
    assert [(one.question_id, one.rank) for one in run.outcomes] == [("q0", rank)]
    assert run.setting.index == ("t" if promoted else "b")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": [1]}', '{"runs": null}', "\x00"])
def test_what_is_no_run_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluate.json").write_text(text)
    for place in (tmp_path, tmp_path / "evaluate.json"):
        with pytest.raises(StorageError, match="is no result of `rag-app evaluate`"):
            read_run(place)


def test_a_run_without_outcomes_is_said(tmp_path: Path) -> None:
    printed = tmp_path / "p.json"
    printed.write_text(json.dumps({"runs": [{"name": "i", "outcomes": None}], "results": None}))
    for place in (printed, tmp_path):
        with pytest.raises(
            StorageError, match=r"no outcomes of questions; `rag-app evaluate FILE`"
        ):
            read_run(place)


# The command


def run_app(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), ["evaluate", *map(str, arguments)])


def compare(now: Path, before: Path, *options: str | Path) -> Result:
    return run_app("--outcomes", now, "--baseline", before, *options)


def test_exit_codes_are_those_of_the_decision(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", [1] * 200)
    worse = write_run(tmp_path / "worse", [2] * 40 + [1] * 160, retriever="keyword")
    few = write_run(tmp_path / "few", [1, 1, 1, 2])
    codes = [compare(now, before, "--fail-if-worse").exit_code for now in (before, worse, few)]
    assert codes == [0, 1, 3]
    # Without the flag it only tells.
    told = compare(worse, before)
    assert told.exit_code == 0
    assert "retriever keyword, was exact" in told.stdout
    assert "  fell: question 0 (rank 1, now 2)" in told.stdout
    assert told.stdout.splitlines()[-1].startswith("loss: hit_rate@1 fell from 1.000 to .800")


def test_json_and_files_say_the_same(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", [1] * 200)
    worse = write_run(tmp_path / "worse", [2] * 40 + [1] * 160)
    files = ("--junit", tmp_path / "j.xml", "--markdown", tmp_path / "c.md")
    done = compare(worse, before, "--json", "--fail-if-worse", *files)
    assert done.exit_code == 1
    values = json.loads(done.stdout)["baseline"]
    assert (values["decision"], values["n"], len(values["worse"])) == ("loss", 200, 40)
    assert (
        f"### Retrieval: a certain loss\n\n{values['reason']}." in (tmp_path / "c.md").read_text()
    )
    assert values["reason"] in (tmp_path / "j.xml").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fail-if-worse"], "--fail-if-worse needs an earlier run; name it with --baseline RUN"),
        (["--junit", "j.xml"], "--junit needs an earlier run"),
        (["--outcomes", "RUN"], "--outcomes is compared with an earlier run"),
        (["--baseline", "RUN"], "name a file of questions, or an earlier run with --outcomes RUN"),
        (["q.csv", "--outcomes", "RUN", "--baseline", "RUN"], "leave out q.csv, or --outcomes"),
        (["q.csv", "--baseline", "gone"], "--baseline gone: there is no such file or folder"),
        (
            ["q.csv", "--baseline", "RUN", "--retriever", "exact", "--retriever", "keyword"],
            "--baseline compares one run; name one --index or --model, and one --retriever",
        ),
        (["--outcomes", "RUN", "--baseline", "RUN", "--smallest-loss", "2"], "between 0 and 1"),
        (
            ["--outcomes", "RUN", "--baseline", "RUN", "--junit", "no/j.xml"],
            "there is no folder no",
        ),
        (["--outcomes", "gone", "--baseline", "RUN"], "gone is no run"),
        ([], "name a file of questions"),
    ],
)
def test_what_cannot_be_asked_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "RUN", [1, 2])
    done = run_app(*options)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_the_demo_of_docs_ci_decides_as_it_says_and_loads_no_model() -> None:
    """On the outcomes of `evaluate data/en/questions.jsonl --out data/ci`."""
    heavy = [
        "torch",
        "sentence_transformers",
        "chromadb",
        "llama_index.core",
        "transformers",
        "scipy",
    ]
    code = (
        "import sys\n"
        "from rag_app.cli import main\n"
        "try: main('evaluate')\n"
        "finally:\n"
        f"    print([name for name in {heavy} if name in sys.modules], file=sys.stderr)\n"
    )
    for retriever, expected in (("exact", 0), ("hybrid0.5", 3), ("keyword", 1)):
        files = (DEMO / f"{NAME}-{retriever}.jsonl", DEMO / f"{NAME}-exact.jsonl")
        options = ("--outcomes", files[0], "--baseline", files[1], "--fail-if-worse")
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, options)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stderr
        assert done.stderr.splitlines()[-1] == "[]"
