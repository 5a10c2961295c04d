"""Questions: what is asked, what survives a kill, what is dropped and why, the whole stage."""

import errno
import itertools
import json
import os
import platform
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from conftest import MINILM, ROOT
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure
from fakes import WordModel
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from lock_holder import held_elsewhere
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.chunks import passage_text
from rag_app.cli.app import build_app
from rag_app.errors import LanguageModelError, StorageError
from rag_app.index import Passages, Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.llm import local as local_llm
from rag_app.llm.choose import LanguageModelOptions, open_language_model
from rag_app.models import EmbeddingModel
from rag_app.pairs import read_questions
from rag_app.questions import (
    ChunkQuestions,
    Filtered,
    GeneratedQuestion,
    QuestionsReport,
    QuestionStore,
    filter_questions,
    to_pairs,
    usable_questions,
    write_questions,
)
from rag_app.questions.examples import ENGLISH, EXAMPLES, KOREAN
from rag_app.questions.extract import (
    HEADINGS,
    OF_HEADED,
    Worded,
    extract_questions,
    usual_styles,
)
from rag_app.questions.prompts import (
    INSTRUCTED_VERSION,
    PromptWriter,
    question_language,
    read_answer,
    window,
)
from rag_app.questions.rarity import Rarity
from rag_app.questions.styles import KEYWORDS, QUESTION, SENTENCE, TITLE, WORDINGS
from rag_app.questions.wording import (
    MOST_WORDS,
    copied,
    leaks_prompt,
    not_a_question,
    not_asked,
    too_long,
    too_short,
)
from rag_app.questions.writers import ModelWriter, generator_name

REFUND = "Refunds reach your account within five working days. Cash is never paid out."
FREIGHT = "Parcels over thirty kilograms travel by freight. The driver calls before arriving."
HOURS = "The showroom opens at nine. On Sundays nobody is there."
KOREAN_TEXT = "환불은 영업일 기준 닷새 안에 계좌로 들어옵니다. 현금으로는 돌려드리지 않습니다."


def make_node(text: str, *, document: str = "a.md", start: int = 0, title: str = "") -> TextNode:
    metadata = {"title": title} if title else {}
    return TextNode(
        id_=f"{document}:{start}",
        text=text,
        start_char_idx=start,
        end_char_idx=start + len(text),
        metadata=metadata,
        metadata_template="{value}",
        text_template="{metadata_str}\n{content}",
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
    )


def make_passages(nodes: list[TextNode], model: WordModel) -> Passages:
    return Passages(nodes, model.embed_passages([passage_text(node) for node in nodes]))


def filtered(
    questions: list[GeneratedQuestion], nodes: list[TextNode], *, top_k: int = 10
) -> Filtered:
    model = WordModel()
    passages = make_passages(nodes, model)
    return filter_questions(questions, passages, cast("EmbeddingModel", model), top_k=top_k)


def asked(question: str, node: TextNode, *, generator: str = "m") -> GeneratedQuestion:
    return GeneratedQuestion(
        question=question,
        chunk_id=node.node_id,
        document_id=str(node.ref_doc_id),
        start=int(node.start_char_idx or 0),
        end=int(node.end_char_idx or 0),
        generator=generator,
        prompt_version="v1",
        language="en",
    )


def record(chunk_id: str, *questions: str, **changes: Any) -> ChunkQuestions:
    made = ChunkQuestions(
        chunk_id=chunk_id,
        document_id="a.md",
        start=0,
        end=9,
        language="en",
        generator="m",
        prompt_version="v1",
        asked=len(questions),
        seed=13,
        questions=questions,
    )
    return replace(made, **changes)


def asking(*questions: str) -> list[Worded]:
    return [Worded(question, QUESTION) for question in questions]


class Parrot:
    """A language model that answers each prompt with its number, last prompt first."""

    name = "parrot.gguf"
    follows_instructions = False

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.options: dict[str, Any] = {}
        self.grammars: list[str] = []

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        grammar: str = "",
        as_json: bool = False,
        on_done: Callable[[int, str], None] | None = None,
    ) -> list[str]:
        self.prompts += prompts
        self.options = {"seed": seed, "stop": tuple(stop), "max_tokens": max_tokens}
        self.grammars += [grammar] * len(prompts)
        for number in reversed(range(len(prompts))):
            if on_done:
                on_done(number, f" question {number}?")
        return [""] * len(prompts)


