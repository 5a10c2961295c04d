"""What finetune says to bad input, as a user meets it: one message with the mend, nothing lost."""

import csv
import json
import math
import platform
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from lock_holder import held_elsewhere
from program import Program
from test_cli import check_error, name_of, run_app
from tiny import MAX_TOKENS, WIDTH, make_tiny_model

from rag_app.errors import TrainingError
from rag_app.finetune.train import losses
from rag_app.finetune.train.losses import PackedColumnsRankingLoss
from rag_app.finetune.training_lock import training_lock
from rag_app.index import Catalog
from rag_app.models import EmbeddingModel

SUBJECTS = [f"zorb{i}" for i in range(60)]
WORDS = [*SUBJECTS, "how", "do", "i", "get", "where", "you", "find", "there", "it", "is"]
QUICKLY = ("--batch-size", "8", "--epochs", "1", "--no-promote", "--quiet")

Rows = Sequence[tuple[str, str]]

pytestmark = pytest.mark.usefixtures("single_thread")


def answer(subject: str) -> str:
    return f"where you find {subject} there it is"


def question(subject: str) -> str:
    return f"how do i get {subject}"


FAQ = [(question(subject), answer(subject)) for subject in SUBJECTS]


def write_csv(path: Path, rows: Iterable[tuple[str, str]], *, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows(rows)
    return path


def ingest(*arguments: str | Path) -> str:
    done = run_app("ingest", *arguments, "--chunk-overlap", "8", "--quiet")
    assert done.exit_code == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a storage: a tiny model, and the index of a FAQ of sixty answers."""
    folder = tmp_path_factory.mktemp("made")
    make_tiny_model(folder / "storage" / "models" / "tiny", words=WORDS)
    faq = write_csv(folder / "faq.csv", FAQ)
    ingest(faq, "--storage", folder / "storage", "--model", "tiny", "--chunk-size", "48")
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which commands are run."""
    folder = tmp_path / "shop"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    # Chroma knows a folder by its name for as long as a process lives.
    monkeypatch.setenv("RAG_APP_STORAGE", str(folder / "storage"))
    monkeypatch.setenv("RAG_APP_RESULTS", "results")
    return folder


def finetune(*arguments: str | Path) -> tuple[dict[str, Any], str]:
    """The result of a run that ends well, and what it said on standard error beside it."""
    done = run_app("finetune", *arguments, *QUICKLY, "--json")
    assert done.exit_code == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values, done.stderr


def left(folder: Path) -> tuple[str, set[str], set[str]]:
    """The index in service, all indexes and all models."""
    storage = folder / "storage"
    indexes, models = (
        {path.name for path in (storage / part).iterdir()} for part in ("indexes", "models")
    )
    return name_of(storage), indexes, models


def check_refused(shop: Path, rows: Rows, message: str) -> None:
    """Exit code 2 and this one message; what there was is still there and nothing besides."""
    before = left(shop)
    pairs = write_csv(shop / "pairs.csv", rows)
    check_error("finetune", "--pairs", pairs, *QUICKLY, kind="PairsError", says=message)
    assert left(shop) == before


def test_a_canary_that_is_not_there(shop: Path) -> None:
    check_error(
        *("finetune", "--pairs", "faq.csv", *QUICKLY, "--canary", "nowhere.csv"),
        kind="DocumentError",
        says="nowhere.csv does not exist",
    )


def test_too_few_pairs(shop: Path) -> None:
    check_refused(
        shop,
        FAQ[:19],
        "19 pairs are too few to train on some and test on others; label at least 20, or write "
        "some with `rag-app questions`",
    )


def test_too_few_pairs_whose_answers_are_there(shop: Path) -> None:
    foreign = [(question(subject), f"{subject} is sold out") for subject in SUBJECTS[:10]]
    echoes = [(f"{answer(subject)}?", answer(subject)) for subject in SUBJECTS[20:25]]
    check_refused(
        shop,
        [*FAQ[:15], *foreign, *echoes],
        "15 pairs are too few to train on some and test on others, and those that were left out "
        "cannot help: 10 have an answer that is not in the index and 5 repeat the passage that "
        "answers them; label at least 20",
    )


def test_all_pairs_about_one_document(shop: Path) -> None:
    check_refused(
        shop,
        [(question(subject), answer("zorb7")) for subject in SUBJECTS],
        "a document is never shared out among train, test, dev; label questions to other "
        "documents as well, or cut this one into several files",
    )


def test_questions_that_repeat_their_answers_are_left_out_and_counted(shop: Path) -> None:
    plain, said = finetune("--pairs", "faq.csv")
    assert plain["self_answering"] == 0
    assert plain["split"] == {"train": 36, "dev": 6, "test": 18, "known": 0}
    # Where nothing is left out or cut, nothing is said of it.
    assert "warning" not in said
    echoes = [(f"{answer(subject).upper()} ?", answer(subject)) for subject in SUBJECTS[:5]]
    values, said = finetune("--pairs", write_csv(shop / "pairs.csv", [*FAQ, *echoes]))
    assert values["self_answering"] == 5
    assert said.count("warning: ") == 1
    assert (
        "warning: 5 questions were left out: they repeat the passage that answers them, which "
        "teaches nothing and makes scores too good; ask in other words\n"
    ) in said
    # The same training, and the same scores as without them.
    for same in ("model", "split", "base", "tuned", "on_training_questions"):
        assert values[same] == plain[same]


def long_answers(words: int) -> list[tuple[str, str]]:
    """A FAQ whose answers have so many words more, no two of them alike."""
    rng = random.Random(1)  # noqa: S311
    return [
        (question(subject), f"{answer(subject)} {' '.join(rng.choices(SUBJECTS, k=words))}")
        for subject in SUBJECTS
    ]


def test_passages_longer_than_training_reads(shop: Path) -> None:
    # 7 words, 20 more and 2 marks.
    faq = write_csv(shop / "long.csv", long_answers(20))
    ingest(faq, "--model", "tiny", "--chunk-size", "48", "--index", "long", "--use")
    values, said = finetune("--pairs", faq, "--max-tokens", "16")
    assert values["cut_passages"] == {
        "count": 36,
        "of": 36,
        "max_tokens": 16,
        "model_max_tokens": MAX_TOKENS,
    }
    assert (
        "warning: 36 of 36 passages are longer than the 16 tokens that training read of each, and "
        "their ends were not learned from: train with a larger --max-tokens than 16\n"
    ) in said
    # An adapter is trained on vectors of the whole texts.
    values, said = finetune("--pairs", faq, "--max-tokens", "16", "--method", "adapter")
    assert values["cut_passages"]["count"] == 0
    assert "longer than" not in said


def test_passages_longer_than_the_model_reads(shop: Path) -> None:
    faq = write_csv(shop / "long.csv", long_answers(80))
    said = ingest(faq, "--model", "tiny", "--chunk-size", "128", "--index", "long", "--use")
    assert "60 of 60 chunks are longer than the 64 tokens that tiny reads" in said
    values, said = finetune("--pairs", faq)
    assert values["cut_passages"]["count"] == values["cut_passages"]["of"] == 36
    assert (
        "warning: 36 of 36 passages are longer than the 64 tokens that training read of each, and "
        "their ends were not learned from: the model reads no more; run `rag-app ingest PATH "
        "--chunk-size 64`\n"
    ) in said


def make_bytewise(folder: Path) -> None:
    """A model whose tokenizer is of Python alone."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, ByT5Tokenizer

    inner = folder.with_name(f"{folder.name}.bert")
    tokenizer = ByT5Tokenizer(model_max_length=MAX_TOKENS)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=WIDTH,
        max_position_embeddings=MAX_TOKENS,
    )
    BertModel(config).save_pretrained(inner)
    tokenizer.save_pretrained(inner)
    modules = [Transformer(str(inner)), Pooling(WIDTH, pooling_mode="mean"), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)


def make_static(folder: Path, tiny: Path) -> None:
    """A model that is a table of word vectors."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    size = (tokenizer.get_vocab_size(), WIDTH)
    vectors = np.random.default_rng(1).standard_normal(size).astype(np.float32)
    modules = [StaticEmbedding(tokenizer, embedding_weights=vectors), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)


def test_a_model_without_a_fast_tokenizer(shop: Path) -> None:
    make_bytewise(shop / "storage" / "models" / "bytewise")
    before = left(shop)
    check_error(
        "ingest",
        "faq.csv",
        "--model",
        "bytewise",
        kind="ModelError",
        says="has no fast tokenizer (tokenizer.json), and transformers makes none of its "
        "ByT5Tokenizer; chunking needs one, so name another model with --model",
    )
    assert left(shop) == before


def test_a_static_model_is_tuned_by_an_adapter_alone(shop: Path) -> None:
    make_static(shop / "storage" / "models" / "static", shop / "storage" / "models" / "tiny")
    ingest("faq.csv", "--model", "static", "--chunk-size", "48", "--index", "static", "--use")
    # Whitening, where it is not refused, may cost some ranks of 18 questions.
    values, _ = finetune("--pairs", "faq.csv", "--method", "adapter", "--whitening", "0")
    assert values["tuned"]["mrr@10"]["mean"] >= values["base"]["mrr@10"]["mean"]
    best = max(values["training"]["dev_mrr"])
    assert values["training"]["saved_dev_mrr"] >= best - 1e-5
    check_error(
        "finetune",
        "--pairs",
        "faq.csv",
        *QUICKLY,
        kind="TrainingError",
        says="StaticEmbedding models have no transformer to train; use --method adapter",
    )


def test_a_rate_that_no_model_survives_is_refused_at_once(shop: Path) -> None:
    before = left(shop)
    endless = ("--pairs", "faq.csv", *QUICKLY, "--learning-rate", "1e30")
    says = "--learning-rate is 1e+30; it takes more than 0 and up to 1, usual are 1e-5 to 1e-3"
    check_error("finetune", *endless, kind="ConfigError", says=says)
    assert left(shop) == before


class OverflowsLater(PackedColumnsRankingLoss):
    """A rate at which only the third epoch overflows is not the same on two processors."""

    good_steps = 15  # Of at least five an epoch.

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Any) -> Any:
        loss = super().forward(sentence_features, labels)
        self.good_steps -= 1
        return loss if self.good_steps >= 0 else loss * math.inf


