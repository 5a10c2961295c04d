"""Evaluation: questions -> outcomes -> scores with intervals -> verdict.

Everything after `score_questions` is computed from the outcomes alone, so stored outcomes can be
compared again, cut differently, or read question by question, without asking the retriever.
"""

from rag_app.evaluate.changes import Change, Flips, changes, flips
from rag_app.evaluate.invariants import check_invariants
from rag_app.evaluate.scoring import (
    METRICS,
    Outcome,
    pair_outcomes,
    read_outcomes,
    score_questions,
    write_outcomes,
)
from rag_app.evaluate.statistics import (
    Difference,
    Estimate,
    difference,
    differences,
    estimate,
    summarise,
)
from rag_app.evaluate.verdict import PRIMARY_METRIC, Decision, Verdict, decide

__all__ = [
    "METRICS",
    "PRIMARY_METRIC",
    "Change",
    "Decision",
    "Difference",
    "Estimate",
    "Flips",
    "Outcome",
    "Verdict",
    "changes",
    "check_invariants",
    "decide",
    "difference",
    "differences",
    "estimate",
    "flips",
    "pair_outcomes",
    "read_outcomes",
    "score_questions",
    "summarise",
    "write_outcomes",
]
