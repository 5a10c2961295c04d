"""The local language model: the file, the server, and what comes out of it."""

import hashlib
import importlib.util
import json
import os
import re
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_app.errors import LanguageModelError, StorageError
from rag_app.llm import local as local_llm
from rag_app.llm.chat import ChatModel
from rag_app.llm.choose import LanguageModelOptions, open_language_model
from rag_app.llm.local import LocalServer, gemma_gguf, has_chat_template, usable_cores

needs_gemma = pytest.mark.skipif(
    not local_llm.installed(), reason=f"no local language model; {local_llm.INSTALL}"
)
needs_llama = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason=f"no llama.cpp; {local_llm.INSTALL}"
)
PACKAGE = """
from pathlib import Path
MODEL_NAME = "small.gguf"
EXPECTED_SHA256 = {sha256!r}
def assemble(path, overwrite=False):
    with Path(__file__).with_name("assembled").open("a") as log:
        log.write("x")
    Path(path).write_bytes({written!r})
    if {written!r} != b"whole":
        raise ValueError("sha256 did not match")
"""


def install_package(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, name: str, written: bytes = b"whole"
) -> Path:
    """Install a package of weights; returns the file that grows with each assembly."""
    (folder / name).mkdir(parents=True)
    source = PACKAGE.format(sha256=hashlib.sha256(b"whole").hexdigest(), written=written)
    (folder / name / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(local_llm, "GEMMA_PACKAGE", name)
    return folder / name / "assembled"


def test_the_weights_are_put_together_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install_package(monkeypatch, tmp_path, name="weights_once")
    for _ in range(2):
        path = gemma_gguf(tmp_path / "models")
        assert path == tmp_path / "models" / "small.gguf"
        assert path.read_bytes() == b"whole"
    assert log.read_text() == "x"


def test_damaged_weights_are_put_together_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = install_package(monkeypatch, tmp_path, name="weights_again")
    gemma_gguf(tmp_path).write_bytes(b"who")
    assert gemma_gguf(tmp_path).read_bytes() == b"whole"
    assert log.read_text() == "xx"


def test_a_damaged_package_leaves_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_package(monkeypatch, tmp_path, name="weights_damaged", written=b"half")
    with pytest.raises(LanguageModelError, match="--force-reinstall"):
        gemma_gguf(tmp_path / "models")
    assert not (tmp_path / "models" / "small.gguf").exists()


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_package(monkeypatch, tmp_path, name="weights_unwritten")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="--storage"):
        gemma_gguf(tmp_path / "file" / "models")


def gguf(path: Path, *keys: str) -> Path:
    entries = [struct.pack("<Q", len(key)) + key.encode() + b"\x08value" for key in keys]
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + b"".join(entries))
    return path


def test_a_chat_template_makes_a_model_follow_instructions(tmp_path: Path) -> None:
    chat = gguf(tmp_path / "chat.gguf", "general.name", "tokenizer.chat_template")
    base = gguf(tmp_path / "base.gguf", "general.name", "x.tokenizer.chat_template")
    assert has_chat_template(chat)
    assert not has_chat_template(base)


@pytest.mark.parametrize("content", [None, b"", b"hello"])
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LanguageModelError, match=r"model\.gguf.*--llm-model"):
        open_language_model(LanguageModelOptions(model=str(path)))


@needs_llama
def test_a_gguf_that_cannot_be_loaded_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = gguf(tmp_path / "cut_off.gguf")
    with pytest.raises(LanguageModelError, match=r"cut_off\.gguf.*--llm none"):
        open_language_model(LanguageModelOptions("local", model=str(path)))
    assert capfd.readouterr().err == ""


def test_cores_are_those_of_the_machine_at_most() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def gemma(storage: Path) -> Iterator[ChatModel]:
    options = LanguageModelOptions("local", concurrency=2, models=storage / "models")
    llm = open_language_model(options)
    assert llm is not None
    with llm:
        yield llm


@pytest.mark.slow
@needs_gemma
def test_gemma_goes_on_from_examples(gemma: ChatModel) -> None:
    assert gemma.name == "gemma-3-270m-q4_k_m.gguf"
    assert not gemma.follows_instructions
    prompts = ["1, 2, 3, 4, 5, 6, 7, 8,", "Monday, Tuesday, Wednesday, Thursday,", "a b c d e f"]
    answers = gemma.complete(prompts, max_tokens=4, stop=[","])
    assert answers[:2] == [" 9", " Friday"]
    assert answers[2].startswith(" g")
    assert "".join(gemma.stream(prompts[1], max_tokens=4, stop=[","])) == " Friday"
    assert gemma.as_llama_index().complete(prompts[0], max_tokens=2).text.strip()[:1] == "9"


@pytest.mark.slow
@needs_gemma
def test_gemma_keeps_to_a_grammar(gemma: ChatModel) -> None:
    grammar = 'root ::= [a-z ]{3,30} ("나요?" | "까?")'
    prompts = ["1, 2, 3, 4, 5, 6, 7, 8,", "Monday, Tuesday,"]
    for answer in gemma.complete(prompts, max_tokens=40, grammar=grammar):
        assert re.fullmatch(r"[a-z ]{3,30}(나요|까)\?", answer)


@pytest.mark.slow
@needs_gemma
def test_a_prompt_too_long_says_so(gemma: ChatModel) -> None:
    with pytest.raises(LanguageModelError, match=r"4096 tokens.*--chunk-size"):
        gemma.complete(["word " * 5000], max_tokens=5)


@pytest.mark.slow
@needs_gemma
def test_the_server_passes_the_text_through_and_answers_only_to_us(storage: Path) -> None:
    server = LocalServer(gemma_gguf(storage / "models"), slots=1, gpu=False)
    text = "  <b>Q:</b> {{ 1 }}\n"
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    address = server.base_url.removesuffix("/v1") + "/apply-template"
    assert address.startswith("http://127.0.0.1:")
    stranger = urllib.request.Request(address, body)  # noqa: S310
    ours = urllib.request.Request(  # noqa: S310
        address, body, {"Authorization": f"Bearer {server.api_key}"}
    )
    with pytest.raises(urllib.error.HTTPError, match="401") as raised:
        urllib.request.urlopen(stranger)  # noqa: S310
    raised.value.close()
    with urllib.request.urlopen(ours) as answer:  # noqa: S310
        assert json.load(answer) == {"prompt": text}
    server.close()
    server.close()


@pytest.mark.slow
@needs_gemma
def test_one_slot_gives_the_same_texts_again(storage: Path) -> None:
    def write(seed: int) -> list[str]:
        options = LanguageModelOptions("local", concurrency=1, models=storage / "models")
        llm = open_language_model(options)
        assert llm is not None
        with llm:
            prompts = ["Once upon a time", "Once upon a time there was"]
            return llm.complete(prompts, max_tokens=24, temperature=0.9, seed=seed)

    first = write(1)
    assert write(1) == first
    assert write(2) != first