def test_a_loss_that_turns_to_no_number(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "PackedColumnsRankingLoss", OverflowsLater)
    before = left(shop)
    diverging = ("--pairs", "faq.csv", *QUICKLY, "--epochs", "6")
    says = "run again with a smaller --learning-rate. The model as it was after epoch "
    check_error("finetune", *diverging, kind="Diverged", says=says)
    active, indexes, models = left(shop)
    assert (active, indexes) == before[:2]
    [kept] = models - before[2]
    folder = shop / "storage" / "models" / kept
    assert run_app("finetune", *diverging).stderr.endswith(f"is kept in {folder}\n")
    model = EmbeddingModel(kept, folder, device="cpu")
    assert model.embed_queries(["how"]).shape == (1, WIDTH)


# Korean, in the encoding that Excel saves it in.

KOREAN_WORDS = {"배송": "도착", "환불": "입금", "회원": "가입", "결제": "카드", "주문": "취소"}
KOREAN = [
    (f"{thing} {number}번은 어떻게 하나요?", f"{done} 안내 {number}: 펲시 똠방 {thing}{number}")
    for thing, done in KOREAN_WORDS.items()
    for number in range(8)
]


def encoded(write: Callable[[str], Path]) -> tuple[set[str], list[str], dict[str, Any]]:
    """The documents in the index, the questions tested on, and the result of finetune."""
    path = write("cp949")
    ingest(path, "--model", "tiny", "--chunk-size", "48", "--index", "korean", "--use")
    values, said = finetune("--pairs", path)
    assert "left out" not in said
    nodes = Catalog(Path("storage").absolute()).open("korean").passages().nodes
    lines = (Path(values["results"]) / "base.jsonl").read_text("utf-8").splitlines()
    return {node.text for node in nodes}, [json.loads(line)["question"] for line in lines], values


