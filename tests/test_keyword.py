"""Keyword search: what its terms are, BM25 by hand, and what becomes of a saved index."""

import datetime as dt
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from fakes import WordModel
from filelock import FileLock
from llama_index.core.schema import Document, QueryBundle, TextNode

from rag_app.chunks import Chunking, SentenceChunker
from rag_app.index import Catalog, IndexInfo, VectorIndex
from rag_app.retrieve.filters.where import parse_where
from rag_app.retrieve.keyword.analysis import Analysis
from rag_app.retrieve.keyword.bm25 import KeywordIndex, KeywordRetriever
from rag_app.retrieve.keyword.folder import (
    load_keyword_index,
    open_keyword_index,
    save_keyword_index,
)
from rag_app.retrieve.keyword.terms import ChunkTerms
from rag_app.retrieve.trace import Trace
from rag_app.retrieve.views import prepare_views

DATA = Path(__file__).parents[1] / "data"
PLAIN = Analysis()
ENGLISH = Analysis("en")
PAIRS = Analysis("en", "pairs")
KIWI = Analysis("en", "kiwi")
needs_kiwi = pytest.mark.skipif(
    Analysis.for_languages(["ko"]).korean != "kiwi", reason="kiwipiepy is not installed"
)


# What the terms are


def test_english_words_lose_endings_and_stop_words_are_left_out() -> None:
    assert ENGLISH.terms("How can I return the returned RETURNS?") == ["return"] * 3
    assert ENGLISH.terms("Don’t you? It isn't what we'd do") == []
    assert ENGLISH.terms("pre-paid e-mail, version 2.5") == [
        "pre", "paid", "e", "mail", "version", "2.5"
    ]  # fmt: skip


def test_words_of_an_unknown_language_stay_as_they_are() -> None:
    assert Analysis().terms("The Returns — von den Häusern") == [
        "the", "returns", "von", "den", "häusern"
    ]  # fmt: skip


def test_other_languages_have_their_own_stems_and_stop_words() -> None:
    assert Analysis("de").terms("Die Häuser") == Analysis("de").terms("das Haus")
    assert Analysis("fr").terms("les commandes") == Analysis("fr").terms("la commande")
    assert Analysis("ru").terms("и заказы") == Analysis("ru").terms("заказ")


def test_korean_by_pairs_of_syllables() -> None:
    assert PAIRS.terms("환불은 열흘") == ["환불", "불은", "열흘"]
    assert PAIRS.terms("오늘 뭐") == ["오늘", "뭐"]


def test_latin_words_and_numbers_in_korean_text_are_cut_from_their_particles() -> None:
    assert PAIRS.terms("Orumi-Buds를 3만원에") == ["orumi", "bud", "를", "3", "만원", "원에"]
    assert PAIRS.terms("ＡＢＣ를")[:1] == ["abc"]


def test_composed_and_decomposed_korean_are_one() -> None:
    assert PAIRS.terms("\u1112\u116a\u11ab불") == PAIRS.terms("환불") == ["환불"]


def test_chinese_and_japanese_go_by_pairs_too() -> None:
    assert Analysis().terms("退款需要") == ["退款", "款需", "需要"]
    assert Analysis().terms("カメラとSDカード") == [
        "カメ", "メラ", "ラと", "sd", "カー", "ード"
    ]  # fmt: skip


@needs_kiwi
def test_inflected_korean_forms_share_a_morpheme() -> None:
    # No two of them share a pair of syllables.
    forms = ["더워요", "더운", "덥다"]
    assert len({pair for form in forms for pair in PAIRS.terms(form)}) == 4
    assert all("덥" in KIWI.terms(form) for form in forms)


@needs_kiwi
def test_korean_counts_as_pairs_and_morphemes_and_the_rest_of_its_text_twice() -> None:
    # Particle and ending are no morphemes that carry content.
    assert KIWI.terms("배송은 3일 걸려요") == [
        "배송", "송은", "배송", "3", "3", "일", "일", "걸려", "려요", "걸리"
    ]  # fmt: skip
    assert KIWI.terms("three parcels") == ["three", "parcel"]


