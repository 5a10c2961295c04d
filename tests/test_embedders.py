"""Models as LlamaIndex, LangChain and an endpoint see or give them."""

from collections.abc import Iterator

import numpy as np
import pytest
from fake_endpoint import FakeEndpoint, Reply, Request, failure
from fakes import WordModel

from rag_app.errors import ModelError
from rag_app.models.endpoint import EndpointEmbedder
from rag_app.models.langchain import LangChainEmbeddings
from rag_app.models.llama_index import Embedding
from rag_app.vectors import Embedder

TEXTS = ["how long does delivery take", "two days"]


def lengths(request: Request) -> Reply:
    """Vectors (length of the text, 1), in the wrong order, as an endpoint may send them."""
    rows = [
        {"object": "embedding", "index": number, "embedding": [float(len(text)), 1.0]}
        for number, text in enumerate(request.body["input"])
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return Reply({"object": "list", "data": rows[::-1], "model": "m", "usage": usage})


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lengths) as running:
        yield running


def test_an_endpoint_embeds_with_its_prompts_and_unit_length(endpoint: FakeEndpoint) -> None:
    model: Embedder = EndpointEmbedder(endpoint.url, "bge-m3", query_prompt="q: ", api_key="secret")
    vectors = model.embed_queries(["a", "abcd"])
    # "q: a" has 4 letters, "q: abcd" 7.
    assert vectors == pytest.approx(np.array([[4, 1], [7, 1]]) / np.array([[17**0.5], [50**0.5]]))
    assert model.embed_passages(["abc"])[0] == pytest.approx(np.array([3, 1]) / 10**0.5)
    assert (model.name, model.dimension) == ("bge-m3", 2)
    assert endpoint.requests[0].headers["Authorization"] == "Bearer secret"
    assert endpoint.requests[0].path == "/v1/embeddings"


def test_many_texts_go_in_several_requests_and_come_back_in_order(endpoint: FakeEndpoint) -> None:
    texts = ["x" * number for number in range(1, 131)]
    vectors = EndpointEmbedder(endpoint.url, "m").embed_passages(texts)
    assert (vectors[:, 0] / vectors[:, 1]).round().astype(int).tolist() == list(range(1, 131))
    assert [len(request.body["input"]) for request in endpoint.requests] == [64, 64, 2]


def test_another_address_model_or_prompt_is_another_space() -> None:
    made = [
        EndpointEmbedder("http://a/v1", "m"),
        EndpointEmbedder("http://b/v1", "m"),
        EndpointEmbedder("http://a/v1", "n"),
        EndpointEmbedder("http://a/v1", "m", query_prompt="q"),
        EndpointEmbedder("http://a/v1", "m", passage_prompt="q"),
    ]
    assert len({model.fingerprint for model in made}) == 5
    assert made[0].fingerprint == EndpointEmbedder("http://a/v1", "m").fingerprint


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (failure(404, "no such model"), "status 404: .*no such model"),
        (Reply({"object": "list", "data": [], "model": "m"}), "0 vectors for 1 texts"),
        (Reply("<html>a page</html>"), "0 vectors for 1 texts; .* does base_url go up to /v1"),
        (
            Reply(
                {
                    "object": "list",
                    "model": "m",
                    "data": [{"object": "embedding", "index": 0, "embedding": [0.0, 0.0]}],
                }
            ),
            "zero or not finite",
        ),
    ],
)
def test_what_is_no_vector_is_said(reply: Reply, message: str) -> None:
    with FakeEndpoint(lambda _: reply) as running, pytest.raises(ModelError, match=message):
        EndpointEmbedder(running.url, "m").embed_queries(["a"])


def test_nothing_of_an_openai_account_is_sent(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ORG_ID", "PROJECT_ID", "CUSTOM_HEADERS"):
        monkeypatch.setenv(f"OPENAI_{name}", "X-Secret: secret")
    EndpointEmbedder(endpoint.url, "m").embed_queries(["a"])
    assert "secret" not in " ".join(endpoint.requests[0].headers.values())


def test_a_dead_endpoint_is_said() -> None:
    with pytest.raises(
        ModelError, match=r"no embeddings endpoint answers at http://127\.0\.0\.1:9/v1"
    ):
        EndpointEmbedder("http://127.0.0.1:9/v1", "m", timeout=1).embed_queries(["a"])


def test_llama_index_and_langchain_get_the_same_vectors() -> None:
    model = WordModel()
    ours, chain = Embedding(model), LangChainEmbeddings(model)
    query, passages = model.embed_queries(TEXTS[:1])[0], model.embed_passages(TEXTS)
    assert ours.get_query_embedding(TEXTS[0]) == pytest.approx(query)
    assert chain.embed_query(TEXTS[0]) == pytest.approx(query)
    assert ours.get_text_embedding_batch(TEXTS) == pytest.approx(passages)
    assert chain.embed_documents(TEXTS) == pytest.approx(passages)
