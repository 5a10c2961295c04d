"""What the libraries underneath are kept from."""

import subprocess
import sys


def test_finetune_leaves_everybodys_logging_alone() -> None:
    code = (
        "import logging\n"
        "root, mine = logging.getLogger(), logging.NullHandler()\n"
        "root.addHandler(mine)\n"
        "import rag_app.finetune.stage\n"
        "assert root.handlers == [mine], root.handlers\n"
        "assert root.level == logging.WARNING\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