# --- what is asked


def test_prompts_share_one_prefix_and_end_with_the_passage() -> None:
    nodes = [make_node(REFUND, title="Refunds"), make_node(FREIGHT, document="b.md")]
    writer = PromptWriter(Rarity([REFUND, FREIGHT]), follows_instructions=False)
    first, second = (writer.prompts(node, [0], [QUESTION])[0] for node in nodes)
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    shared = "".join(one for one, _ in pairs)
    assert all(example.question in shared for example in ENGLISH)
    assert REFUND not in shared
    assert first.endswith("\nCustomer question:")
    assert "Passage: Refunds. Refunds reach your account" in first
    assert "colloquial" not in first  # a base model gets examples only


def test_a_model_that_follows_instructions_is_told_what_to_do_first() -> None:
    writer = PromptWriter(Rarity([REFUND]), follows_instructions=True)
    prompt = writer.prompts(make_node(REFUND), [0], [QUESTION])[0]
    assert prompt.startswith("Write one question")
    assert writer.stop == ()


def test_each_question_of_a_chunk_has_a_topic_of_its_own() -> None:
    writer = PromptWriter(Rarity([REFUND, FREIGHT]), follows_instructions=False)
    prompts = writer.prompts(make_node(REFUND), range(4), [QUESTION] * 4)
    assert len(set(prompts)) == 4


@pytest.mark.parametrize(("instructed", "shown"), [(False, 0), (True, len(KOREAN) + 1)])
def test_in_korean_only_a_model_that_follows_instructions_is_shown_topics(
    instructed: bool, shown: int
) -> None:
    writer = PromptWriter(Rarity([KOREAN_TEXT]), follows_instructions=instructed)
    prompt = writer.prompts(make_node(KOREAN_TEXT), [0], [QUESTION])[0]
    assert prompt.count("주제:") == shown
    assert prompt.endswith("\n질문:")


@pytest.mark.parametrize(
    ("question", "dropped"),
    [
        ("가입 이메일 바꿀 수 있나요?", False),
        ("배송지 어떻게 바꿔요", False),
        ("환불 언제", False),
        ("앱 알림이 오지 않을 때, 재우면", True),
        ("저장 카드 규칙이 변경되었습니다", True),
        ("구독 잠시 멈추기, 당분간, 멈출", True),
        ("how do I change my address", False),
        ("返金はいつですか", False),
    ],
)
def test_korean_that_asks_nothing_is_no_question(question: str, dropped: bool) -> None:
    assert not_asked(question, "") is dropped


@pytest.mark.parametrize(
    ("text", "language", "example"),
    [
        (REFUND + " You can ask them what this is and how they do it.", "en", ENGLISH[3]),
        (KOREAN_TEXT, "ko", KOREAN[3]),
        ("返金は五営業日以内に口座へ入金されます。", "other", KOREAN[3]),
    ],
)
def test_examples_are_in_the_language_of_the_passage(
    text: str, language: str, example: Any
) -> None:
    node = make_node(text)
    assert question_language(node) == language
    prompt = PromptWriter(Rarity([text]), follows_instructions=False).prompts(
        node, [0], [QUESTION]
    )[0]
    assert example.passage in prompt


def test_a_long_passage_is_cut_to_what_fits_around_its_key_sentence() -> None:
    text = " ".join(f"Sentence number {i} says little." for i in range(2000)) + " Zebras bite."
    shown = window(text, "Zebras bite.", limit=100)
    assert shown.endswith("Zebras bite.")
    assert len(shown) <= 100


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        (" how do I pay", "how do I pay"),
        ("\n1. **Can I pay later?**\n2. Who pays?", "Can I pay later?"),
        ('Customer question: "Can I pay later?"', "Can I pay later?"),
        ("Is it free? Yes, it is free.", "Is it free?"),
        ("질문: 환불 되나요?", "환불 되나요?"),
        (" \n ", ""),
    ],
)
def test_the_question_is_read_out_of_an_answer(answer: str, question: str) -> None:
    assert read_answer(answer) == question


def test_the_model_is_asked_at_once_and_answers_in_any_order() -> None:
    parrot = Parrot()
    nodes = [make_node(REFUND), make_node(FREIGHT, document="b.md")]
    written: dict[int, list[Worded]] = {}
    writer = ModelWriter(parrot, Rarity([REFUND, FREIGHT]))
    orders = [(nodes[0], range(2)), (nodes[1], range(1, 2))]
    writer.write(orders, seed=7, on_written=written.__setitem__)
    assert writer.generator == "parrot"
    assert written == {0: asking("question 0?", "question 1?"), 1: asking("question 2?")}
    assert parrot.options == {"seed": 7, "stop": ("\n",), "max_tokens": 48}