def test_a_text_has_the_same_terms_alone_and_among_others() -> None:
    # Of few words Kiwi is asked one by one, of many in one go.
    many = (DATA / "ko" / "lock" / "jam.md").read_text("utf-8").split()
    texts = ["환불은 열흘 걸립니다", "", "Refunds take 10 days", "A4 용지", "?!", *many]
    analysis = Analysis.for_languages(["ko", "en"])
    numbers, vocabulary = analysis.term_numbers(texts)
    known = list(vocabulary)
    assert [[known[n] for n in row] for row in numbers] == [analysis.terms(t) for t in texts]
    assert list(vocabulary.values()) == list(range(len(vocabulary)))


def test_the_commonest_language_with_a_stemmer_is_that_of_the_collection() -> None:
    def language(*languages: str) -> str:
        return Analysis.for_languages(languages).language

    assert language("en", "de", "de") == "de"
    assert language("de-AT") == language("DE_de") == "de"
    assert language("und", "und", "en") == "en"
    # A tie goes by the alphabet; what little Latin there is in Korean text is English.
    assert language("fr", "de") == "de"
    assert language("ko", "ko", "de") == "en"
    assert language("ko", "de", "de") == "de"
    assert language("und", "ja", "", "klingon") == language() == "und"


def test_the_name_says_what_the_terms_depend_on() -> None:
    names = [Analysis().name, ENGLISH.name, PAIRS.name, Analysis("de").name]
    assert len(set(names)) == 4
    assert names[0] == "und/v1"
    assert names[1].startswith("en-stemmer2") or names[1].startswith("en-stemmer3")
    assert names[2] == names[1].replace("/", "+ko-pairs/")


# BM25


def of_texts(texts: list[str], analysis: Analysis = PLAIN) -> KeywordIndex:
    """Passages called a, b, c, ..., in this order."""
    nodes = [
        TextNode(text=text, id_=chr(ord("a") + n), metadata={"chunk_index": n})
        for n, text in enumerate(texts)
    ]
    return KeywordIndex.of_terms(ChunkTerms.of(nodes, analysis))


def rows(
    texts: list[str], question: str, top_k: int = 10, analysis: Analysis = ENGLISH
) -> list[int]:
    found, scores = of_texts(texts, analysis=analysis).search(question, top_k)
    assert (np.diff(scores) <= 0).all()
    return [int(row) for row in found]


def test_scores_by_hand() -> None:
    # All passages are of mean length, so that a word that occurs once scores idf / (k1 + 1), where
    # idf = ln(1 + (N - n + 1/2) / (n + 1/2)) for a word in n of N passages.
    keyword = of_texts(["red apple", "red pear", "green pear"])
    apple, red = math.log(1 + 2.5 / 1.5) / 2.5, math.log(1 + 1.5 / 2.5) / 2.5
    found, scores = keyword.search("red apple", 3)
    assert found.tolist() == [0, 1]
    assert scores.tolist() == pytest.approx([red + apple, red])


def test_a_word_asked_twice_counts_twice() -> None:
    keyword = of_texts(["red apple", "red pear", "green pear"])
    once, twice = (keyword.search(question, 1)[1][0] for question in ("apple", "apple apple"))
    assert twice == pytest.approx(2 * once)


def test_english_stems_find_each_other() -> None:
    texts = ["the cat sleeps", "a refund is paid within ten days"]
    assert rows(texts, "are refunds paying?") == [1]
    assert rows(texts, "refunds", analysis=Analysis()) == []


def test_only_stop_words_find_nothing() -> None:
    assert rows(["what it is", "how to pay"], "what is it and how?") == []


def test_without_a_shared_word_nothing_is_found() -> None:
    texts = ["the cat sleeps", "...", ""]
    for question in ("parcels", "", "?!", "환불", "退款", "возврат", "🙂", "\x00", " "):
        assert rows(texts, question) == []
        assert rows([], question) == []


def test_a_question_in_another_language_finds_the_words_that_are_the_same() -> None:
    texts = ["Orumi Buds를 환불하려면", "배송은 사흘 걸립니다", "The cat sleeps"]
    for korean in (PAIRS, Analysis.for_languages(["ko"])):
        assert rows(texts, "How do I return my Orumi buds?", analysis=korean) == [0]
        assert rows(texts, "Wie gebe ich die Orumi zurück?", analysis=korean) == [0]


@needs_kiwi
def test_inflected_korean_finds_its_passage() -> None:
    texts = ["방이 더우면 창문을 여세요", "배송은 사흘 걸립니다"]
    assert rows(texts, "너무 덥다", analysis=KIWI) == [0]
    assert rows(texts, "너무 덥다", analysis=PAIRS) == []


