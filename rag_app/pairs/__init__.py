"""Question/passage pairs: import, matching to an index, export, split by document, leak checks."""

from rag_app.pairs.corpus import dataset_of, holds_corpus, read_corpus
from rag_app.pairs.dataset_index import in_service, open_dataset, tuned_from
from rag_app.pairs.datasets import judgements_of, test_qrels, training_qrels
from rag_app.pairs.export import WRITERS, refuse_output, write_beir, write_pairs
from rag_app.pairs.formats import READERS, read_questions
from rag_app.pairs.given_test import split_around
from rag_app.pairs.held_out import (
    AUTO,
    HELD_OUT,
    HeldOut,
    HeldOutOption,
    SplitInput,
    SplitOptions,
    split_as_asked,
)
from rag_app.pairs.inputs import QADataset, Questions, as_questions
from rag_app.pairs.known import known_questions, remember_pairs
from rag_app.pairs.labelled import LabelledQuestion
from rag_app.pairs.leaks import check_leaks
from rag_app.pairs.matching import Matching, Unmatched, match_questions
from rag_app.pairs.pair import Pair, make_pair
from rag_app.pairs.places import document_texts
from rag_app.pairs.question import Question, build_questions, gold_chunks, question_id
from rag_app.pairs.self_answering import without_self_answering
from rag_app.pairs.split import MIN_PAIRS, Split, by_question, split_pairs
from rag_app.pairs.training_documents import (
    judged_model,
    training_documents,
    training_questions,
    write_training_documents,
)
from rag_app.text.asked import question_key
from rag_app.text.near_duplicates import cluster_documents

__all__ = [
    "AUTO",
    "HELD_OUT",
    "MIN_PAIRS",
    "READERS",
    "WRITERS",
    "HeldOut",
    "HeldOutOption",
    "LabelledQuestion",
    "Matching",
    "Pair",
    "QADataset",
    "Question",
    "Questions",
    "Split",
    "SplitInput",
    "SplitOptions",
    "Unmatched",
    "as_questions",
    "build_questions",
    "by_question",
    "check_leaks",
    "cluster_documents",
    "dataset_of",
    "document_texts",
    "gold_chunks",
    "holds_corpus",
    "in_service",
    "judged_model",
    "judgements_of",
    "known_questions",
    "make_pair",
    "match_questions",
    "open_dataset",
    "question_id",
    "question_key",
    "read_corpus",
    "read_questions",
    "refuse_output",
    "remember_pairs",
    "split_around",
    "split_as_asked",
    "split_pairs",
    "test_qrels",
    "training_documents",
    "training_qrels",
    "training_questions",
    "tuned_from",
    "without_self_answering",
    "write_beir",
    "write_pairs",
    "write_training_documents",
]
