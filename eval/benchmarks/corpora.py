"""Public corpora, laid out as a user's files under eval/work (ignored by git).

They come from ../shared/data; MedQuAD and PubMedQA are fetched with git when they are first named.
"""

import csv
import itertools
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
XQUAD = SHARED / "xquad_en" / "xquad.en.json"
KORQUAD = SHARED / "korquad_v1_dev" / "KorQuAD_v1.0_dev.json"
WORK = ROOT / "eval" / "work"
RESULTS = ROOT / "eval" / "results"

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
# Rebuilt from 4-bit weights, as every result here that says "e5-small" without more.
E5 = "multilingual-e5-small-q4"
# Enough for intervals of three points, few enough to train three seeds on two cores. All articles
# are kept: the split and the intervals go by article.
KORQUAD_QUESTIONS = 1000


@dataclass(frozen=True)
class Corpus:
    """Documents to ingest, human questions about them, and the model to start from."""

    name: str
    documents: Path
    questions: Path
    model: str


def jhu_faq(language: str = "en") -> Corpus:
    """Public-health FAQ: answers are the documents, human questions the labels."""
    name = "jhu" if language == "en" else f"jhu-{language}"
    source = SHARED / "jhu_covid_faq" / "scraped_v0.3.tsv"
    csv.field_size_limit(sys.maxsize)
    with source.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if _is_faq_row(row, language)]
    table = ((row["question"], row["answer"], row["sourceName"]) for row in rows)
    return _table(name, table, MINILM if language == "en" else E5)


def _is_faq_row(row: dict[str, str], language: str) -> bool:
    return (
        row["language"] == language
        and bool((row["answer"] or "").strip())
        and row["sourceName"] not in ("NYTimes", "CNN")
    )


def medquad() -> Corpus:
    """Answers of the US institute for diabetes and kidney diseases; chose no setting.

    MedQuAD (Ben Abacha and Demner-Fushman, BMC Bioinformatics 2019), CC BY 4.0.
    """
    commit = "577bd37b96c02d1833b2c9eed2de9f96964e96cb"
    source = _fetched("https://github.com/abachaa/MedQuAD", commit, "5_NIDDK_QA")
    rows = [
        (
            _lines(pair.findtext("Question")),
            _lines(pair.findtext("Answer")),
            document.get("url", ""),
        )
        for path in sorted(source.glob("*.xml"))
        for document in [ET.fromstring(path.read_text("utf-8"))]  # noqa: S314, of a pinned commit
        for pair in document.iter("QAPair")
    ]
    return _table("medquad", rows)


def pubmedqa() -> Corpus:
    """Questions that titles of biomedical papers ask, and the papers' abstracts; chose no setting.

    PubMedQA's labelled part (Jin et al., EMNLP 2019), MIT licence.
    """
    commit = "1cbae8e92f72f20c8d3747cbb3bf5bc53554d997"
    source = _fetched("https://github.com/pubmedqa/pubmedqa", commit, "data/ori_pqal.json")
    rows = [
        (paper["QUESTION"], "\n\n".join(paper["CONTEXTS"]), number)
        for number, paper in json.loads(source.read_text("utf-8")).items()
    ]
    return _table("pubmedqa", rows)


def _fetched(url: str, commit: str, path: str) -> Path:
    """A file or a folder of a public repository as it was at a commit."""
    folder = WORK / "fetched" / url.rpartition("/")[2]
    if not (folder / path).exists():
        git = ["git", "-C", str(folder)]
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "fetch", "--quiet", "--depth", "1", url, commit], check=True)
        subprocess.run([*git, "checkout", "--quiet", commit, "--", path], check=True)
    return folder / path


def _lines(text: str | None) -> str:
    """The text without the white space that XML is laid out with."""
    lines = (" ".join(line.split()) for line in (text or "").splitlines())
    return "\n".join(filter(None, lines))


def _table(name: str, rows: Iterable[tuple[str, str, str]], model: str = MINILM) -> Corpus:
    """An FAQ table of questions, answers and sources: answers are documents, questions labels."""
    target = WORK / name / "faq.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "source"])
        writer.writerows(rows)
    return Corpus(name, target, target, model)


