"""The recommended setting, written into a settings file whose other lines stay as they are."""

from collections.abc import Mapping
from pathlib import Path

from rag_app.disk import write_whole
from rag_app.errors import ConfigError


def write_settings(path: Path, values: Mapping[str, str | int]) -> None:
    """Set these keys in a TOML file; comments and other keys are kept.

    Raises:
        ConfigError: the file is there and is no TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    text = path.read_text("utf-8") if path.is_file() else ""
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"{path} cannot be read: {error}; mend the file") from None
    document.update(values)
    write_whole(path, tomlkit.dumps(document))
