"""`ingest --metadata company=Acme`: what filters find, whose value wins, and what is read again."""

from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import Document
from test_cli import check_error, run_json
from tiny import make_tiny_model

from rag_app import ingest, open_index
from rag_app.chunks import CHUNK_KEYS, Chunking
from rag_app.documents.content import MOST_FIELDS
from rag_app.documents.named import can_be_named, named_metadata, parsed
from rag_app.errors import ConfigError
from rag_app.index import Workspace
from rag_app.sweep.indexes import IndexBuilder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty storage in a folder without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "storage"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A document that names its company, and one that does not."""
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "own.md").write_text("---\ncompany: Beta\n---\nReturns take nine days.\n", "utf-8")
    (folder / "plain.md").write_text("Returns take five days.\n", "utf-8")
    return folder


def put(folder: Path | list[Document], tmp_path: Path, **metadata: object) -> list[list[str]]:
    """Documents that an ingest added, changed and left alone."""
    report = ingest(
        folder, storage=tmp_path / "storage", embedder=WordModel(), metadata=metadata or None
    )
    return [report.sync.added, report.sync.changed, report.sync.unchanged]


def found(tmp_path: Path, where: str) -> list[str]:
    """Documents that a filter finds."""
    index = open_index(storage=tmp_path / "storage", embedder=WordModel())
    hits = index.as_retriever("vector", where=where, top_k=20).retrieve("returns")
    return sorted({str(hit.node.ref_doc_id) for hit in hits})


def metadata_in(storage: Path, embedder: WordModel | None = None) -> dict[str, dict[str, Any]]:
    nodes = Workspace(storage, embedder=embedder).catalog.open().nodes()
    return {str(node.ref_doc_id): node.metadata for node in nodes}


def test_a_filter_finds_it_and_a_documents_own_field_wins(folder: Path, tmp_path: Path) -> None:
    put(folder, tmp_path, company="Acme")
    assert found(tmp_path, "company = Acme") == ["papers/plain.md"]
    assert found(tmp_path, "company = Beta") == ["papers/own.md"]


def test_it_is_neither_embedded_nor_shown_to_a_language_model(folder: Path, tmp_path: Path) -> None:
    put(folder, tmp_path, company="Acme")
    nodes = Workspace(tmp_path / "storage", embedder=WordModel()).catalog.open().nodes()
    for node in nodes:
        assert "company" in node.excluded_embed_metadata_keys
        assert "company" in node.excluded_llm_metadata_keys


def test_numbers_have_an_order_as_those_of_front_matter(folder: Path, tmp_path: Path) -> None:
    put(folder, tmp_path, **dict(parsed(["year=2024", "version=1.10", "Is Public=true"])))
    for where in ("year >= 2023", "version >= 1.05", "version = 1.10", "is_public = true"):
        assert len(found(tmp_path, where)) == 2, where
    assert found(tmp_path, "year > 2024") == []


def test_another_value_reads_again_and_none_takes_it_away(folder: Path, tmp_path: Path) -> None:
    both = ["papers/own.md", "papers/plain.md"]
    assert put(folder, tmp_path, company="Acme") == [both, [], []]
    assert put(folder, tmp_path, company="Gamma") == [[], ["papers/plain.md"], ["papers/own.md"]]
    assert found(tmp_path, "company = Gamma") == ["papers/plain.md"]
    assert put(folder, tmp_path) == [[], ["papers/plain.md"], ["papers/own.md"]]
    assert "company" not in metadata_in(tmp_path / "storage", WordModel())["papers/plain.md"]


def test_folders_with_values_of_their_own_are_not_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("Returns take two days.", "utf-8")
    put(folder, tmp_path, company="Acme")
    put(other, tmp_path, company="Gamma")

    def read(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr("rag_app.documents.reading._contents", read)
    assert put(folder, tmp_path, company="Acme")[2] == ["papers/own.md", "papers/plain.md"]
    assert put(other, tmp_path, company="Gamma")[2] == ["other/a.md"]
    assert put(folder, tmp_path, company="Acme")[2] == ["papers/own.md", "papers/plain.md"]


def test_documents_in_memory_get_it_too(tmp_path: Path) -> None:
    given = [
        Document(id_="own", text="Returns take nine days.", metadata={"company": "Beta"}),
        Document(id_="plain", text="Returns take five days."),
    ]
    put(given, tmp_path, company="Acme", tags=["a", "b"])
    assert found(tmp_path, "company = Acme") == ["plain"]
    assert found(tmp_path, "tags = b") == ["own", "plain"]


def test_a_sweep_keeps_it_in_indexes_of_other_chunk_sizes(
    storage: Path, folder: Path, model: Path
) -> None:
    given = ("--metadata", "company=Acme", "--metadata", "version=1.10")
    run_json("ingest", folder, "--storage", storage, "--model", model, *given)
    workspace = Workspace(storage, device="cpu")
    source = workspace.catalog.open()
    builder = IndexBuilder(workspace, source)
    assert builder.changed == []
    built = builder.build(source.info.model, Chunking(16, 0)).index
    metadata = {str(node.ref_doc_id): node.metadata for node in built.nodes()}
    assert metadata["papers/own.md"]["company"] == "Beta"
    assert metadata["papers/plain.md"]["company"] == "Acme"
    assert metadata["papers/plain.md"]["version__number"] == 1.1


def test_the_command_line_the_environment_and_the_settings_file(
    storage: Path, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("ingest", folder, "--storage", storage, "--model", model)
    run_json(*command, "--metadata", "Cost Center=a=b", "--metadata", "company=Acme")
    plain = metadata_in(storage)["papers/plain.md"]
    assert (plain["cost_center"], plain["company"]) == ("a=b", "Acme")
    Path("rag_app.toml").write_text('metadata = ["company=Gamma", "year=2024"]', "utf-8")
    assert run_json(*command)["changed"] == 2
    plain = metadata_in(storage)["papers/plain.md"]
    assert (plain["company"], plain["year"]) == ("Gamma", 2024)
    monkeypatch.setenv("RAG_APP_METADATA", "company=Delta\nyear=2025")
    run_json(*command)
    plain = metadata_in(storage)["papers/plain.md"]
    assert (plain["company"], plain["year"]) == ("Delta", 2025)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("company", "--metadata is 'company', which is not KEY=VALUE; write for instance"),
        ("=x", "--metadata is '=x', which is not KEY=VALUE"),
        ("company=", "--metadata gives company no value that can be kept (''); give it a text"),
        ("path=x", "--metadata names 'path', which is read from each document; take another name"),
        ("Title=x", "--metadata names 'title', which is read from each document"),
        ("date=2024-03-05", "--metadata names 'date', which is read from each document"),
        ("ocr=kor", "--metadata names 'ocr', which is read from each document"),
        ("price__number=1", "--metadata names 'price__number', which is read"),
        ("k" * 65 + "=x", "of 65 characters; 64 are the most"),
        ("", "--metadata is empty; give it a value, or leave it out"),
    ],
)
def test_what_cannot_be_given(storage: Path, folder: Path, given: str, says: str) -> None:
    check_error("ingest", folder, f"--metadata={given}", kind="ConfigError", says=says)
    assert not (storage / "indexes").exists()


def test_a_key_is_named_once() -> None:
    with pytest.raises(ConfigError, match="--metadata names 'company' twice; give it one value"):
        named_metadata([("company", "Acme"), ("Company", "Beta")])


@pytest.mark.parametrize("value", [None, "", {"a": 1}, [{"a": 1}], [], float("inf")], ids=str)
def test_values_that_cannot_be_kept(value: object) -> None:
    with pytest.raises(ConfigError, match="gives company no value that can be kept"):
        named_metadata([("company", value)])


def test_too_many_fields() -> None:
    with pytest.raises(ConfigError, match=f"{MOST_FIELDS} are the most"):
        named_metadata((f"key{number}", 1) for number in range(MOST_FIELDS + 1))


def test_what_chunks_are_given_cannot_be_named() -> None:
    assert not [key for key in CHUNK_KEYS if can_be_named(key)]