def test_only_korean_from_a_base_model_is_held_to_a_grammar() -> None:
    parrot = Parrot()
    texts = [REFUND, KOREAN_TEXT, FREIGHT]
    written: dict[int, list[Worded]] = {}
    orders = [(make_node(text, document=text[:4]), range(1)) for text in texts]
    ModelWriter(parrot, Rarity(texts)).write(orders, seed=7, on_written=written.__setitem__)
    assert written == {
        0: asking("question 0?"),
        1: asking("question 0?"),
        2: asking("question 1?"),
    }
    assert parrot.grammars == ["", "", WORDINGS["ko"][QUESTION].grammar]
    assert KOREAN_TEXT[:20] in parrot.prompts[2]
    instructed = PromptWriter(Rarity(texts), follows_instructions=True)
    assert instructed.grammar(orders[1][0], QUESTION) == ""


def test_a_number_is_no_title() -> None:
    writer = PromptWriter(Rarity([REFUND]), follows_instructions=False)
    shown = [
        writer.prompts(make_node(REFUND, title=title), [0], [QUESTION])[0]
        for title in ("", "039", "A 3")
    ]
    assert shown[0] == shown[1] != shown[2]


# --- without a language model


def test_headings_faq_lines_and_key_words_become_questions() -> None:
    text = "## How to pay\n\nQ: Can I pay by card?\nWe accept zebra stripes and giraffe spots here."
    node = make_node(text, title="Payments")
    rarity = Rarity([text, "We accept and here.", "We accept stripes here."])
    assert extract_questions(node, rarity, 2, styles=OF_HEADED) == [
        Worded("Can I pay by card?", QUESTION),
        Worded("Payments How to pay", TITLE),
    ]
    third = extract_questions(node, rarity, 3, styles=OF_HEADED)[2].text
    assert set(third.split()) <= set(text.replace(".", "").split())
    assert 4 <= len(third.split()) <= 8
    assert {"zebra", "giraffe"} <= set(third.split())
    again = [extract_questions(node, rarity, 3, styles=OF_HEADED) for _ in range(2)]
    assert again[0] == again[1]


def test_korean_headings_and_questions_too() -> None:
    node = make_node(f"## 환불 시기\n질문: 언제 들어오나요?\n{KOREAN_TEXT}", title="환불")
    found = [
        one.text for one in extract_questions(node, Rarity([KOREAN_TEXT]), 9, styles=OF_HEADED)
    ]
    assert found[:2] == ["언제 들어오나요?", "환불 환불 시기"]
    assert len(found) == 4  # and two sentences


def test_bare_texts_give_their_sentences() -> None:
    rarity = Rarity([REFUND, FREIGHT])
    bare = [make_node(REFUND), make_node(FREIGHT, title="039"), make_node(HOURS)]
    headed = [make_node(REFUND, title="Refunds"), make_node(f"# Freight\n{FREIGHT}"), bare[2]]
    assert usual_styles(bare) == (QUESTION, SENTENCE)
    assert usual_styles(headed) == (QUESTION, TITLE, KEYWORDS)
    assert usual_styles([]) == (QUESTION, TITLE, KEYWORDS)
    found = extract_questions(bare[0], rarity, 9, styles=usual_styles(bare))
    assert found == [Worded(one, SENTENCE) for one in rarity.key_sentences(REFUND)]
    # Its only sentence is all that a passage says.
    assert (
        extract_questions(make_node("Nobody is paid in cash."), rarity, 9, styles=[SENTENCE]) == []
    )


def test_a_sentence_of_the_passage_is_no_fault() -> None:
    sentence = f"Cash is never paid back to anyone who asks for it{' again' * MOST_WORDS}."
    node = make_node(f"{REFUND} {sentence}")
    taken = replace(asked(sentence, node), generator=HEADINGS, style=SENTENCE)
    assert filtered([taken], [node]).dropped == {}
    assert filtered([replace(taken, style=QUESTION)], [node]).dropped == {"no question": 1}


# --- what survives a kill


