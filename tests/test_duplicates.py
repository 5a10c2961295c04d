"""Near-duplicates of an ingest are named, and left out where that is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_cli import run_app
from tiny import make_tiny_model

from rag_app.index import Workspace
from rag_app.ingest import duplicates
from rag_app.ingest.duplicates import Wording, first_of_each

# 40 different words: 38 shingles of three.
WORDS = [f"word{letter}{other}" for letter in "abcdefgh" for other in "vwxyz"]
PLAIN = " ".join(WORDS)
# One shingle of 38 is another: 37/39 are common.
LAST_DIFFERS = " ".join([*WORDS[:-1], "another"])
# Six of 38 are others: 32/44, below 4/5.
TWO_DIFFER = " ".join("other" if n in (10, 20) else word for n, word in enumerate(WORDS))


def wordings(**texts: str) -> dict[str, Wording]:
    return {name: Wording.of(text) for name, text in texts.items()}


def test_the_first_of_documents_that_say_the_same_is_named() -> None:
    found = first_of_each(
        wordings(a=PLAIN, b=TWO_DIFFER, c=LAST_DIFFERS, d=PLAIN.upper(), e=TWO_DIFFER)
    )
    assert found == {"c": "a", "d": "a", "e": "b"}


def test_a_document_with_another_number_says_another_thing() -> None:
    lines = {name: f"{PLAIN} {last}" for name, last in (("a", "14"), ("b", "30"), ("c", "nine"))}
    assert first_of_each(wordings(**lines)) == {}
    assert first_of_each(wordings(**lines, d=f"{PLAIN} 30.")) == {"d": "b"}


def test_what_is_left_out_is_no_measure_for_others() -> None:
    # Each differs from the one before in its last three words: 35/41 = .85; over two steps 32/44.
    chain = {
        name: " ".join([*WORDS[: 40 - 3 * n], *(f"new{k}{name}" for k in "xyz"[: 3 * n])])
        for n, name in enumerate("ab")
    }
    chain["c"] = " ".join([*["first", "second", "third"], *chain["b"].split()[3:]])
    assert Wording.of(chain["a"]).is_like(Wording.of(chain["b"]))
    assert Wording.of(chain["b"]).is_like(Wording.of(chain["c"]))
    assert not Wording.of(chain["a"]).is_like(Wording.of(chain["c"]))
    # c is like b alone, and b is left out: c stays.
    assert first_of_each(wordings(**chain)) == {"b": "a"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


class Shop:
    """A folder of documents, and a storage that follows it."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.docs = folder / "docs"
        self.docs.mkdir()
        self.storage = folder / "storage"
        self._model = model

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.docs / f"{name}.txt").write_text(text)

    def ingest(self, *options: str) -> dict[str, Any]:
        done = run_app(
            *("ingest", self.docs, "--model", self._model, "--storage", self.storage),
            *("--json", *options),
        )
        assert done.exit_code == 0, done.stderr
        self.said = done.stderr
        values: dict[str, Any] = json.loads(done.stdout)
        return values

    def indexed(self) -> set[str]:
        records = Workspace(self.storage).catalog.open().records()
        return {Path(record.path).stem for record in records}


@pytest.fixture
def shop(tmp_path: Path, model: Path) -> Shop:
    made = Shop(tmp_path, model)
    made.write(a=PLAIN, b=TWO_DIFFER, c=LAST_DIFFERS, d=PLAIN)
    return made


def test_an_ingest_reports_near_duplicates_and_indexes_them(shop: Shop) -> None:
    found = shop.ingest()["near_duplicates"]
    assert found == {
        "count": 2,
        "left_out": False,
        "documents": [
            {"document": "docs/c.txt", "original": "docs/a.txt"},
            {"document": "docs/d.txt", "original": "docs/a.txt"},
        ],
    }
    assert shop.indexed() == set("abcd")
    line = "2 documents nearly repeat an earlier one, e.g. docs/c.txt as docs/a.txt;"
    assert line in shop.said


def test_dedupe_keeps_the_first_and_converges(shop: Shop) -> None:
    shop.ingest()
    values = shop.ingest("--dedupe")
    assert (values["removed"], values["near_duplicates"]["left_out"]) == (2, True)
    assert shop.indexed() == set("ab")
    assert "    docs/d.txt: as docs/a.txt" in shop.said
    again = shop.ingest("--dedupe")
    assert (again["added"], again["removed"], again["unchanged"]) == (0, 0, 2)
    # Without its original the next one is kept.
    (shop.docs / "a.txt").unlink()
    after = shop.ingest("--dedupe")
    assert (after["added"], after["removed"]) == (1, 1)
    assert shop.indexed() == set("bc")
    # Without the option everything is there.
    assert shop.ingest()["added"] == 1


def test_a_new_file_is_compared_with_those_that_are_not_read_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.ingest()
    compared: list[str] = []
    inner = Wording.of

    def spy(text: str) -> Wording:
        compared.append(text)
        return inner(text)

    monkeypatch.setattr(duplicates.Wording, "of", spy)
    shop.write(e=TWO_DIFFER + ".")
    found = shop.ingest()["near_duplicates"]["documents"]
    assert {"document": "docs/e.txt", "original": "docs/b.txt"} in found
    assert compared == [TWO_DIFFER + "."]
    # What did not change is not compared at all.
    monkeypatch.setattr(duplicates, "first_of_each", lambda _: pytest.fail("compared again"))
    assert shop.ingest()["near_duplicates"]["documents"] == found


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_damaged_files_beside_the_index_do_no_harm(shop: Shop, damage: bytes) -> None:
    shop.ingest()
    for pattern in ("shingles.npz", "duplicates.json"):
        [path] = shop.storage.glob(f"indexes/*/{pattern}")
        path.write_bytes(damage)
    shop.write(d=PLAIN + ".", a=PLAIN + "!")
    # The other two are not read again, so nothing is known of them.
    assert shop.ingest()["near_duplicates"]["documents"] == [
        {"document": "docs/d.txt", "original": "docs/a.txt"}
    ]