def test_equal_scores_keep_their_order_and_no_more_than_asked_for_are_found() -> None:
    texts = ["dog", *["a cat"] * 40, "cat cat", "owl"]
    assert rows(texts, "cat", 50)[1:] == list(range(1, 41))
    assert rows(texts, "cat", 3) == [41, 1, 2]
    assert rows(texts, "cat", 0) == []


def test_only_allowed_passages_are_found() -> None:
    keyword = of_texts(["cat", "cat", "dog", "cat"])
    allowed = keyword.mask(["d", "c", "b", "gone"])
    assert allowed.tolist() == [False, True, True, True]
    assert keyword.search("cat", 9, allowed)[0].tolist() == [1, 3]
    assert keyword.search("cat", 1, allowed)[0].tolist() == [1]
    assert keyword.search("cat", 9, keyword.mask([]))[0].tolist() == []


# An index with a keyword search beside it

REFUND = "Refunds take ten days."
PARCEL = "A parcel takes three days."
KOREAN = "환불은 열흘 걸립니다."


def add(index: VectorIndex, documents: list[Document]) -> None:
    model = WordModel()
    chunker = SentenceChunker.for_model(model, index.info.chunking)
    nodes = chunker.get_nodes_from_documents(documents)
    index.write(nodes, model.embed_passages([node.text for node in nodes]))


def document(number: int, text: str, **metadata: str) -> Document:
    return Document(id_=f"d{number}", text=text, metadata={"language": "en", **metadata})


@pytest.fixture
def empty(tmp_path: Path) -> VectorIndex:
    info = IndexInfo.of(WordModel(), Chunking(16, 0))
    return Catalog(tmp_path / "storage").make("words", info)


@pytest.fixture
def index(empty: VectorIndex) -> VectorIndex:
    texts = [("help", REFUND), ("news", PARCEL), ("news", "The refund desk has moved.")]
    add(empty, [document(n, text, category=c) for n, (c, text) in enumerate(texts)])
    return empty


def ask(index: VectorIndex, question: str, *, top_k: int = 5, where: str = "") -> list[str]:
    """Texts that are found over the index, and the same over its passages in memory."""
    condition = (
        parse_where(where, index.metadata_keys(), today=dt.date(2024, 1, 1)) if where else None
    )
    keyword = open_keyword_index(index)
    over_index = KeywordRetriever.over_index(index, keyword, top_k=top_k, where=condition)
    over_passages = KeywordRetriever.over_passages(
        index.passages(), keyword, top_k=top_k, where=condition
    )
    left, right = over_index.retrieve(question), over_passages.retrieve(QueryBundle(question))
    assert [(hit.node.node_id, hit.score) for hit in left] == [
        (hit.node.node_id, hit.score) for hit in right
    ]
    assert [hit.node.metadata for hit in left] == [hit.node.metadata for hit in right]
    return [hit.node.text for hit in left]


def save(terms: ChunkTerms, folder: Path) -> None:
    save_keyword_index(KeywordIndex.of_terms(terms), terms, folder)


def written(index: VectorIndex) -> int:
    return (index.folder / "keyword" / "about.json").stat().st_mtime_ns


def test_found_over_an_index_and_over_passages(index: VectorIndex) -> None:
    # The first has all three words; "refund" and "days" are as rare as each other, and "refund"
    # is one word of three in the third, "days" one of four in the second.
    assert ask(index, "refunded in ten days?") == [REFUND, "The refund desk has moved.", PARCEL]
    assert ask(index, "refunded in ten days?", top_k=1) == [REFUND]
    assert ask(index, "nothing of the kind") == []


def test_only_what_the_filter_lets_through(index: VectorIndex) -> None:
    assert ask(index, "refund", where="category = news") == ["The refund desk has moved."]
    assert ask(index, "parcel", where="category = help") == []


def test_each_question_has_its_ranking_and_its_step(index: VectorIndex) -> None:
    retriever = KeywordRetriever.over_index(index, open_keyword_index(index), top_k=5)
    traces = [Trace("parcels"), Trace("nothing of the kind"), Trace("refund")]
    rankings = retriever.rank(traces)
    assert [len(ranking) for ranking in rankings] == [1, 0, 2]
    for trace, ranking in zip(traces, rankings, strict=True):
        [step] = trace.steps
        assert step.name == "keyword"
        assert step.scores == {hit.node.node_id: hit.score for hit in ranking}
    assert retriever.rank([]) == []


