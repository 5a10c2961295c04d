"""Libraries of extras: what is missing is named with the command that installs it."""

from importlib.util import find_spec

from rag_app.errors import ConfigError


def require(*names: str, extra: str) -> None:
    """Make sure that libraries of an extra are there.

    Raises:
        ConfigError: one is not installed; names the command that installs it.
    """
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(
                f"the package {name} is not installed; run `pip install 'rag-app[{extra}]'`"
            )
