"""What a bundle holds: the index, the models, the settings, and every file with its hash."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from rag_app.errors import ConfigError
from rag_app.index.folders import NAME
from rag_app.models.weights import folder_name

MANIFEST = "bundle.json"
FORMAT = 1
INDEX, MODELS = "index", "models"


@dataclass(frozen=True)
class BundledFile:
    """One file: its size and its SHA-256, in hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The first member of a bundle.

    Fields:
        format: of bundles, raised where an older program could not open it.
        rag_app: version of the program that packed it.
        index: name of the index, whose files stand below `index/`.
        stamp: names the state of the index, as the token beside its store does.
        models: names of the embedding model and the reranker; each in a folder below `models/`.
        settings: of rag_app.toml, that decide what is found.
        files: by their place in the archive.
    """

    format: int
    rag_app: str
    index: str
    stamp: str
    models: list[str]
    settings: dict[str, str | int]
    files: dict[str, BundledFile]

    def to_json(self) -> str:
        """As it stands in the archive."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files.values())


def read_manifest(text: bytes, *, where: Path) -> Manifest:
    """What `to_json` gave, if it can be trusted not to write elsewhere.

    Raises:
        ConfigError: it is none, of another format, or names files outside of its folders.
    """
    try:
        manifest = TypeAdapter(Manifest).validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise ConfigError(
            f"{where} is no bundle: {MANIFEST} cannot be read ({place}: {problem['msg']}); pack it "
            "again with `rag-app bundle pack`"
        ) from None
    if manifest.format != FORMAT:
        raise ConfigError(
            f"{where} is a bundle of format {manifest.format}, packed by rag-app "
            f"{manifest.rag_app}; this version opens format {FORMAT}: pack it again with this one"
        )
    wrong = [name for name in manifest.files if not _is_inside(name, manifest)]
    if wrong or not NAME.fullmatch(manifest.index):
        found = wrong[0] if wrong else manifest.index
        raise ConfigError(
            f"{where} is refused: {found!r} would be written outside of the storage; get the "
            "bundle from who packed it"
        )
    return manifest


def _is_inside(name: str, manifest: Manifest) -> bool:
    """Whether a file stands below the index's folder or one of a model that is named."""
    path = PurePosixPath(name)
    plain = path.as_posix() == name and not path.is_absolute() and not set(name) & set("\\:\0")
    starts = [(INDEX,), *((MODELS, folder_name(model)) for model in manifest.models)]
    below = any(path.parts[:-1][: len(start)] == start for start in starts)
    return plain and below and ".." not in path.parts


def described(path: Path) -> BundledFile:
    """Size and hash of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BundledFile(path.stat().st_size, digest)