def test_an_empty_index_finds_nothing_until_there_is_something(empty: VectorIndex) -> None:
    assert ask(empty, "refund") == []
    assert ask(empty, "refund") == []
    add(empty, [document(0, REFUND)])
    assert ask(empty, "refund") == [REFUND]


def test_kept_and_read_again(index: VectorIndex) -> None:
    made = open_keyword_index(index)
    first = written(index)
    read = open_keyword_index(index)
    assert written(index) == first
    assert read.analysis == made.analysis == ENGLISH
    assert list(read.chunk_ids) == list(made.chunk_ids)
    for question in ("refund", "ten days", "none"):
        (left, left_scores), (right, right_scores) = (
            made.search(question, 5),
            read.search(question, 5),
        )
        assert (left.tolist(), left_scores.tolist()) == (right.tolist(), right_scores.tolist())


def test_progress_while_it_is_made_and_none_when_it_is_read(index: VectorIndex) -> None:
    told: list[tuple[str, int, int]] = []

    def tell(step: str, done: int, total: int, note: str = "") -> None:
        told.append((step, done, total))

    open_keyword_index(index, progress=tell)
    assert told == [("keyword index", n, 3) for n in (1, 2, 3)]
    open_keyword_index(index, progress=tell)
    assert len(told) == 3


def test_made_again_when_documents_change(index: VectorIndex) -> None:
    assert ask(index, "vouchers") == []
    add(index, [document(7, "Vouchers expire.")])
    assert ask(index, "vouchers") == ["Vouchers expire."]
    index.delete([node.node_id for node in index.passages().nodes if "Vouchers" in node.text])
    assert ask(index, "vouchers") == []


