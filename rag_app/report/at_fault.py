"""Where the documents are at fault, not the search: passages that say the same twice."""

from collections.abc import Mapping, Sequence

from rag_app.evaluate.collection import SecondAnswer
from rag_app.evaluate.kept_passages import KeptPassage, shortened
from rag_app.report.blocks import Block, Paragraph, Section, Table
from rag_app.report.questions import LONGEST_QUESTION
from rag_app.report.values import Collection
from rag_app.text.counts import counted

SHOWN_QUESTIONS = 50
SHOWN_GROUPS = 20
SHOWN_DOCUMENTS = 8


def at_fault_section(
    collection: Collection, questions: Mapping[str, str], passages: Mapping[str, KeptPassage]
) -> Section | None:
    """Second answers and near-duplicate documents; None where there are none.

    Arguments:
        questions: question id -> question.
    """
    blocks: list[Block] = []
    if collection.second_answers:
        blocks += _second_answers(collection.second_answers, questions, passages)
    groups = collection.near_duplicates
    if groups.groups:
        rows = [[_listed(group), str(len(group))] for group in groups.named[:SHOWN_GROUPS]]
        caption = f"{counted(groups.groups, 'group')} of documents that share half of their wording"
        blocks.append(Table(["documents", "how many"], rows, caption))
    return Section("Where the documents are at fault", blocks) if blocks else None


def why_as_well(one: SecondAnswer, passages: Mapping[str, KeptPassage]) -> str:
    """Why the first passage may answer as well as the right one."""
    if one.kind == "near-duplicate":
        return one.kind
    found, right = passages.get(one.found), passages.get(one.right)
    dates = (found.date if found else "", right.date if right else "")
    if not all(dates) or dates[0] == dates[1]:
        return "another version"
    age = "an older version" if dates[0] < dates[1] else "a newer version"
    return f"{age} ({dates[0]}; labelled: {dates[1]})"


def _second_answers(
    second: Sequence[SecondAnswer],
    questions: Mapping[str, str],
    passages: Mapping[str, KeptPassage],
) -> list[Block]:
    said = (
        f"Of {counted(len(second), 'question')} the first passage is not the labelled one but "
        "nearly repeats it, or is another version of it. Where it answers as well, label it as a "
        "second right passage; where it is out of date, take it out, or ask with `+latest`."
    )
    rows = [
        [
            shortened(questions.get(one.question_id, one.question_id), LONGEST_QUESTION),
            _named(one.right, passages),
            _named(one.found, passages),
            why_as_well(one, passages),
        ]
        for one in second[:SHOWN_QUESTIONS]
    ]
    heads = ["question", "labelled passage", "first passage", "why"]
    left_out = len(second) - len(rows)
    return [Paragraph(said), Table(heads, rows, f"{left_out:,} left out" if left_out else "")]


def _named(chunk: str, passages: Mapping[str, KeptPassage]) -> str:
    kept = passages.get(chunk)
    return f"{kept.name} ({kept.document})" if kept else chunk


def _listed(group: Sequence[str]) -> str:
    more = len(group) - SHOWN_DOCUMENTS
    return ", ".join(group[:SHOWN_DOCUMENTS]) + (f" and {more} more" if more > 0 else "")
