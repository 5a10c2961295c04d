"""A model's folder and its card, pushed to the Hugging Face hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from rag_app.errors import ConfigError, first_line
from rag_app.export.folder import CARD, has_verdict, named_anew
from rag_app.models.weights import STAND_INS
from rag_app.pairs.training_documents import TRAINING_FILE
from rag_app.progress import Progress, silent

MESSAGE = "Model and card, by rag-app export hub"
_BASE = re.compile(r"^base_model: (.*)\n", re.MULTILINE)
_PAIRS = re.compile(r"^- pairs: (.*?);", re.MULTILINE)
# OWNER/NAME, as the hub names models.
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_FULL_NAMES = {stand_in: name for name, stand_in in STAND_INS.items()}


@dataclass(frozen=True)
class Pushed:
    """What is on the hub now."""

    repo: str
    url: str
    private: bool
    files: list[str]
    verdict_in_card: bool

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return asdict(self)


def find_token() -> str:
    """The token of HF_TOKEN, or the one that `hf auth login` kept.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise ConfigError(
            "there is no token for the Hugging Face hub; set HF_TOKEN to one that may write, or "
            "run `hf auth login`"
        )
    # A library that refuses it as a header would name it.
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(
            "the token for the Hugging Face hub holds characters that no token has; copy it anew "
            "into HF_TOKEN, or run `hf auth login`"
        )
    return token


def push_to_hub(
    model: Path, repo: str, *, token: str, public: bool = False, progress: Progress = silent
) -> Pushed:
    """Push a sentence-transformers folder in one commit; its card's code loads it from there.

    Arguments:
        repo: OWNER/NAME or NAME; made if it is not there, as a private one.
        public: whether everybody may read it.
    Raises:
        ConfigError: a name that the hub does not take, a repository that others can read without
            `public`, or a hub that cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=token, library_name="rag-app")
    progress("push", 0, 0)
    with _told(repo):
        made = api.create_repo(repo, private=not public, exist_ok=True)
        private = bool(api.model_info(made.repo_id).private)
    if not (private or public):
        raise ConfigError(
            f"{made.repo_id} is there already, and everybody can read it; say --public if that is "
            "meant, or name another repository"
        )
    card = _card(model, made.repo_id)
    contents: dict[str, Path | bytes] = dict(_files(model))
    if card:
        contents[CARD] = card.encode()
    added = [CommitOperationAdd(name, content) for name, content in contents.items()]
    with _told(made.repo_id):
        api.create_commit(made.repo_id, added, commit_message=MESSAGE)
    return Pushed(made.repo_id, str(made), private, sorted(contents), has_verdict(card))


def _files(model: Path) -> Iterator[tuple[str, Path]]:
    """Each file of the folder with its name there, but for hidden ones and names of documents."""
    for path in sorted(model.rglob("*")):
        inside = path.relative_to(model)
        if (
            path.is_file()
            and path.name != TRAINING_FILE
            and not any(part.startswith(".") for part in inside.parts)
        ):
            yield inside.as_posix(), path


def _card(model: Path, repo: str) -> str:
    """The model's card, without the folders of this machine; empty if there is none."""
    card = model / CARD
    if not card.is_file():
        return ""
    text = named_anew(card.read_text("utf-8"), repo)
    text = _BASE.sub(lambda found: _base_line(found[1]), text)
    return _PAIRS.sub(lambda found: f"- pairs: {PurePath(found[1]).name};", text)


def _base_line(name: str) -> str:
    """The base model as the hub can link to it; nothing where it is a folder."""
    name = _FULL_NAMES.get(name, name)
    return f"base_model: {name}\n" if _HUB_NAME.fullmatch(name) else ""


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Make one message of whatever the hub, or the way there, has against a request.

    Raises:
        ConfigError: what it was, and what mends it.
    """
    # Of httpx or of its successor, by version: what a network that is away raises.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{repo} was not pushed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if isinstance(error, HFValidationError):
        return (
            "that is no name of a repository; name one as OWNER/NAME, of at most 96 letters, "
            "digits, '-', '_' and '.'"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, which keeps everything from the hub; unset it"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403):
            return (
                f"the hub refuses the token ({status}); give HF_TOKEN one that may write there, "
                "or name a repository of your own"
            )
        return f"the hub answers {status} ({first_line(error)}); try again later"
    return f"{first_line(error)}; look at the network, and try again"