def test_only_new_chunks_are_read_when_documents_change(index: VectorIndex) -> None:
    open_keyword_index(index)
    add(index, [document(7, "Vouchers expire."), document(8, "Vouchers are no refund.")])
    index.delete([node.node_id for node in index.nodes() if "moved" in node.text])
    told: list[tuple[int, int]] = []
    open_keyword_index(index, progress=lambda _, done, total, note="": told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_ingest_brings_up_to_date_what_a_search_made(index: VectorIndex) -> None:
    folder = index.folder / "keyword"
    prepare_views(index, WordModel(), None)
    assert not folder.exists(), "no question has asked for it"
    open_keyword_index(index)
    add(index, [document(8, "Refunds of gift cards.")])
    assert load_keyword_index(folder, index.chunk_ids()) is None
    prepare_views(index, WordModel(), None)
    assert load_keyword_index(folder, index.chunk_ids()) is not None


def test_brought_up_to_date_it_is_what_it_would_be_made_anew(empty: VectorIndex) -> None:
    chance = random.Random(5)  # noqa: S311
    files = sorted((DATA / "en").rglob("*.md"))[:40]
    texts = [line for file in files for line in file.read_text("utf-8").splitlines() if line]
    texts[3] = texts[11] = "of the and"  # No term but stop words.
    for number in range(6):
        places = chance.sample(range(len(texts)), 12)
        add(empty, [document(1000 * number + place, texts[place]) for place in places])
        ids = sorted(empty.chunk_ids())
        empty.delete(chance.sample(ids, len(ids) // 3))
        now, anew = open_keyword_index(empty), KeywordIndex.of(empty.nodes())
        assert now.chunk_ids == anew.chunk_ids
        assert now.bm25.vocab_dict.keys() == anew.bm25.vocab_dict.keys()
        for question in chance.sample(texts, 20):
            (left, left_scores), (right, right_scores) = (
                keyword.search(question, 20) for keyword in (now, anew)
            )
            assert left.tolist() == right.tolist()
            assert left_scores == pytest.approx(right_scores)


def test_korean_documents_change_the_analysis(index: VectorIndex) -> None:
    assert open_keyword_index(index).analysis.korean == "none"
    add(index, [document(8, KOREAN, language="ko")])
    assert open_keyword_index(index).analysis == Analysis.for_languages(["en", "ko"])
    assert ask(index, "환불 언제 되나요") == [KOREAN]


@needs_kiwi
def test_made_again_when_kiwi_has_been_installed(index: VectorIndex) -> None:
    add(index, [document(8, KOREAN, language="ko")])
    folder, ids = index.folder / "keyword", index.chunk_ids()
    save(ChunkTerms.of(index.nodes(), PAIRS), folder)
    assert load_keyword_index(folder, ids) is None
    assert open_keyword_index(index).analysis == KIWI
    assert load_keyword_index(folder, ids) is not None


def test_a_chunk_deleted_after_opening_is_left_out(index: VectorIndex) -> None:
    retriever = KeywordRetriever.over_index(index, open_keyword_index(index), top_k=5)
    index.delete([node.node_id for node in index.nodes() if node.text == REFUND])
    assert [hit.node.text for hit in retriever.retrieve("refund")] == ["The refund desk has moved."]


FILES = (
    "about.json",
    "data.csc.index.npy",
    "indices.csc.index.npy",
    "indptr.csc.index.npy",
    "params.index.json",
    "terms.npy",
    "vocab.index.json",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [None, 0, 0.5], ids=["missing", "empty", "half"])
def test_a_damaged_folder_is_made_again(index: VectorIndex, name: str, left: float | None) -> None:
    open_keyword_index(index)
    file = index.folder / "keyword" / name
    whole = file.read_bytes()
    file.unlink()
    if left is not None:
        file.write_bytes(whole[: int(len(whole) * left)])
    assert ask(index, "parcel") == [PARCEL]
    assert file.read_bytes() == whole


@pytest.mark.parametrize("about", [[], {}, {"stamp": 1, "analysis": {"x": 1}, "chunk_ids": 5}])
def test_a_foreign_folder_is_made_again(index: VectorIndex, about: object) -> None:
    folder = index.folder / "keyword"
    folder.mkdir()
    (folder / "about.json").write_text(json.dumps(about), "utf-8")
    assert ask(index, "parcel") == [PARCEL]
    assert sorted(file.name for file in folder.iterdir()) == list(FILES)


def test_arrays_of_another_index_are_noticed(index: VectorIndex, tmp_path: Path) -> None:
    open_keyword_index(index)
    other = [TextNode(text="one two three", id_="a"), TextNode(text="four", id_="b")]
    save(ChunkTerms.of(other), tmp_path / "other")
    array = "indices.csc.index.npy"
    (tmp_path / "other" / array).replace(index.folder / "keyword" / array)
    assert ask(index, "parcel") == [PARCEL]


def test_what_a_killed_process_left_does_no_harm(index: VectorIndex) -> None:
    partial = index.folder / "keyword.partial"
    partial.mkdir()
    (partial / "junk").write_text("half", "utf-8")
    assert ask(index, "parcel") == [PARCEL]
    assert not partial.exists()
    assert sorted(file.name for file in (index.folder / "keyword").iterdir()) == list(FILES)


class FullDisk:
    """Writes the first file and no more."""

    def save(self, folder: Path, **_: object) -> None:
        folder.mkdir()
        (folder / "data.csc.index.npy").write_bytes(b"half")
        raise OSError(28, "No space left on device")


def test_a_save_that_fails_leaves_what_was_there(index: VectorIndex) -> None:
    keyword, terms = open_keyword_index(index), ChunkTerms.of(index.nodes())
    before = written(index)
    keyword.bm25 = FullDisk()
    with pytest.raises(OSError, match="No space left"):
        save_keyword_index(keyword, terms, index.folder / "keyword")
    assert not (index.folder / "keyword.partial").exists()
    assert ask(index, "parcel") == [PARCEL]
    assert written(index) == before


def test_it_works_where_nothing_can_be_written(index: VectorIndex, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    index.folder = tmp_path / "file"
    assert ask(index, "parcel") == [PARCEL]
    with pytest.raises(OSError, match="file"):
        save(ChunkTerms.of(index.nodes()), index.folder / "keyword")


def test_it_works_while_another_process_writes_it(index: VectorIndex) -> None:
    with FileLock(index.folder / "keyword.lock"):
        assert ask(index, "parcel") == [PARCEL]
    assert not (index.folder / "keyword").exists()


def test_the_folder_is_made_where_there_is_none(index: VectorIndex, tmp_path: Path) -> None:
    index.folder = tmp_path / "a" / "server's"
    assert ask(index, "parcel") == [PARCEL]
    assert written(index)


def test_nodes_by_id_and_all_of_them(index: VectorIndex) -> None:
    nodes = index.passages().nodes
    ids = [node.node_id for node in nodes]
    assert sorted(index.chunk_ids()) == sorted(ids)
    assert sorted(node.node_id for node in index.nodes()) == sorted(ids)
    assert [node.text for node in index.get_nodes([ids[1], "gone"])] == [nodes[1].text]
    assert index.get_nodes([]) == []