def test_the_last_line_of_a_chunk_counts_and_a_torn_one_does_not(tmp_path: Path) -> None:
    store = QuestionStore(tmp_path, "m")
    with store.writing() as append:
        append(record("c1", "old?"))
        append(record("c2", "other?"))
        append(record("c1", "old?", "new?"))
    whole = store.path.read_bytes()
    store.path.write_bytes(whole + b'{"chunk_id": "c3", "questi')
    assert {key: value.questions for key, value in store.load().items()} == {
        "c1": ("old?", "new?"),
        "c2": ("other?",),
    }
    with store.writing() as append:
        append(record("c3", "third?"))
    assert store.path.read_bytes().startswith(whole + b'{"chunk_id": "c3", "document_id"')
    assert list(store.load()) == ["c1", "c2", "c3"]


def test_a_kill_loses_only_what_is_in_flight(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from pathlib import Path\n"
        "from test_questions import QuestionStore, record\n"
        f"with QuestionStore(Path({str(tmp_path)!r}), 'm').writing() as append:\n"
        "    for i in range(3):\n"
        "        append(record(f'c{i}', 'q?'))\n"
        "    print('three', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"three\n"
        process.send_signal(signal.SIGKILL)
    store = QuestionStore(tmp_path, "m")
    assert list(store.load()) == ["c0", "c1", "c2"]
    with store.writing() as append:  # the lock of the dead is free
        append(record("c3", "q?"))


def test_who_may_not_write_questions_is_told_who_does(tmp_path: Path) -> None:
    store = QuestionStore(tmp_path, "m")
    imports = "from rag_app.questions import QuestionStore"
    with (
        held_elsewhere(
            imports, "QuestionStore(Path(sys.argv[1]), 'm').writing()", tmp_path
        ) as other,
        pytest.raises(StorageError) as caught,
        store.writing(),
    ):
        pass
    said = str(caught.value)
    assert said.startswith(f"{store.path} is being written by another process (`-c {tmp_path}`, ")
    assert f"process {other.pid} on {platform.node()}, since 20" in said
    assert said.endswith("wait for it to end, or name another folder with --storage")
    with store.writing():
        pass
    assert [path.name for path in store.path.parent.iterdir()] == ["m.jsonl", "m.lock"]


def test_two_writers_and_damage_are_told_of(tmp_path: Path) -> None:
    store = QuestionStore(tmp_path, "m")
    with (
        store.writing() as append,
        pytest.raises(StorageError, match="another process"),
        QuestionStore(tmp_path, "m").writing(),
    ):
        append(record("c1", "q?"))
    store.path.write_bytes(b"{broken}\n{}\n")
    with pytest.raises(StorageError, match=r"line 1 of .* delete that line"):
        store.load()


def test_generators_do_not_mix(tmp_path: Path) -> None:
    for generator in ("org/model:4b", "headings"):
        with QuestionStore(tmp_path, generator).writing() as append:
            append(record("c1", f"by {generator}?", generator=generator))
    assert sorted(path.name for path in (tmp_path / "questions").glob("*.jsonl")) == [
        "headings.jsonl",
        "org-model-4b.jsonl",
    ]
    assert QuestionStore(tmp_path, "org/model-4b").load() == {}  # same file, other generator
    assert {store.generator for store in QuestionStore.all(tmp_path)} == {
        "org/model:4b",
        "headings",
    }


# --- what is dropped


@pytest.mark.parametrize(
    "question", ["", "?!", "Refunds take five days.", "환불 되나요?", "1111111"]
)
def test_what_is_no_question(question: str) -> None:
    assert not_a_question(question, REFUND)


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("when is my money back", REFUND),
        ("돈은 언제 와요?", KOREAN_TEXT),
        ("Wi-Fi 2.4GHz 되나요", KOREAN_TEXT),
        ("it beeps. what now?", REFUND),
    ],
)
def test_what_is_a_question(question: str, passage: str) -> None:
    assert not not_a_question(question, passage)


def test_loops_are_no_questions() -> None:
    assert not_a_question("the code the code the code the code?", REFUND)
    assert not_a_question("2000cc 렌지 2000cc 렌지 2000cc 렌지?", KOREAN_TEXT)


def test_length_is_counted_in_words_or_syllables() -> None:
    assert too_short("refund?", REFUND)
    assert not too_short("refund when", REFUND)
    assert too_short("환불?", KOREAN_TEXT)
    assert not too_short("환불 언제?", KOREAN_TEXT)
    assert too_long("word " * 36, REFUND)
    assert not too_long("word " * 35, REFUND)
    assert too_long("가" * 81, KOREAN_TEXT)


