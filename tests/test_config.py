"""Settings: who wins, and what a mistake is answered with."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_app.chunks import Chunking
from rag_app.cli.app import build_app
from rag_app.config import Settings, load_settings
from rag_app.errors import ConfigError
from rag_app.ingest.request import IndexOptions
from rag_app.sweep.grid import read_grid


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rag_app.toml but the test's own."""
    monkeypatch.chdir(tmp_path)


def toml(folder: Path, text: str, name: str = "rag_app.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load_settings(environment={})
    assert settings == Settings()
    options = IndexOptions(
        settings.model, settings.chunk_size, settings.chunk_overlap, settings.sentences
    )
    assert options == IndexOptions()  # what is None, the index or the default decides
    assert options.chunking() == Chunking(256, 32, "rules")
    assert settings.model_fields_set == set()


def test_the_file_beats_the_default_the_environment_the_file_and_a_flag_them_all(
    tmp_path: Path,
) -> None:
    toml(tmp_path, "chunk_size = 100\nchunk_overlap = 10\ntop_k = 7\nseed = 1\n")
    settings = load_settings(
        flags={"top_k": 9, "seed": None},
        environment={"RAG_APP_CHUNK_OVERLAP": "20", "RAG_APP_TOP_K": "8", "HOME": "/root"},
    )
    assert settings.chunk_size == 100  # file
    assert settings.chunk_overlap == 20  # environment over file
    assert settings.top_k == 9  # flag over both
    assert settings.seed == 1  # a flag that was not given does not count
    assert settings.storage == Path("storage")  # default
    assert settings.model_fields_set == {"chunk_size", "chunk_overlap", "top_k", "seed"}


def test_results_lie_in_the_storage_unless_another_folder_is_named(tmp_path: Path) -> None:
    assert load_settings(environment={}).results == Path("storage/results")
    settings = load_settings(flags={"storage": Path("own")}, environment={})
    assert settings.results == Path("own/results")
    # A default is none that was named.
    assert settings.model_fields_set == {"storage"}
    named = {"RAG_APP_RESULTS": "measured", "RAG_APP_STORAGE": "own"}
    assert load_settings(environment=named).results == Path("measured")
    # One message for one fault.
    with pytest.raises(ConfigError) as refused:
        load_settings(flags={"storage": 3}, environment={})
    assert str(refused.value).startswith("a setting is not usable: storage: ")
    assert "results" not in str(refused.value)


def test_a_named_file_is_read_instead_of_the_one_that_lies_here(tmp_path: Path) -> None:
    toml(tmp_path, "top_k = 7\nseed = 1\n")
    named = toml(tmp_path, "top_k = 8\n", "other.toml")
    settings = load_settings(config_file=named, environment={})
    assert (settings.top_k, settings.seed) == (8, 13)


def test_the_process_environment_is_read_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAG_APP_TOP_K", "3")
    assert load_settings().top_k == 3
    assert load_settings(environment={}).top_k == 5


def test_false_in_the_environment_is_false() -> None:
    assert load_settings(environment={"RAG_APP_OFFLINE": "false"}).offline is False


def test_an_unknown_key_in_the_file_names_the_file_and_the_near_one(tmp_path: Path) -> None:
    toml(tmp_path, "chunksize = 100\n")
    with pytest.raises(ConfigError, match=r"rag_app\.toml .*'chunksize'; did you mean 'chunk_siz"):
        load_settings(environment={})


def test_an_unknown_key_in_the_environment_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match=r"RAG_APP_\*.*'modle'; did you mean 'model'"):
        load_settings(environment={"RAG_APP_MODLE": "x"})


def test_an_unknown_key_like_no_other_lists_all() -> None:
    with pytest.raises(ConfigError, match=r"known keys: storage, .*, seed"):
        load_settings(environment={"RAG_APP_QQQQ": "x"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chunk_size", 15),
        ("chunk_size", 8193),
        ("top_k", 0),
        ("seed", -1),
        ("llm_timeout", 0),
        ("device", "tpu"),
        ("chunk_size", "many"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_found(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: .*found {value!r}"):
        load_settings(flags={key: value}, environment={})


def test_half_of_a_chunk_may_overlap_and_no_more() -> None:
    assert IndexOptions(chunk_size=100, chunk_overlap=50).chunking().chunk_overlap == 50
    with pytest.raises(ConfigError, match=r"more than half of chunk_size 100.*--chunk-overlap"):
        IndexOptions(chunk_size=100, chunk_overlap=51).chunking()


def test_an_overlap_of_more_than_half_of_a_chunk_is_told_at_the_command_line() -> None:
    Path("note.txt").write_text("Refunds take three days.", "utf-8")
    flags = ["--chunk-size", "100", "--chunk-overlap", "51"]
    done = CliRunner().invoke(build_app(), ["ingest", "note.txt", *flags])
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert "chunk_overlap is 51, more than half of chunk_size 100" in said
    assert not Path("storage/active.json").exists()


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    toml(tmp_path, "chunk_size = = 3\n")
    with pytest.raises(ConfigError, match=r"rag_app\.toml cannot be read: .*line 1"):
        load_settings(environment={})


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "rag_app.toml").write_bytes(b'model = "\xb0\xa1"\n')
    with pytest.raises(ConfigError, match=r"rag_app\.toml cannot be read"):
        load_settings(environment={})


def test_a_file_that_nests_too_deep_is_named(tmp_path: Path) -> None:
    toml(tmp_path, f"top_k = {'[' * 3_000}{']' * 3_000}\n")
    with pytest.raises(ConfigError, match=r"rag_app\.toml cannot be read: .*nested too deep; mend"):
        load_settings(environment={})


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"pipe cannot be read: it is not a regular file; mend"):
        load_settings(config_file=tmp_path / "pipe", environment={})
    with pytest.raises(ConfigError, match=r"pipe cannot be read as a grid: it is not a regular f"):
        read_grid(tmp_path / "pipe")


def test_a_number_is_no_path(tmp_path: Path) -> None:
    toml(tmp_path, "storage = 5\n")
    with pytest.raises(
        ConfigError, match=r"storage: Input should be a path in quotes \(found 5\)$"
    ):
        load_settings(environment={})


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ConfigError, match=r"device: .*\(found 'a+\.\.\.\)") as raised:
        load_settings(flags={"device": "a" * 10_000}, environment={})
    assert len(str(raised.value)) < 300


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml does not exist; .*--config"):
        load_settings(config_file=tmp_path / "none.toml", environment={})


def test_a_key_is_not_shown_with_a_mistake(tmp_path: Path) -> None:
    toml(tmp_path, "llm_api_key = 123456\n").chmod(0o600)
    with pytest.raises(ConfigError, match=r"llm_api_key: .*\(its value is not shown\)") as raised:
        load_settings(environment={})
    assert "123456" not in str(raised.value)


def test_a_key_is_not_shown_with_the_settings() -> None:
    settings = load_settings(environment={"RAG_APP_LLM_API_KEY": "sk-secret"})
    assert "sk-secret" not in repr(settings)
