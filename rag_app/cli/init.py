"""`init`: a settings file with every setting, commented out."""

from rag_app.cli.run import Run, command

EXAMPLES = ("rag-app init", "rag-app init --config other.toml")


@command
def init(run: Run) -> None:
    """Write a settings file that names every setting, its default and what it says.

    All lines are comments: what is not uncommented stays at its default.
    """
    from rag_app.config import template
    from rag_app.disk import refuse_unwritable, write_whole
    from rag_app.errors import ConfigError

    path = run.settings_file
    if path.exists():
        raise ConfigError(f"{path} is there already; name another file with --config")
    refuse_unwritable(path, is_folder=False)
    write_whole(path, template())
    run.say(f"{path} written; uncomment what should differ from the default")
    run.result({"path": str(path)})
