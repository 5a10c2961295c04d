"""A model's folder for other programs: a plain copy that sentence-transformers loads."""

import re
import shutil
from pathlib import Path

from rag_app.disk import whole_folder, write_whole
from rag_app.errors import ConfigError
from rag_app.finetune.loading import USE
from rag_app.models.folders import MODULES

CARD = "README.md"
# Lines of the card that load the model from where it was when it was tuned.
_LOADED = re.compile(r'\b(SentenceTransformer|Embedding)\("(?:[^"\\]|\\.)*"\)')


def copy_for_others(model: Path, target: Path) -> bool:
    """Copy a model's folder, whole or not at all; whether its card holds a measured verdict.

    The card is the one that `finetune` wrote; the lines of code in it load the copy.

    Raises:
        ConfigError: something else than an earlier copy is there, or it is the model itself.
        OSError: as the system says.
    """
    refuse_target(model, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target, hidden=True) as partial:
        shutil.copytree(model, partial)
        return name_anew(partial / CARD, target)


def said_by_card(model: Path) -> str:
    """What a model's card says of it, for an export that is loaded in another way.

    Left out are the front matter, which names what loads the model, and of a card by `finetune` its
    last section, whose code loads the folder that it was written into.
    """
    card = model / CARD
    said = card.read_text("utf-8") if card.is_file() else ""
    if said.startswith("---\n"):
        _, _, said = said.removeprefix("---").partition("\n---\n")
    if has_verdict(said):
        said = said.partition(f"\n{USE}\n")[0]
    return said.strip()


def refuse_target(model: Path, target: Path) -> None:
    """Refuse to write a copy of a model here.

    Raises:
        ConfigError: something else than an earlier copy is there, or it is the model itself.
    """
    if target.resolve() == model.resolve():
        raise ConfigError(
            f"{target} is the model's own folder, which sentence-transformers loads as it is; name "
            "another folder for a copy"
        )
    if target.is_dir() and any(target.iterdir()) and not (target / MODULES).is_file():
        raise ConfigError(f"{target} holds something else than a model; name a new folder")


def name_anew(card: Path, target: Path) -> bool:
    """Let the code of a copy's card load the copy; whether there is a verdict in it."""
    if not card.is_file():
        return False
    text = card.read_text("utf-8")
    write_whole(card, named_anew(text, target.as_posix()))
    return has_verdict(text)


def named_anew(card: str, name: str) -> str:
    """A card whose code loads the model by this name."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return _LOADED.sub(lambda found: f'{found[1]}("{quoted}")', card)


def has_verdict(card: str) -> bool:
    """Whether `finetune` wrote this card."""
    return "Verdict: " in card
