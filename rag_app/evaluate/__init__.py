"""Evaluation: questions -> outcomes -> scores with intervals -> verdict.

questions are asked by `scoring`, and everything after that is computed from the outcomes alone
(`statistics`, `verdict`, `changes`, `comparison`), so stored outcomes can be compared again, cut
differently, or read question by question, without asking the retriever.
"""

from rag_app.callable_stage import make_callable

make_callable(__name__)
