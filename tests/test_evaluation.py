"""`evaluate` and `compare`: any LlamaIndex retriever, with intervals."""

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)

from rag_app.errors import PairsError
from rag_app.evaluate.evaluation import Evaluation, compare, evaluate
from rag_app.pairs import LabelledQuestion

SHIPPING = "We ship within two days of your order."
REFUND = "You get your money back within 14 days."
PHONE = "Call us on weekdays from nine to five."


class Fixed(BaseRetriever):
    """Returns the same texts, best first, for each question that it knows."""

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        self.answers = answers
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        texts = self.answers.get(query_bundle.query_str, ())
        return [NodeWithScore(node=TextNode(id_=text[:8], text=text)) for text in texts]


ASKED = [("how fast", SHIPPING), ("money back?", REFUND), ("phone", PHONE)]


def scored(answers: Mapping[str, Sequence[str]], questions: Any = ASKED) -> Evaluation:
    return evaluate(Fixed(answers), questions, name="fixed")


def test_ranks_by_the_text_of_what_was_retrieved() -> None:
    found = scored({"how fast": [SHIPPING], "money back?": [PHONE, REFUND]})
    assert [one.rank for one in found.outcomes] == [1, 2, None]
    assert found.scores["hit_rate@1"].mean == pytest.approx(1 / 3)
    assert found.scores["mrr@10"].mean == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found.scores["mrr@10"].low < found.scores["mrr@10"].mean < found.scores["mrr@10"].high


def test_white_space_does_not_matter_and_a_part_of_the_passage_is_an_answer() -> None:
    pieces = {"how fast": ["We ship within\n two days of"], "money back?": ["back"]}
    found = scored(pieces)
    # "back" is too short to be told from chance.
    assert [one.rank for one in found.outcomes] == [1, None, None]


def test_a_question_may_name_a_document_or_quote_evidence() -> None:
    questions = [
        LabelledQuestion("a", document="faq/shipping.md"),
        LabelledQuestion("b", document="faq/refund.md", evidence="within 14 days"),
    ]

    class Named(BaseRetriever):
        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            node = TextNode(text=REFUND, metadata={"document_id": "site/faq/shipping.md"})
            return [NodeWithScore(node=node)]

    with pytest.warns(UserWarning, match="similarity_top_k"):
        found = evaluate(Named(), questions)
    assert [one.rank for one in found.outcomes] == [1, 1]


def test_takes_an_embedding_qa_dataset() -> None:
    dataset = SimpleNamespace(
        queries={"q1": "how fast", "q2": "phone"},
        corpus={"p1": SHIPPING, "p2": PHONE},
        relevant_docs={"q1": ["p1"], "q2": ["p2"]},
    )
    found = scored({"how fast": [SHIPPING]}, dataset)
    assert [one.rank for one in found.outcomes] == [1, None]


def test_a_known_collection_is_scored_by_places_and_counts_what_it_does_not_answer() -> None:
    nodes = [placed(text) for text in (SHIPPING, REFUND)]
    with pytest.warns(UserWarning, match="1 questions were left out"):
        found = evaluate(Fixed({"how fast": [SHIPPING, REFUND]}), ASKED, nodes=nodes)
    assert (found.n, found.unmatched) == (2, 1)
    assert [one.rank for one in found.outcomes] == [1, None]


def test_nodes_without_places_are_scored_by_their_text() -> None:
    nodes = [TextNode(id_=text[:8], text=text) for text in (SHIPPING, REFUND)]
    with pytest.warns(UserWarning, match="1 questions were left out"):
        found = evaluate(Fixed({"how fast": [SHIPPING, REFUND]}), ASKED, nodes=nodes)
    assert [one.rank for one in found.outcomes] == [1, None]


def test_nothing_answered_anywhere_is_an_error() -> None:
    nodes = [TextNode(id_="x", text="else", start_char_idx=0, end_char_idx=4)]
    with pytest.raises(PairsError, match="none of the 3 answers is in the collection"):
        evaluate(Fixed({}), ASKED, nodes=nodes)


@pytest.mark.parametrize("questions", [[], ["text"], [("a",)], [("a", 1)]])
def test_refuses_what_is_no_question(questions: Any) -> None:
    with pytest.raises(PairsError, match=r"hand over"):
        evaluate(Fixed({}), questions)


def test_compare_counts_what_changed() -> None:
    base = scored({"how fast": [PHONE, SHIPPING], "phone": [PHONE]})
    tuned = scored({"how fast": [SHIPPING], "phone": [PHONE]})
    compared = compare(base, tuned)
    assert compared.differences["mrr@10"].mean == pytest.approx((1 - 1 / 2) / 3)
    assert compared.to_json()["flips"][0] == {"k": 1, "fixed": 1, "broken": 0}


def test_results_can_be_kept_and_looked_at() -> None:
    found = scored({"how fast": [SHIPPING]})
    assert json.loads(json.dumps(found.to_json()))["mrr@10"]["mean"] == pytest.approx(1 / 3)
    frame = found.to_pandas()
    assert list(frame["question"]) == ["how fast", "money back?", "phone"]
    page = found._repr_html_()
    assert "<table>" in page
    assert "hit_rate@1" in page
    assert "Evaluation('fixed', n=3: hit_rate@1 .333" in repr(found)


def test_a_limit_below_ten_is_said() -> None:
    always = {question: [PHONE, REFUND] for question, _ in ASKED}
    with pytest.warns(UserWarning, match="returned 2 nodes at most.*similarity_top_k=10"):
        found = scored(always)
    assert len(found.warnings) == 1


def placed(text: str) -> TextNode:
    """A node that is all of its document."""
    return TextNode(
        id_=text[:8],
        text=text,
        start_char_idx=0,
        end_char_idx=len(text),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"{text[:8]}.md")},
    )


def test_ids_are_the_same_whether_the_nodes_are_known_or_not() -> None:
    texts = [SHIPPING, REFUND, PHONE]
    asked = [("How fast?", SHIPPING), ("how fast", SHIPPING), ("Money back", REFUND)]
    answers = {"How fast?": texts, "Money back": texts[:2]}
    by_place = evaluate(Fixed(answers), asked, nodes=[placed(text) for text in texts])
    by_text = scored(answers, asked)
    assert [one.question for one in by_text.outcomes] == ["How fast?", "Money back"]
    assert compare(by_place, by_text).differences["mrr@10"].mean == 0


def test_questions_that_one_collection_does_not_answer_are_left_out_of_a_comparison() -> None:
    nodes = [TextNode(id_=text[:8], text=text) for text in (SHIPPING, REFUND)]
    answers = {"how fast": [SHIPPING, REFUND], "money back?": [PHONE, REFUND], "phone": [PHONE]}
    with pytest.warns(UserWarning, match="1 questions were left out"):
        known = evaluate(Fixed(answers), ASKED, nodes=nodes, name="known")
    theirs = scored(answers)
    with pytest.warns(UserWarning, match=r"1 questions were left out: .* 2 are compared"):
        compared = compare(known, theirs)
    assert compared.n == 2
    assert compared.tuned["mrr@10"].mean == (1 + 1 / 2) / 2
    asked = [("else", PHONE), ("other", REFUND)]
    other = scored({"else": [PHONE]}, asked)
    with pytest.raises(PairsError, match="fixed and fixed were asked no question in common"):
        compare(theirs, other)
