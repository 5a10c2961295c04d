"""A gate's decision as JUnit XML, which CI systems show."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rag_app.evaluate.changes import Change, flips
from rag_app.evaluate.figures import change_with_interval, with_interval
from rag_app.evaluate.gate import WATCHED, Gate
from rag_app.text.normalise import visible

# Questions that are named; all are counted.
MOST_QUESTIONS = 100


def junit_xml(gate: Gate) -> str:
    """One test case for the decision, one for each metric, one for each question that fell.

    What fails the gate is a failure; where it cannot tell, its case is skipped. Questions that fell
    fail with the gate, and are skipped where it does not: some fall in every change.
    """
    suite = Element("testsuite", name="rag-app evaluate")
    _decision(suite, gate)
    for metric in WATCHED:
        _metric(suite, gate, metric)
    for change in gate.worse[:MOST_QUESTIONS]:
        _question(suite, gate, change)
    for what in ("failure", "skipped"):
        count = len(suite.findall(f"testcase/{what}"))
        suite.set("failures" if what == "failure" else what, str(count))
    suite.set("tests", str(len(suite)))
    suite.set("errors", "0")
    whole = Element("testsuites")
    whole.append(suite)
    indent(whole)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(whole, encoding="unicode")}\n'


def _decision(suite: Element, gate: Gate) -> None:
    case = _case(suite, "gate", f"mrr@10 did not fall by {gate.smallest_loss:g}")
    if gate.decision != "no loss":
        kind = "failure" if gate.decision == "loss" else "skipped"
        SubElement(case, kind, message=visible(f"{gate.decision}: {gate.reason}"))
    hidden = len(gate.worse) - MOST_QUESTIONS
    more = [f"{hidden} more questions fell than are named here"] if hidden > 0 else []
    lines = [gate.reason, f"baseline: {gate.baseline}", *counted(gate), *gate.apart, *more]
    SubElement(case, "system-out").text = visible("\n".join(lines))


def _metric(suite: Element, gate: Gate, metric: str) -> None:
    compared = gate.comparison
    case = _case(suite, "metric", metric)
    said = (
        f"{metric}: {with_interval(compared.base[metric])} before, "
        f"{with_interval(compared.tuned[metric])} now, "
        f"{change_with_interval(compared.differences[metric])}"
    )
    if metric in gate.fell:
        kind = "failure" if gate.decision == "loss" else "skipped"
        SubElement(case, kind, message=said)
    SubElement(case, "system-out").text = said


def _question(suite: Element, gate: Gate, change: Change) -> None:
    case = _case(suite, "question", visible(" ".join(change.question.split())))
    kind = "failure" if gate.decision == "loss" else "skipped"
    instead = gate.names.get(change.instead or "") or change.instead or "nothing"
    said = f"{ranks(change)}; in its place: {instead}"
    SubElement(case, kind, message=visible(said))


def ranks(change: Change) -> str:
    """ "rank 1, now 4"; none where it was not among the first ten."""
    return f"rank {change.old_rank or 'none'}, now {change.new_rank or 'none'}"


def counted(gate: Gate) -> list[str]:
    """How many questions moved, are new and are gone, each a sentence."""
    moved = [
        f"first {flip.k}: {flip.fixed} questions fixed, {flip.broken} broken"
        for flip in flips(gate.comparison.base_outcomes, gate.comparison.tuned_outcomes)
    ]
    return [
        *moved,
        *([f"{gate.new} questions are new since the baseline"] if gate.new else []),
        *([f"{gate.gone} questions of the baseline are gone"] if gate.gone else []),
    ]


def _case(suite: Element, kind: str, name: str) -> Element:
    return SubElement(suite, "testcase", classname=f"rag-app.{kind}", name=name)
