"""Every setting, once: flags > environment (RAG_APP_*) > rag_app.toml > defaults."""

import difflib
import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError, PydanticUndefined

from rag_app.errors import ConfigError
from rag_app.masking import masked

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_CONFIG_FILE = "rag_app.toml"
ENVIRONMENT_PREFIX = "RAG_APP_"

_SECRET = frozenset({"llm_api_key", "chroma_token", "chroma_headers", "token"})
# What pydantic says of these is about Python.
_PLAINER = {
    "path_type": "Input should be a path in quotes",
    "tuple_type": "Input should be a list of texts in quotes",
}
_LONGEST_SHOWN = 80


class Settings(BaseModel):
    """What the stages may be told. Sizes are tokens of the embedding model, times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    storage: Path = Field(Path("storage"), description="folder for indexes, models and questions")
    results: Path = Field(
        default_factory=lambda known: known["storage"] / "results",
        description="folder for what was measured [STORAGE/results]",
    )
    model: str | None = Field(
        None, description="embedding model: a name or a folder [the index's, or all-MiniLM-L6-v2]"
    )
    chunk_size: int | None = Field(
        None, ge=16, le=8192, description="tokens of a chunk, as the model sees it [256]"
    )
    chunk_overlap: int | None = Field(
        None, ge=0, description="tokens that neighbouring chunks may share [32]"
    )
    sentences: Literal["rules", "kiwi"] | None = Field(
        None, description="how sentence ends are found; kiwi: Korean by morphology [rules]"
    )
    chroma_url: str | None = Field(None, description="a Chroma server, instead of embedded Chroma")
    project: str | None = Field(
        None, description="whose indexes on the Chroma server [made from the storage folder]"
    )
    chroma_token: SecretStr | None = Field(None, description="better kept in RAG_APP_CHROMA_TOKEN")
    chroma_headers: tuple[SecretStr, ...] = Field(
        (), description='sent to the Chroma server: ["NAME: VALUE"]; one a line in the environment'
    )
    chroma_tenant: str = Field("default_tenant", min_length=1, description="of the Chroma server")
    chroma_database: str = Field("default_database", min_length=1, description="of that tenant")
    chroma_timeout: float = Field(60.0, gt=0, description="seconds to wait for the Chroma server")
    offline: bool = Field(True, description="never ask the Hugging Face hub for weights")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where models run")
    question_column: str = Field("question", description="the question's column in FAQ tables")
    answer_column: str = Field("answer", description="the answer's column in FAQ tables")
    ocr: str | None = Field(
        None, description="languages in which tesseract reads pages of PDFs without text: kor+eng"
    )
    metadata: tuple[str, ...] = Field(
        (), description='given to each document: ["company=Acme"]; one a line in the environment'
    )
    top_k: int = Field(5, ge=1, le=100, description="passages shown for a question")
    retriever: str = Field(
        "index",
        description="vector, keyword (BM25), hybrid:0.7, hybrid:learned; steps: "
        "hybrid:0.7+questions+latest; index: the one that the index was judged with, or else "
        "vector+questions",
    )
    fetch_k: int = Field(
        100, ge=1, le=1000, description="candidates that hybrid and the steps choose from"
    )
    rewrites: int = Field(3, ge=1, le=10, description="questions that multi_query may write")
    where: str | None = Field(None, description="filter: category = billing and date >= 2023-06")
    today: date | None = Field(None, description="the day that ages are counted from [today]")
    llm: Literal["auto", "none", "local", "endpoint"] = Field(
        "auto", description="auto: the endpoint if one is named, else the local model, else none"
    )
    llm_base_url: str | None = Field(None, description="an OpenAI-compatible endpoint, up to /v1")
    llm_model: str | None = Field(None, description="the model's name there, or a GGUF file")
    llm_api_key: SecretStr | None = Field(None, description="better kept in RAG_APP_LLM_API_KEY")
    llm_timeout: float = Field(120.0, gt=0, description="seconds to wait for one answer")
    llm_retries: int = Field(4, ge=0, le=20, description="tries after the first that failed")
    llm_concurrency: int = Field(8, ge=1, le=256, description="requests under way at once")
    token: SecretStr | None = Field(
        None, description="asked of whoever asks `serve` or `mcp`; better kept in RAG_APP_TOKEN"
    )
    seed: int = Field(
        13, ge=0, le=2**32 - 1, description="the same seed and inputs give the same numbers"
    )

    @field_validator("chroma_headers", "metadata", mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        """Several values from the environment, one a line."""
        return value.splitlines() if isinstance(value, str) else value

    @field_validator("storage", "results", mode="before")
    @classmethod
    def _named_in_words(cls, value: object) -> object:
        """Refuse what Python takes for a path, and no user means as one."""
        if not isinstance(value, str | Path):
            raise PydanticCustomError("path_type", "Input should be a path in quotes")
        try:
            named = str(value).encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("path_encoding", "it should be a path in UTF-8") from None
        if b"\0" in named:
            raise PydanticCustomError("path_encoding", "it should be a path without NUL")
        return value

    def secrets(self) -> list[str]:
        """What must not be shown."""
        kept = (self.llm_api_key, self.chroma_token, self.token, *self.chroma_headers)
        values = [secret.get_secret_value() for secret in kept if secret is not None]
        return [part for value in values for part in (value, value.partition(":")[2].strip())]


def load_settings(
    *,
    flags: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge flags, environment and file into settings.

    Arguments:
        flags: what the command line was given; None means not given.
        config_file: a TOML file that must exist; without it ./rag_app.toml is read if it is there.
        environment: the process environment unless told otherwise.
    Raises:
        ConfigError: an unknown key, a value out of range, or a file that cannot be read.
    """
    environment = os.environ if environment is None else environment
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    values = {**_from_file(config_file), **_from_environment(environment), **given}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def template() -> str:
    """A settings file that names every setting but secrets, each a comment with its default."""
    lines = [
        "# Settings of rag_app. Flags and RAG_APP_* in the environment count for more than this",
        "# file. A default in brackets is worked out when it is needed.",
    ]
    for name, field in Settings.model_fields.items():
        if name in _SECRET:
            continue
        worked_out = re.search(r"\[(\d+)\]$", field.description or "")
        default = int(worked_out[1]) if worked_out else field.default
        lines += ["", f"# {field.description}", f"# {name} = {_toml(default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A value as TOML; what has no default is left to be filled in."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    text = "" if value is None or value is PydanticUndefined else str(value)
    return json.dumps(text, ensure_ascii=False)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        FileNotFoundError: it is not there.
        ConfigError: it cannot be read; the message says why, not how to mend it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError("it is not a regular file")
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(str(error)) from None
    except RecursionError:
        raise ConfigError("its values are nested too deep") from None


def _from_file(config_file: Path | None) -> dict[str, Any]:
    path = config_file or Path(DEFAULT_CONFIG_FILE)
    try:
        values = read_toml(path)
    except FileNotFoundError:
        if config_file is None:
            return {}
        raise ConfigError(f"{path} does not exist; name an existing file with --config") from None
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be read: {error}; mend the file") from None
    _refuse_unknown(values, where=str(path))
    if _SECRET & values.keys() and os.name != "nt" and path.stat().st_mode & 0o077:
        raise ConfigError(
            f"{path} holds {', '.join(sorted(_SECRET & values.keys()))}, and others may read it; "
            f"run `chmod 600 {path}`, or keep secrets in the environment ({ENVIRONMENT_PREFIX}*)"
        )
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    values = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    _refuse_unknown(values, where=f"the environment ({ENVIRONMENT_PREFIX}*)")
    return values


def _refuse_unknown(values: Mapping[str, Any], *, where: str) -> None:
    known = list(Settings.model_fields)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f"{where} has an unknown key {key!r}; {hint}")


def _explain(error: ValidationError) -> str:
    problems = [
        _explain_one(problem)
        for problem in error.errors()
        if problem["type"] != "default_factory_not_called"  # It needs what is wrong itself.
    ]
    return "a setting is not usable: " + "; ".join(problems)


def _explain_one(problem: "ErrorDetails") -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = _PLAINER.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    if not key:
        return message
    return f"{key}: {message} ({_found(key, problem['input'])})"


def _found(key: str, value: object) -> str:
    if key.partition(".")[0] in _SECRET:
        return "its value is not shown"
    text = masked(repr(value))
    return f"found {text}" if len(text) <= _LONGEST_SHOWN else f"found {text[:_LONGEST_SHOWN]}..."