def test_a_table_in_cp949_is_documents_and_pairs(shop: Path) -> None:
    documents, tested, values = encoded(
        lambda encoding: write_csv(shop / "ko.csv", KOREAN, encoding=encoding)
    )
    assert b"\xb9\xe8\xbc\xdb" in (shop / "ko.csv").read_bytes()  # 배송
    assert documents == {text for _, text in KOREAN}
    assert set(tested) <= {text for text, _ in KOREAN}
    assert (values["unmatched"], sum(values["split"].values())) == (0, 40)


def test_texts_in_cp949_are_documents(shop: Path) -> None:
    (shop / "docs").mkdir()
    for number, (_, text) in enumerate(KOREAN[:3]):
        (shop / "docs" / f"{number}.txt").write_bytes(text.encode("cp949"))
    ingest("docs", "--model", "tiny", "--chunk-size", "48", "--index", "korean", "--use")
    nodes = Catalog(shop / "storage").open("korean").passages().nodes
    assert {node.text for node in nodes} == {text for _, text in KOREAN[:3]}


def test_a_table_in_another_encoding_says_how_to_mend_it(shop: Path) -> None:
    path = write_csv(shop / "de.csv", [("Größe?", "Übergröße")], encoding="latin-1")
    check_error(
        "finetune",
        "--pairs",
        path,
        *QUICKLY,
        kind="PairsError",
        says="convert it: iconv -f ENCODING -t UTF-8 OLD > NEW",
    )


def test_the_same_training_twice_at_once(shop: Path) -> None:
    pairs = write_csv(shop / "pairs.csv", FAQ)
    options = ("--pairs", str(pairs), "--method", "full", "--batch-size", "8", "--epochs", "2000")
    command = ("finetune", *options, "--no-promote", "--quiet")
    with Program(*command, folder=shop) as first:
        models = shop / "storage" / "models"
        first.wait_until(models, ".training-*.lock")
        check_error(
            *command,
            kind="TrainingError",
            says=f"this model in {models} is being trained by another process (`",
        )
        assert first.returncode is None


def test_who_may_not_train_is_told_who_does(tmp_path: Path) -> None:
    imports = "from rag_app.finetune.training_lock import training_lock"
    with (
        held_elsewhere(
            imports, "training_lock(Path(sys.argv[1]), '.training-a')", tmp_path
        ) as other,
        pytest.raises(TrainingError) as caught,
        training_lock(tmp_path, ".training-a"),
    ):
        pass
    said = str(caught.value)
    assert said.startswith(f"this model in {tmp_path} is being trained by another process (`-c ")
    assert f"process {other.pid} on {platform.node()}, since 20" in said
    assert said.endswith("run the same command again: it takes up what is there")
    with training_lock(tmp_path, ".training-a"):
        assert {path.name for path in tmp_path.iterdir()} == {
            ".training-a.lock",
            ".training-a.holder.json",
        }
    assert list(tmp_path.iterdir()) == []