@pytest.mark.parametrize(
    "question",
    [
        "What does the passage say about refunds?",
        "According to the text, when are refunds paid?",
        "이 글에 따르면 환불은 언제 되나요?",
        "위 지문에서 환불은 언제 되나요?",
        "Topic: refunds",
        "can I get a library card refunded?",
        "도서관에서도 환불되나요?",
        EXAMPLES["en"][1].question,
    ],
)
def test_leaks(question: str) -> None:
    assert leaks_prompt(question, REFUND + KOREAN_TEXT)


def test_what_the_passage_itself_speaks_of_is_no_leak() -> None:
    assert not leaks_prompt("is the passage to the island rough?", "The passage takes an hour.")
    assert not leaks_prompt("수영장 어디예요?", "수영장은 지하에 있습니다.")


def test_copies_are_known_in_both_languages() -> None:
    assert copied("Refunds reach your account within five working days?", REFUND)
    assert copied("환불은 영업일 기준 닷새 안에 계좌로 들어오나요?", KOREAN_TEXT)
    assert not copied("how many working days until my refund is there?", REFUND)
    assert not copied("현금으로 주시면 안 되나요?", KOREAN_TEXT)
    assert not copied("your account", REFUND)  # names a thing


def test_filters_count_each_reason_once() -> None:
    nodes = [
        make_node(text, document=f"{i}.md")
        for i, text in enumerate([REFUND, FREIGHT, HOURS, *(f"filler{i}" for i in range(9))])
    ]
    questions = [
        asked("when do refunds reach me?", nodes[0]),
        asked("When do refunds reach me", nodes[0]),
        asked("do refunds when reach me?", nodes[0]),  # the same words: cosine 1
        asked("do refunds ever reach me?", nodes[1]),
        asked("which parcels travel by freight?", nodes[1]),
        asked("parcels by freight?", nodes[2]),
        asked("", nodes[2]),
        asked("open", nodes[2]),
        asked("According to the passage, who opens?", nodes[2]),
        asked("The showroom opens at nine?", nodes[2]),
    ]
    assert filtered(questions, nodes, top_k=1) == Filtered(
        kept=[questions[0], questions[4]],
        dropped={
            "no question": 1,
            "too short": 1,
            "leaks the prompt": 1,
            "copied": 1,
            "not found": 2,  # what asks of refunds or freight finds neither 1.md nor 2.md
            "repeated": 2,
        },
    )


def test_an_overlapping_chunk_and_an_equal_text_count_as_found() -> None:
    long = make_node(REFUND + " More is said elsewhere about other things entirely.", start=0)
    short = make_node(REFUND, start=0, document="a.md")
    short.id_ = "short"
    twin = make_node(REFUND, document="twin.md")
    nodes = [long, short, twin, make_node(FREIGHT, document="b.md")]
    question = "refunds within five days cash paid account?"
    for node in (long, twin):
        kept = filtered([asked(question, node)], nodes, top_k=1).kept
        assert len(kept) == 1


def test_no_questions_no_trouble() -> None:
    assert filtered([], [make_node(REFUND)]) == Filtered([], {})


def test_pairs_carry_the_span_and_the_origin() -> None:
    [pair] = to_pairs([asked("when?", make_node(REFUND, start=10))])
    assert (pair.document_id, pair.start, pair.end) == ("a.md", 10, 10 + len(REFUND))
    assert pair.origin == "m/v1"


# --- the stage


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [word.strip(".,").lower() for word in (REFUND + FREIGHT + HOURS).split()]
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny", words=sorted(set(words)))


@pytest.fixture
def workspace(tmp_path: Path, tiny: Path) -> Workspace:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in {"refund": REFUND, "freight": FREIGHT, "hours": HOURS}.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    made = Workspace(tmp_path / "storage")
    ingest(made, IngestRequest([folder], options=IndexOptions(str(tiny), 64, 0)))
    return made


NO_MODEL = LanguageModelOptions("none")


def at_endpoint(endpoint: FakeEndpoint, **more: Any) -> LanguageModelOptions:
    return LanguageModelOptions("endpoint", base_url=endpoint.url, model="gemma", **more)


def write(
    workspace: Workspace, llm: LanguageModelOptions = NO_MODEL, **more: Any
) -> QuestionsReport:
    return write_questions(workspace.open(), storage=workspace.storage, llm=llm, **more)