def german_faq() -> Corpus:
    """The German part of the public-health FAQ, which chose no setting."""
    return jhu_faq("de")


def polish_faq() -> Corpus:
    """The Polish part of the public-health FAQ, which chose no setting."""
    return jhu_faq("pl")


def korquad() -> Corpus:
    """Korean articles, one document each, and questions with the answer's place in the article."""
    return _squad("korquad", KORQUAD, E5, most=KORQUAD_QUESTIONS)


def korquad_all() -> Corpus:
    """All 5,774 questions of KorQuAD: several to nearly every passage."""
    return _squad("korquad-all", KORQUAD, E5)


def korquad_several() -> Corpus:
    """All questions of every sixth passage of KorQuAD: some six to a passage, of all articles."""
    return _squad("korquad-several", KORQUAD, E5, every=6)


def xquad_en() -> Corpus:
    """English Wikipedia articles with questions: a general domain."""
    return _squad("xquad-en", XQUAD, MINILM)


def canary_folder() -> Path:
    """XQuAD's English articles with their questions.jsonl, as `--canary` takes them."""
    return _squad("canary", XQUAD, MINILM).questions.parent


def _squad(
    name: str, source: Path, model: str, *, most: int | None = None, every: int = 1
) -> Corpus:
    """A file in SQuAD's format: articles as text files, and `most` questions, evenly drawn.

    Arguments:
        every: of each n-th paragraph the questions are taken.
    """
    folder = WORK / name
    articles = folder / "articles"
    articles.mkdir(parents=True, exist_ok=True)
    questions, paragraphs = [], itertools.count()
    for number, article in enumerate(json.loads(source.read_text("utf-8"))["data"]):
        file = f"{number:03}.txt"
        text = ""
        for paragraph in article["paragraphs"]:
            if next(paragraphs) % every == 0:
                questions += [_squad_question(asked, file, len(text)) for asked in paragraph["qas"]]
            text += paragraph["context"] + "\n\n"
        (articles / file).write_text(text, "utf-8")
    step = max(1, len(questions) // most) if most else 1
    kept = questions[::step][:most]
    target = folder / "questions.jsonl"
    target.write_text("".join(json.dumps(q, ensure_ascii=False) + "\n" for q in kept), "utf-8")
    return Corpus(name, articles, target, model)


def _squad_question(asked: dict[str, Any], name: str, offset: int) -> dict[str, Any]:
    [answer, *_] = asked["answers"]
    start = offset + answer["answer_start"]
    return {
        "question": asked["question"],
        "document": name,
        "evidence": answer["text"],
        "start": start,
        "end": start + len(answer["text"]),
    }


def sample(language: str) -> Corpus:
    """The sample data that is shipped with the project."""
    folder = ROOT / "data" / language
    model = MINILM if language == "en" else E5
    return Corpus(f"sample-{language}", folder, folder / "questions.jsonl", model)


def sample_en() -> Corpus:
    """English sample data."""
    return sample("en")


def sample_ko() -> Corpus:
    """Korean sample data."""
    return sample("ko")


CORPORA: dict[str, Callable[[], Corpus]] = {
    "sample-en": sample_en,
    "sample-ko": sample_ko,
    "jhu": jhu_faq,
    "jhu-de": german_faq,
    "jhu-pl": polish_faq,
    "korquad": korquad,
    "korquad-several": korquad_several,
    "medquad": medquad,
    "pubmedqa": pubmedqa,
    "xquad-en": xquad_en,
}


def load(name: str) -> Corpus:
    """A corpus by name; ends the script, saying why, where its data is not there."""
    if not name.startswith("sample") and not SHARED.is_dir():
        raise SystemExit(f"skipped: {SHARED} is not there, so corpus {name!r} cannot be measured")
    return CORPORA[name]()


def write_results(name: str, values: object) -> None:
    """Write `eval/results/<name>.json` whole or not at all."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    partial = RESULTS / f".{name}.partial"
    partial.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
    partial.replace(RESULTS / f"{name}.json")
