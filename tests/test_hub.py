"""`export hub` against a hub on loopback: what arrives there, and what nobody gets to see."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub
from tiny import make_tiny_model

TOKEN = "hf_" + "Secret0123456789" * 2
# Names of documents, and what is nobody's.
KEPT_HERE = {"training_documents.json", ".lock"}
CARD = """---
library_name: sentence-transformers
base_model: {base}
---
# tuned

- pairs: /home/me/private/questions.jsonl; trained on: both (10 rows)

```python
model = SentenceTransformer("/home/me/storage/models/tuned")
```

Verdict: promote: mrr@10 rose.
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_model(tmp_path_factory.mktemp("hub") / "tuned")
    (folder / "README.md").write_text(CARD.format(base="multilingual-e5-small-q4"), "utf-8")
    for name in KEPT_HERE:
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(TOKEN) as server:
        yield server


def push(
    repo: str, model: Path, *options: str, home: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; the token is in no output, whatever happens."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING", "RAG_APP_", "TRANSFORMERS_"))
    }
    # Xet speaks to servers of its own; without it large files go the way of LFS.
    own = {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "rag_app", "export", "hub", repo, "--model", str(model), *options],
        env={**kept, **own},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert TOKEN[:12] not in done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_the_folder_arrives_with_its_card(model: Path, hub: FakeHub, tmp_path: Path) -> None:
    done = push("mine", model, "--json", home=tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["me/mine"]
    assert repository.private
    there = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert set(repository.files) == there - KEPT_HERE
    for name in set(repository.files) - {"README.md"}:
        assert repository.files[name] == (model / name).read_bytes(), name
    said = json.loads(done.stdout)
    assert (said["repo"], said["private"], said["verdict_in_card"]) == ("me/mine", True, True)
    assert said["files"] == sorted(repository.files)
    card = repository.files["README.md"].decode()
    assert 'SentenceTransformer("me/mine")' in card
    assert "base_model: intfloat/multilingual-e5-small\n" in card
    assert "- pairs: questions.jsonl; trained on: both (10 rows)" in card
    assert "Verdict: promote: mrr@10 rose." in card
    assert "/home/me" not in card
    # One commit; pushed again, the same repository gets another.
    assert [one for one in hub.requests if "commit" in one] == [
        "POST /api/models/me/mine/commit/main"
    ]
    assert push("mine", model, home=tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN).returncode == 0


@pytest.mark.slow
def test_others_read_only_what_is_meant_for_them(model: Path, hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)  # where `hf auth login` keeps it
    done = push("team/it", model, "--public", home=tmp_path, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "(public, " in done.stdout
    assert not hub.repositories["team/it"].private
    done = push("team/it", model, home=tmp_path, HF_ENDPOINT=hub.url)
    assert done.returncode == 2
    assert "everybody can read it; say --public if that is meant" in " ".join(done.stderr.split())
    assert len([one for one in hub.requests if "/commit/" in one]) == 1


@pytest.mark.slow
def test_what_keeps_it_from_the_hub_is_one_message(
    model: Path, hub: FakeHub, tmp_path: Path
) -> None:
    def said(repo: str, **environment: str) -> str:
        done = push(repo, model, "--debug", home=tmp_path, **environment)
        assert done.returncode == 2, done.stderr
        return " ".join(done.stderr.split())

    there = {"HF_ENDPOINT": hub.url}
    assert "there is no token for the Hugging Face hub; set HF_TOKEN" in said("mine", **there)
    odd = said("mine", HF_TOKEN=f"{TOKEN}\x07", **there)
    assert "holds characters that no token has" in odd
    named = said("a/b/c", HF_TOKEN=TOKEN, **there)
    assert "a/b/c was not pushed: that is no name of a repository" in named
    assert hub.requests == []
    offline = said("mine", HF_TOKEN=TOKEN, HF_HUB_OFFLINE="1", **there)
    assert "HF_HUB_OFFLINE is set" in offline
    refused = said("mine", HF_TOKEN="hf_another", **there)  # noqa: S106 - no token of anybody
    assert "the hub refuses the token (401)" in refused
    away = said("mine", HF_TOKEN=TOKEN, HF_ENDPOINT="http://127.0.0.1:9")
    assert "look at the network, and try again" in away
    assert hub.repositories == {}