def sold_where(request: Request) -> Reply:
    """A question made of the topic's words, which stand before the last label."""
    topic = request.prompt.rsplit("Topic: ", 1)[1].split("\n")[0]
    return completion(f"where is {topic.replace(',', '')} sold?")


def accounted(report: QuestionsReport) -> int:
    return report.kept + sum(report.dropped.values())


def test_a_language_model_writes_once_and_only_what_is_missing(workspace: Workspace) -> None:
    with FakeEndpoint(sold_where) as endpoint:
        chosen = at_endpoint(endpoint)
        first = write(workspace, chosen, per_chunk=1)
        again = write(workspace, chosen, per_chunk=1)
        more = write(workspace, chosen, per_chunk=3)
        sent = [request.prompt for request in endpoint.requests]
    assert (first.chunks, first.asked, first.resumed) == (3, 3, 0)
    assert (again.asked, again.resumed, again.kept) == (0, 3, first.kept)
    assert (more.asked, more.resumed) == (6, 0)
    assert accounted(first) == 3
    assert accounted(more) == 9
    assert len(sent) == len(set(sent)) == 9
    assert more.generator == "gemma"
    assert more.by_language_model


def test_a_limit_is_a_sample_that_a_larger_one_contains(workspace: Workspace) -> None:
    with FakeEndpoint(sold_where) as endpoint:
        chosen = at_endpoint(endpoint)
        assert write(workspace, chosen, per_chunk=1, limit=1).asked == 1
        report = write(workspace, chosen, per_chunk=1, limit=2)
    assert (report.chunks, report.asked, report.resumed) == (2, 1, 1)


def test_what_was_written_before_a_failure_is_kept(workspace: Workspace) -> None:
    def once(request: Request) -> Reply:
        broken = len(endpoint.requests) > 1
        return failure(400, "out of order") if broken else sold_where(request)

    with FakeEndpoint(once) as endpoint:
        chosen = at_endpoint(endpoint, concurrency=1)
        with pytest.raises(LanguageModelError):
            write(workspace, chosen, per_chunk=1)
    with FakeEndpoint(sold_where) as endpoint:
        report = write(workspace, at_endpoint(endpoint), per_chunk=1)
    assert (report.asked, report.resumed) == (2, 1)


def test_another_prompt_version_asks_again(workspace: Workspace) -> None:
    with FakeEndpoint(sold_where) as endpoint:
        chosen = at_endpoint(endpoint)
        write(workspace, chosen, per_chunk=1)
        store = QuestionStore(workspace.storage, "gemma")
        old = store.path.read_text("utf-8").replace(
            f'"prompt_version": "{INSTRUCTED_VERSION}"', '"prompt_version": "v0"'
        )
        store.path.write_text(old, "utf-8")
        report = write(workspace, chosen, per_chunk=1)
    assert (report.asked, accounted(report)) == (3, 3)


def test_chunks_that_left_the_index_are_ignored_and_kept_in_the_file(workspace: Workspace) -> None:
    with QuestionStore(workspace.storage, HEADINGS).writing() as append:
        append(record("gone", "where did it go?", generator=HEADINGS))
    report = write(workspace, per_chunk=1)
    assert accounted(report) == 3
    assert "gone" in QuestionStore(workspace.storage, HEADINGS).load()


def test_without_a_language_model_the_text_asks(workspace: Workspace) -> None:
    report = write(workspace)
    assert report.generator == HEADINGS
    assert not report.by_language_model
    assert (report.asked, accounted(report)) == (6, 6)
    assert "copied" not in report.dropped


def usable(workspace: Workspace) -> list[GeneratedQuestion]:
    opened = workspace.open()
    passages = opened.index.passages()
    return usable_questions(workspace.storage, NO_MODEL, passages, opened.model)


def test_finetune_gets_what_was_kept_of_whoever_wrote(workspace: Workspace) -> None:
    assert usable(workspace) == []
    with FakeEndpoint(sold_where) as endpoint:
        report = write(workspace, at_endpoint(endpoint))
    assert usable(workspace) == report.questions  # by gemma, though no model is asked for
    own = write(workspace)
    assert usable(workspace) == own.questions


