"""Bundles: what is packed answers the same elsewhere; what is damaged or hostile is refused."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny_cross_encoder, make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.bundle.manifest import BundledFile
from rag_app.cli.app import build_app

pytestmark = pytest.mark.usefixtures("single_thread")
QUESTION = ("query", "-q", "how long does the lamp glow", "--llm", "none", "--json", "--quiet")


def run_app(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments])


def run_json(*arguments: str | Path) -> dict[str, Any]:
    done = run_app(*arguments, "--json", "--quiet")
    assert done.exit_code == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a storage whose model lies outside, a reranker, and a settings file."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "docs").mkdir()
    for place, hours in (("hall", 9), ("yard", 5), ("cellar", 2)):
        text = f"The lamp of the {place} glows for {hours} hours.\n"
        (folder / "docs" / f"{place}.md").write_text(text, "utf-8")
    model = make_tiny_model(folder / "elsewhere" / "tiny")
    make_tiny_cross_encoder(folder / "storage" / "models" / "judge")
    (folder / "rag_app.toml").write_text(
        f'storage = "{folder / "storage"}"\nretriever = "hybrid:0.5+rerank:judge"\ntop_k = 2\n'
        'llm_api_key = "sk-secret"\n'
    )
    (folder / "rag_app.toml").chmod(0o600)
    config = ("--config", folder / "rag_app.toml")
    run_json("ingest", folder / "docs", "--model", model, *config)
    return folder


@pytest.mark.parametrize("ending", ["tar.gz", "tar.zst"])
def test_another_machine_answers_the_same(
    made: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ending == "tar.zst":
        pytest.importorskip("zstandard")
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(made, tmp_path / "here")
    config = folder / "rag_app.toml"
    config.write_text(config.read_text().replace(str(made / "storage"), str(folder / "storage")))
    config.chmod(0o600)
    answered = run_app(*QUESTION, "--config", config)
    archive = tmp_path / f"support.{ending}"
    packed = run_json("bundle", "pack", archive, "--config", config)
    assert packed["models"] == [str(made / "elsewhere" / "tiny"), "judge"]
    assert packed["settings"]["retriever"] == "hybrid:0.5+rerank:judge"
    assert "sk-secret" not in json.dumps(packed)
    # The other machine has neither the folder of the model nor anything else.
    shutil.rmtree(folder)
    (made / "elsewhere").rename(made / "away")
    try:
        opened = run_json("bundle", "open", archive, "--storage", tmp_path / "there")
        assert (opened["index"], opened["chunks"]) == (packed["index"], 3)
        again = run_app(*QUESTION, "--config", opened["settings_file"])
        assert json.loads(again.stdout) == json.loads(answered.stdout)
        assert len(json.loads(again.stdout)["citations"]) == 2
        # Once more changes nothing.
        assert run_json("bundle", "open", archive, "--storage", tmp_path / "there") == opened
        assert not list((tmp_path / "there").glob(".*"))
    finally:
        (made / "away").rename(made / "elsewhere")


@pytest.fixture(scope="module")
def archive(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "b.tar.gz"
    run_json("bundle", "pack", path, "--config", made / "rag_app.toml")
    return path


def test_no_name_of_this_machine_and_no_lock_is_packed(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert members[0].name == "bundle.json"
    assert {(one.uid, one.uname, one.mtime, one.mode) for one in members} == {(0, "", 0, 0o644)}
    assert not [one.name for one in members if one.name.endswith("lock")]


Members = list[tuple[tarfile.TarInfo, bytes]]


def members_of(archive: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            yield member, file.read() if file else b""


def write_members(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def named(name: str, data: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), data


def with_file(members: Members, name: str) -> Members:
    """A file of this name, which the manifest lists with its true hash."""
    import hashlib

    values = json.loads(members[0][1])
    values["files"][name] = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    return [named("bundle.json", json.dumps(values).encode()), *members[1:], named(name)]


def linked(members: Members) -> Members:
    """The last file is a link out of the storage instead."""
    link = tarfile.TarInfo(members[-1][0].name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [*members[:-1], (link, b"")]


def changed(members: Members, **values: Any) -> Members:
    text = json.dumps(json.loads(members[0][1]) | values).encode()
    return [named("bundle.json", text), *members[1:]]


def flipped(members: Members) -> Members:
    member, data = members[-1]
    return [*members[:-1], (member, data[:-1] + bytes([data[-1] ^ 1]))]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: with_file(m, "../evil"), "'../evil' would be written outside of the storage"),
        (lambda m: with_file(m, "index/../../evil"), "would be written outside"),
        (lambda m: with_file(m, "/tmp/evil"), "would be written outside"),  # noqa: S108
        (lambda m: with_file(m, "models/unnamed/evil"), "would be written outside"),
        (lambda m: with_file(m, "index\\..\\evil"), "would be written outside"),
        (lambda m: changed(m, index="../x"), "would be written outside"),
        (lambda m: changed(m, models=[".."]), "would be written outside"),
        (lambda m: [*m, named("../evil")], "'../evil' is not a file as its manifest says"),
        (linked, "is not a file as its manifest says"),
        (lambda m: [*m, m[-1]], "is not a file as its manifest says"),
        (flipped, "changed; copy it again"),
        (lambda m: m[:-1], "is damaged: 1 files are missing"),
        (lambda m: m[1:], "it does not begin with bundle.json"),
        (lambda m: changed(m, format=9), "is a bundle of format 9"),
        (lambda m: [named("bundle.json", b"[]"), *m[1:]], "bundle.json cannot be read"),
        (lambda m: [], "it does not begin with bundle.json"),
    ],
)
def test_what_is_hostile_or_damaged_is_refused_and_leaves_nothing(
    archive: Path, tmp_path: Path, spoil: Callable[[Members], Members], says: str
) -> None:
    spoiled = write_members(tmp_path / "b.tar.gz", spoil(list(members_of(archive))))
    refused(spoiled, tmp_path / "deep" / "storage", says)
    assert {path.name for path in tmp_path.iterdir()} <= {"b.tar.gz", "deep"}
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "storage"]


def refused(archive: Path, storage: Path, says: str) -> None:
    done = run_app("bundle", "open", archive, "--storage", storage, "--quiet")
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert list(storage.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_half_an_archive_is_refused(archive: Path, tmp_path: Path, keep: int) -> None:
    half = tmp_path / "half.tar.gz"
    half.write_bytes(archive.read_bytes()[:keep])
    refused(half, tmp_path / "storage", "is ")
    half.write_bytes(gzip.compress(b"hello"))
    refused(half, tmp_path / "storage", "is damaged, or no bundle")


def test_another_index_or_model_of_the_name_is_kept(archive: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    opened = run_json("bundle", "open", archive, "--storage", storage)
    weights = storage / "models" / "judge" / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + b"\x00")
    done = run_app("bundle", "open", archive, "--storage", storage)
    assert (done.exit_code, "judge holds another model" in done.stderr) == (2, True)
    weights.write_bytes(before)
    (storage / "indexes" / opened["index"] / "written").write_text("other")
    done = run_app("bundle", "open", archive, "--storage", storage)
    assert (done.exit_code, f"has another index {opened['index']}" in done.stderr) == (2, True)


def test_a_pack_that_fails_leaves_no_archive(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_app.bundle import packing

    def lie(path: Path) -> BundledFile:
        return BundledFile(path.stat().st_size + 1, "")

    # A file that got shorter while it was read.
    monkeypatch.setattr(packing, "described", lie)
    with pytest.raises(OSError, match="unexpected end of data"):
        CliRunner().invoke(
            build_app(),
            ["bundle", "pack", str(tmp_path / "b.tar.gz"), "--config", str(made / "rag_app.toml")],
            catch_exceptions=False,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("b.zip", "is no name of a bundle; end it in one of .tar.gz, .tgz, .tar.zst"),
        ("no/b.tar.gz", "there is no folder"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused(
    made: Path, tmp_path: Path, name: str, says: str
) -> None:
    done = run_app("bundle", "pack", tmp_path / name, "--config", made / "rag_app.toml")
    assert (done.exit_code, says in done.stderr) == (2, True)


def test_without_an_archive_or_an_index_there_is_one_message(tmp_path: Path) -> None:
    done = run_app("bundle", "open", tmp_path / "gone.tar.gz", "--storage", tmp_path / "s")
    assert (done.exit_code, "there is no such file" in done.stderr) == (2, True)
    done = run_app("bundle", "pack", tmp_path / "b.tar.gz", "--storage", tmp_path / "s")
    assert (done.exit_code, "nothing has been ingested" in done.stderr) == (2, True)
