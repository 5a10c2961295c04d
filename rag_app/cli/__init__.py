"""The command line: `rag-app STAGE` and `python -m rag_app.STAGE` are the same functions.

`rag-app` alone is `rag-app status`.
"""

import sys


def main(stage: str | None = None) -> None:
    """Run the command line, or one stage of it."""
    from rag_app.cli.app import build_app
    from rag_app.cli.streams import prepare_streams

    prepare_streams()
    arguments = [stage, *sys.argv[1:]] if stage else sys.argv[1:]
    build_app()(args=arguments or ["status"], prog_name="rag-app")