def test_the_generator_is_known_without_starting_it() -> None:
    def name(**values: Any) -> str:
        return generator_name(LanguageModelOptions(**values))

    url = "http://localhost:1/v1"
    assert name(kind="none") == HEADINGS
    assert name(base_url=url, model="org/m") == "org/m"
    assert name(kind="local", model="/w/small.gguf") == "small"
    assert (name() == HEADINGS) != local_llm.installed()


def fail(*_: object) -> None:
    raise AssertionError("the model was loaded")


def run_app(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(
        build_app(), ["questions", "--storage", str(workspace.storage), *arguments]
    )


def test_the_command_says_what_was_kept_and_who_wrote(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    done = run_app(workspace, "--llm", "none", "--per-chunk", "1", "--out", str(out), "--json")
    assert done.exit_code == 0, done.stderr
    values = json.loads(done.stdout)
    expected = {"generator", "index", "chunks", "asked", "resumed", "kept", "dropped"}
    assert values.keys() == expected | {"seconds", "questions_per_second"}
    assert (values["generator"], values["chunks"], values["asked"]) == (HEADINGS, 3, 3)
    assert len(read_questions(out)) == values["kept"]
    assert "no language model wrote these questions" in " ".join(done.stderr.split())
    shown = run_app(workspace, "--llm", "none", "--per-chunk", "1", "--quiet")
    assert "all 3 chunks had their questions already; none generated" in shown.stdout
    assert "`rag-app questions --show` lists them" in shown.stdout


def test_the_command_lists_what_was_generated(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = run_app(workspace, "--show")
    assert none.exit_code == 0, none.stderr
    assert re.fullmatch(r"no questions for index \S+ yet; run `rag-app questions`\n", none.stdout)
    told = run_app(workspace, "--llm", "none", "--per-chunk", "1", "--quiet").stdout
    assert re.search(r"all 3 chunks were new, 3 questions asked for in \d+ s", told)
    # A list is no reason to wait until torch is imported.
    monkeypatch.setattr("rag_app.models.embedding.load_transformer", fail)
    listed = json.loads(run_app(workspace, "--show", "--json").stdout)
    shown = run_app(workspace, "--show").stdout.splitlines()
    assert len(listed["questions"]) > 0
    for question in listed["questions"]:
        assert f"    {question['question']}" in shown
        assert any(line.endswith(f"({question['document_id']})") for line in shown)


@pytest.mark.parametrize("name", ["nope/x.jsonl", "pipe.jsonl", "pipe", "x.parquet"])
def test_where_nothing_can_be_written_is_refused_before_the_work(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for pipe in ("pipe", "pipe.jsonl"):
        os.mkfifo(tmp_path / pipe)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("questions were written first")

    monkeypatch.setattr("rag_app.questions.write_questions", refuse)
    done = run_app(workspace, "--llm", "none", "--out", str(tmp_path / name))
    assert done.exit_code == 2, done.stderr
    assert f"error: {'cannot write ' if name == 'x.parquet' else ''}{tmp_path}" in done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_what_could_not_be_written_ends_with_2(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("rag_app.pairs.export.write_whole", fail)
    done = run_app(workspace, "--llm", "none", "--out", str(tmp_path / "x.jsonl"))
    assert done.exit_code == 2
    assert "x.jsonl cannot be written: Input/output error" in " ".join(done.stderr.split())


def test_a_model_in_the_environment_is_for_other_indexes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_APP_MODEL", MINILM)
    done = run_app(workspace, "--llm", "none", "--per-chunk", "1")
    assert done.exit_code == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not local_llm.installed(), reason=f"no local model; {local_llm.INSTALL}")
def test_the_local_model_writes_questions(tmp_path: Path) -> None:
    chosen = LanguageModelOptions(
        "local", timeout_seconds=500, concurrency=1, models=tmp_path / "models"
    )
    nodes = [make_node(text, document=f"{i}.md") for i, text in enumerate([REFUND, FREIGHT, HOURS])]
    written: dict[int, list[Worded]] = {}
    model = open_language_model(chosen)
    assert model is not None
    with closing(model):
        writer = ModelWriter(model, Rarity(node.text for node in nodes))
        assert writer.generator == generator_name(chosen)
        writer.write([(node, range(1)) for node in nodes], seed=13, on_written=written.__setitem__)
    questions = [written[i][0].text for i in range(3)]
    assert all(2 <= len(question.split()) <= 48 for question in questions)
    assert len(set(questions)) == 3
    assert np.mean([not_a_question(q, REFUND) for q in questions]) < 1
