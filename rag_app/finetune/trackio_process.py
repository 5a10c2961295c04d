"""The child process that writes curves for Trackio; its arguments are a folder and the run's name.

    {"step": 5, "values": {"mnrl/loss": 3.0}}

It reads such lines from standard input, one for each log. Trackio takes its folder from the
environment when it is imported, prints on standard output, and asks the Hugging Face hub who logs.
Here it has the folder of our curves, prints nowhere, and is offline.
"""

import json
import os
import sys
from pathlib import Path


def main(folder: str, name: str) -> None:
    """Log until standard input ends; says "ready" on standard output once it can."""
    ready = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # Spaces, servers and webhooks that it would write to.
    for key in [key for key in os.environ if key.startswith("TRACKIO_")]:
        del os.environ[key]
    os.environ |= {"TRACKIO_DIR": str(Path(folder).absolute()), "HF_HUB_OFFLINE": "1"}
    # Of a folder that cannot be made Trackio only warns, and logs nowhere.
    Path(folder).mkdir(parents=True, exist_ok=True)
    import trackio

    from rag_app.finetune.curves import PROJECT

    run = trackio.init(
        project=PROJECT, name=name, embed=False, auto_log_gpu=False, auto_log_cpu=False
    )
    ready.write("ready\n")
    ready.close()
    for line in sys.stdin:
        logged = json.loads(line)
        run.log(logged["values"], step=logged["step"])
    run.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
