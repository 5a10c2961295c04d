"""What each path of `serve` answers, with values worked out by hand."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, completion, failure, pieces
from fakes import WordModel
from llama_index.core.schema import Document

pytest.importorskip("starlette")

from report_runs import make_evaluate
from served import PASSAGES, REFUND, client_of, fill, problem
from starlette.testclient import TestClient
from tiny import make_tiny_cross_encoder, make_tiny_model

from rag_app import ingest, read_questions
from rag_app.index import Workspace
from rag_app.llm.chat import ChatModel
from rag_app.llm.endpoint import Endpoint
from rag_app.models import EmbeddingModel, cross_encoder
from rag_app.models.query_map import QueryMap, add_query_map
from rag_app.pairs.matching import match_questions
from rag_app.report.write import write_report
from rag_app.serve.service import MOST_OPEN

QUESTION = "when are refunds paid"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return fill(tmp_path_factory.mktemp("served"))


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with client_of(workspace) as opened:
        yield opened


def ids(found: dict[str, Any]) -> list[str]:
    return [passage["document"] for passage in found["passages"]]


def events(text: str) -> list[tuple[str, Any]]:
    """Name and data of each server-sent event."""
    found = []
    for block in text.strip().split("\n\n"):
        *name, data = block.split("\n")
        found.append(
            (
                name[0].removeprefix("event: ") if name else "",
                data if data == "data: [DONE]" else json.loads(data.removeprefix("data: ")),
            )
        )
    return found


# Rerank, runs


def test_texts_are_ordered_by_the_servers_cross_encoder(tmp_path: Path) -> None:
    workspace = fill(tmp_path / "storage")
    make_tiny_cross_encoder(workspace.storage / "models" / "judge", words=["refunds", "open"])
    texts = ["Refunds are paid.", "The shop is open.", "open refunds open"]
    asked = {"query": "open", "documents": texts, "model": "rerank-v3", "top_n": 2}
    with client_of(workspace) as plain:
        status, kind, said = problem(plain.post("/v1/rerank", json=asked))
    assert (status, kind) == (404, "RequestError")
    assert "+rerank:NAME" in said
    with client_of(workspace, retriever="vector+rerank:judge") as client:
        found = client.post("/v1/rerank", json=asked).json()
        whole = client.post("/v1/rerank", json={**asked, "top_n": 9, "return_documents": True})
    scores = workspace.load_cross_encoder("judge").score("open", texts)
    order = sorted(range(3), key=lambda place: -scores[place])
    assert found["model"] == "judge"
    assert [row["index"] for row in found["results"]] == order[:2]
    assert [row["document"] for row in found["results"]] == [None, None]
    for row in whole.json()["results"]:
        assert row["relevance_score"] == pytest.approx(float(scores[row["index"]]))
        assert row["document"] == {"text": texts[row["index"]]}


def test_the_cross_encoder_is_loaded_once_for_all_that_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = fill(tmp_path / "storage")
    make_tiny_cross_encoder(workspace.storage / "models" / "judge", words=["refunds", "open"])
    loaded: list[Path] = []
    load = cross_encoder._load

    def counted(folder: Path, device: str) -> Any:
        loaded.append(folder)
        return load(folder, device)

    monkeypatch.setattr(cross_encoder, "_load", counted)
    asked = {"query": "open", "documents": ["The shop is open."]}
    with client_of(workspace, retriever="vector+rerank:judge") as client:
        for _ in range(2):
            assert client.post("/v1/rerank", json=asked).status_code == 200
        # Each filter has a retriever of its own, and each write to the index makes them anew.
        for where in (None, "category = shop", "category = money"):
            body = {"question": QUESTION, "where": where}
            assert client.post("/retrieve", json=body).status_code == 200
        ingest([Document(id_="new", text="More.")], storage=workspace.storage, embedder=WordModel())
        assert client.post("/retrieve", json={"question": QUESTION}).status_code == 200
    assert loaded == [workspace.storage / "models" / "judge"]


def test_runs_are_listed_and_their_reports_shown(workspace: Workspace, client: TestClient) -> None:
    assert client.get("/runs").json() == {"runs": []}
    results = workspace.storage / "results"
    make_evaluate(results / "before", {"vector": [1, 2]})
    damaged = results / "damaged"
    damaged.mkdir()
    (damaged / "evaluate.json").write_text("{", "utf-8")
    [listed] = client.get("/runs").json()["runs"]
    assert (listed["name"], listed["kind"], listed["has_report"]) == ("before", "evaluate", False)
    # Ranks 1 and 2: the mean of 1 and a half.
    assert (listed["n"], listed["mrr"]) == (2, 0.75)
    assert problem(client.get("/runs/before"))[:2] == (404, "RequestError")
    write_report(results / "before")
    shown = client.get("/runs/before")
    assert shown.text == (results / "before" / "report.html").read_text("utf-8")
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert client.get("/runs").json()["runs"][0]["has_report"] is True
    for name in ("befor", "%2e%2e%2fbefore", "nowhere"):
        assert client.get(f"/runs/{name}").status_code == 404


# Passages


def test_retrieve_finds_passages_with_their_places(client: TestClient) -> None:
    found = client.post("/retrieve", json={"question": QUESTION, "k": 1, "evidence": True}).json()
    [passage] = found["passages"]
    assert (passage["n"], passage["document"], passage["text"]) == (1, "refunds", REFUND)
    assert (passage["start"], passage["end"], passage["title"]) == (0, 60, "Refunds")
    # The first of the two sentences shares "refunds", "are" and "paid".
    assert found["evidence"] == [{"n": 1, "start": 0, "end": 34}]
    assert REFUND[0:34] == "Refunds are paid within five days."
    assert (found["question"], found["model"]) == (QUESTION, "words")
    assert found["retriever"] == "vector+questions"
    assert found["weak_match"] is None


def test_k_where_and_retriever_are_followed(client: TestClient) -> None:
    def ask(**more: Any) -> list[str]:
        return ids(client.post("/retrieve", json={"question": "open refunds", **more}).json())

    assert len(ask()) == 4
    assert len(ask(k=2)) == 2
    assert set(ask(where="category = shop")) == {"hours", "parcels"}
    assert set(ask(retriever="keyword")) == {"refunds", "hours"}
    assert ask(retriever="keyword", where="category = shop") == ["hours"]


def test_a_filter_of_the_server_holds_for_every_request(workspace: Workspace) -> None:
    with client_of(workspace, where="category = shop") as client:
        asked = {"question": QUESTION}
        assert set(ids(client.post("/retrieve", json=asked).json())) == {"hours", "parcels"}
        wider = asked | {"where": "category = money or category = shop"}
        assert set(ids(client.post("/retrieve", json=wider).json())) == {"hours", "parcels"}
        closing = asked | {"where": "category = shop) or (category = money"}
        assert problem(client.post("/retrieve", json=closing))[0] == 422


def test_korean_is_asked_and_answered(client: TestClient) -> None:
    found = client.post("/retrieve", json={"question": "배송비는", "retriever": "keyword"}).json()
    assert ids(found) == ["배송"]


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"retriever": "vektor"}, 422, "did you mean vector?"),
        ({"retriever": "vector+rerank:/etc"}, 404, "a request names no model"),
        ({"retriever": "vector+hyde"}, 404, "start the server with +hyde"),
        ({"where": "colour = red"}, 422, "no chunk has the key 'colour'"),
        ({"where": "category ="}, 422, "--where cannot be read"),
        ({"index": "nowhere"}, 404, "there is no index 'nowhere'"),
        ({"index": "../../etc"}, 404, "there is no index '../../etc'"),
    ],
)
def test_what_cannot_be_followed_is_told(
    client: TestClient, asked: dict[str, str], status: int, says: str
) -> None:
    told = problem(client.post("/retrieve", json={"question": QUESTION, **asked}))
    assert told[0] == status
    assert says in told[2]


def test_a_passage_is_opened_in_its_document(client: TestClient) -> None:
    [passage] = client.post("/retrieve", json={"question": QUESTION, "k": 1}).json()["passages"]
    opened = client.post("/open", json={"chunk": passage["chunk"]}).json()
    assert (opened["document"], opened["text"]) == ("refunds", REFUND)
    assert opened["text"][opened["start"] : opened["end"]] == REFUND
    gone = problem(client.post("/open", json={"chunk": "gone"}))
    assert (gone[0], gone[1]) == (404, "RequestError")


def test_about_says_what_may_be_asked(client: TestClient) -> None:
    about = client.get("/about").json()
    assert (about["chunks"], about["model"], about["llm"]) == (4, "words", None)
    assert about["filters"]["category"] == ["money", "shop"]
    assert about["indexes"] == [about["index"]]


# Embeddings


def test_embeddings_are_the_models_own(client: TestClient) -> None:
    texts = ["red apple", "green apple"]
    expected = WordModel().embed_passages(texts)
    answered = client.post("/v1/embeddings", json={"input": texts, "model": "rag-app"}).json()
    assert [row["index"] for row in answered["data"]] == [0, 1]
    np.testing.assert_allclose([row["embedding"] for row in answered["data"]], expected)
    assert (answered["object"], answered["model"]) == ("list", "words")
    # Two words each.
    assert answered["usage"]["prompt_tokens"] == 4
    asked = {"input": texts[0], "encoding_format": "base64"}
    [row] = client.post("/v1/embeddings", json=asked).json()["data"]
    packed = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
    np.testing.assert_array_equal(packed, expected[0])


@pytest.mark.slow
def test_questions_pass_the_map_on_questions(tmp_path: Path) -> None:
    plain = make_tiny_model(tmp_path / "plain", prompts={"query": "q: ", "passage": "p: "})
    change = np.random.default_rng(7).normal(size=(32, 32)).astype(np.float32)
    query_map = QueryMap(change)
    prompts = {"query": "q: ", "document": "p: "}
    add_query_map(plain, tmp_path / "mapped", query_map, prompts=prompts)
    (tmp_path / "a.txt").write_text("refunds are paid", "utf-8")
    ingest(tmp_path / "a.txt", storage=tmp_path / "s", model=str(tmp_path / "mapped"))
    judged = EmbeddingModel("mapped", tmp_path / "mapped", device="cpu")
    with client_of(Workspace(tmp_path / "s", device="cpu")) as client:
        for kind, embed in (("query", judged.embed_queries), ("passage", judged.embed_passages)):
            asked = {"input": ["refunds"], "input_type": kind}
            [row] = client.post("/v1/embeddings", json=asked).json()["data"]
            np.testing.assert_allclose(row["embedding"], embed(["refunds"])[0], atol=1e-6)
        unmapped = EmbeddingModel("plain", plain, device="cpu").embed_queries(["refunds"])[0]
        [row] = client.post("/v1/embeddings", json=asked | {"input_type": "query"}).json()["data"]
        assert not np.allclose(row["embedding"], unmapped, atol=1e-3)


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"model": "text-embedding-3-small"}, 404, "there is no model 'text-embedding-3-small'"),
        ({"dimensions": 256}, 422, "words has 64 dimensions, not 256"),
        ({"dimensions": 64}, 200, ""),
        ({"model": "words"}, 200, ""),
        ({"user": "someone", "anything": [1]}, 200, ""),
    ],
)
def test_an_embedding_is_of_the_model_that_was_named(
    client: TestClient, more: dict[str, Any], status: int, says: str
) -> None:
    answered = client.post("/v1/embeddings", json={"input": "apple", **more})
    assert answered.status_code == status
    assert says in answered.text


# Answers


def answering(request: Request) -> Reply:
    """An endpoint that answers in two sentences, the second of which no passage says."""
    texts = ("Refunds are paid within", " five days [1]. ", "Ask Bob about whales.")
    return pieces(*texts) if request.body.get("stream") else completion("".join(texts))


CHECKED = "Refunds are paid within five days. [1] Ask Bob about whales."


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(answering) as running:
        yield running


@pytest.fixture
def answers(workspace: Workspace, endpoint: FakeEndpoint) -> Iterator[TestClient]:
    with (
        ChatModel(Endpoint(base_url=endpoint.url, model="gemma", retries=0)) as llm,
        client_of(workspace, llm=llm) as opened,
    ):
        yield opened


def test_an_answer_has_checked_citations(answers: TestClient) -> None:
    found = answers.post("/answer", json={"question": QUESTION}).json()
    assert (found["answer"], found["cited"], found["llm"]) == (CHECKED, [1], "gemma")
    assert found["unsupported"] == ["Ask Bob about whales."]
    assert found["citations"][0]["document"] == "refunds"


def test_an_answer_is_streamed_checked(answers: TestClient) -> None:
    response = answers.post("/answer", json={"question": QUESTION, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    (first, passages), *texts, (last, whole) = events(response.text)
    assert (first, last) == ("passages", "answer")
    assert passages["passages"][0]["text"] == REFUND
    assert "".join(data["text"] for name, data in texts if name == "text") == CHECKED
    assert (whole["answer"], whole["unsupported"]) == (CHECKED, ["Ask Bob about whales."])


def test_without_a_language_model_the_passages_are_the_answer(client: TestClient) -> None:
    found = client.post("/answer", json={"question": QUESTION, "k": 1}).json()
    assert (found["answer"], found["citations"][0]["text"]) == (None, REFUND)
    asked = {"messages": [{"role": "user", "content": QUESTION}]}
    said = client.post("/v1/chat/completions", json=asked).json()
    assert said["choices"][0]["message"]["content"].startswith(f"[1] Refunds\n{REFUND}")


def test_chat_completions_answer_from_the_documents(answers: TestClient) -> None:
    parts = [{"type": "text", "text": QUESTION}]
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": parts}]
    said = answers.post("/v1/chat/completions", json={"messages": messages}).json()
    [choice] = said["choices"]
    assert choice["message"] == {"role": "assistant", "content": CHECKED}
    assert said["citations"][0]["document"] == "refunds"
    streamed = answers.post("/v1/chat/completions", json={"messages": messages, "stream": True})
    *chunks, done = events(streamed.text)
    assert done == ("", "data: [DONE]")
    deltas = [chunk["choices"][0] for _, chunk in chunks]
    assert "".join(delta["delta"].get("content", "") for delta in deltas) == CHECKED
    assert [delta["finish_reason"] for delta in deltas if delta["finish_reason"]] == ["stop"]
    assert chunks[-1][1]["citations"][0]["text"] == REFUND


def test_a_conversation_gives_a_follow_up_its_subject(client: TestClient) -> None:
    messages = [
        {"role": "user", "content": "when are refunds paid"},
        {"role": "assistant", "content": "Within five days."},
        {"role": "user", "content": "and in Korea?"},
    ]
    said = client.post("/v1/chat/completions", json={"messages": messages}).json()
    # "and in Korea?" alone shares no word with the refunds.
    assert said["citations"][0]["document"] == "refunds"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "be brief"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": " ?! "}],
        [{"role": "user", "content": "word " * 500}],
        [{"role": "user"}],
    ],
)
def test_a_conversation_ends_with_a_question(client: TestClient, messages: list[Any]) -> None:
    response = client.post("/v1/chat/completions", json={"messages": messages})
    assert problem(response)[:2] == (422, "ConfigError")


def test_a_dead_language_model_is_told_and_passages_are_found(workspace: Workspace) -> None:
    with (
        FakeEndpoint(lambda _: failure(500, "out of memory")) as endpoint,
        ChatModel(Endpoint(base_url=endpoint.url, model="gemma", retries=0)) as llm,
        client_of(workspace, llm=llm) as client,
    ):
        told = problem(client.post("/answer", json={"question": QUESTION}))
        assert told[:2] == (503, "LanguageModelError")
        streamed = client.post("/answer", json={"question": QUESTION, "stream": True})
        (first, found), (last, error) = events(streamed.text)
        assert (first, last) == ("passages", "error")
        assert len(found["passages"]) == 4
        assert error["error"]["type"] == "LanguageModelError"
        assert client.post("/retrieve", json={"question": QUESTION}).status_code == 200


# Feedback


def test_feedback_becomes_pairs_that_finetune_reads(tmp_path: Path) -> None:
    workspace = fill(tmp_path)
    with client_of(workspace) as client:
        passages = client.post("/retrieve", json={"question": QUESTION}).json()["passages"]
        chunks = {passage["document"]: passage["chunk"] for passage in passages}

        def say(verdict: str, document: str, question: str = QUESTION) -> int:
            asked = {"question": question, "chunk": chunks[document], "verdict": verdict}
            answered = client.post("/feedback", json=asked).json()
            assert answered["file"] == str(tmp_path / "feedback" / "pairs.jsonl")
            return int(answered["pairs"])

        assert say("good", "refunds") == 1
        assert say("bad", "hours") == 1
        assert say("right", "hours", "are you open at six") == 2
        # The same again, in other letters, is the same judgement.
        assert say("good", "refunds", f"{QUESTION.upper()} ?") == 2
        questions = read_questions(tmp_path / "feedback" / "pairs.jsonl")
        chunks_of_index = workspace.open().index.ordered_nodes()
        matching = match_questions(questions, chunks_of_index)
        assert not matching.unmatched
        assert {(pair.question, pair.document_id) for pair in matching.pairs} == {
            ("are you open at six", "hours"),
            (f"{QUESTION.upper()} ?", "refunds"),
        }
        # Taken back.
        assert say("bad", "refunds") == 1
        assert problem(
            client.post("/feedback", json={"question": "a", "chunk": "x", "verdict": "good"})
        )[:2] == (404, "RequestError")


# The index as it is now


def test_an_index_that_comes_is_written_and_goes_is_noticed(tmp_path: Path) -> None:
    asked = {"question": QUESTION}
    with client_of(Workspace(tmp_path, embedder=WordModel())) as client:
        missing = problem(client.post("/retrieve", json=asked))
        assert missing[:2] == (503, "IndexMissing")
        assert "rag-app ingest" in missing[2]
        assert problem(client.get("/health"))[0] == 503
        workspace = fill(tmp_path)
        assert client.get("/health").json()["status"] == "ok"
        assert len(ids(client.post("/retrieve", json=asked).json())) == 4
        from llama_index.core.schema import Document

        more = [Document(id_="later", text="When are refunds paid? Later.")]
        ingest(more, storage=tmp_path, embedder=WordModel(), chunk_overlap=0)
        assert ids(client.post("/retrieve", json=asked).json())[0] == "later"
        [name] = workspace.catalog.names()
        shutil.rmtree(workspace.catalog.folder / name)
        assert problem(client.post("/retrieve", json=asked))[:2] == (503, "IndexMissing")
        # Nor is one that a request does not name its fault.
        assert problem(client.post("/open", json={"chunk": "a"}))[:2] == (503, "IndexMissing")
        fill(tmp_path)
        assert len(ids(client.post("/retrieve", json=asked).json())) == 4


def test_a_broken_store_is_a_503_with_the_mend(tmp_path: Path) -> None:
    workspace = fill(tmp_path)
    [name] = workspace.catalog.names()
    store = workspace.catalog.folder / name / "chroma" / "chroma.sqlite3"
    store.write_bytes(b"no database" * 1000)
    with client_of(Workspace(tmp_path, embedder=WordModel())) as client:
        told = problem(client.post("/retrieve", json={"question": QUESTION}))
        assert told[:2] == (503, "IndexBroken")
        assert "rag-app index repair" in told[2]
        assert problem(client.get("/health"))[0] == 503


def test_what_is_put_into_service_is_asked_from_then_on(tmp_path: Path) -> None:
    workspace = fill(tmp_path)
    [first] = workspace.catalog.names()
    with client_of(workspace) as client:
        assert client.get("/about").json()["index"] == first
        from llama_index.core.schema import Document

        other = [Document(id_="other", text="Something else.")]
        ingest(other, storage=tmp_path, embedder=WordModel(), index="other", use=True)
        assert client.get("/about").json()["index"] == "other"
        asked = {"question": QUESTION, "index": first}
        assert client.post("/retrieve", json=asked).json()["index"] == first
        # A beginning of a name, asked twice, opens nothing twice; and no more than a few are open.
        begun = {"question": QUESTION, "index": first[:-2]}
        assert client.post("/retrieve", json=begun).json()["index"] == first
        assert MOST_OPEN == 3


def test_metrics_count_what_was_asked(client: TestClient) -> None:
    client.post("/retrieve", json={"question": QUESTION})
    client.post("/retrieve", json={"question": 3})
    client.get("/nowhere-at-all")
    text = client.get("/metrics").text
    assert 'rag_app_requests_total{method="POST",path="/retrieve",status="200"} 1' in text
    assert 'rag_app_requests_total{method="POST",path="/retrieve",status="400"} 1' in text
    assert 'rag_app_requests_total{method="GET",path="other",status="404"} 1' in text
    assert 'rag_app_request_seconds_count{path="/retrieve"} 2' in text
    assert 'rag_app_request_seconds_bucket{path="/retrieve",le="+Inf"} 2' in text
    assert "rag_app_requests_under_way 1\n" in text


def test_models_are_the_indexes(client: TestClient) -> None:
    listed = [one["id"] for one in client.get("/v1/models").json()["data"]]
    assert listed == ["rag-app", client.get("/about").json()["index"]]
    assert set(PASSAGES) == {"refunds", "hours", "parcels", "배송"}
