"""What the libraries underneath are kept from."""

import os
import subprocess
import sys

import pytest

from rag_app.environment import prepare_environment


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


def test_rays_usage_statistics_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    prepare_environment(offline=False)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_nncf_sends_nothing() -> None:
    pytest.importorskip("nncf")
    code = (
        "from rag_app.environment import prepare_environment\n"
        "prepare_environment()\n"
        "from nncf.telemetry.wrapper import NNCFTelemetryStub, telemetry\n"
        "assert isinstance(telemetry, NNCFTelemetryStub), telemetry\n"
    )
    # In another process: here it finds pytest, and sends nothing anyway.
    environment = {name: value for name, value in os.environ.items() if name != "NNCF_CI"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("offline", "mode"), [(True, "dryrun"), (False, None)])
def test_curves_stay_here_unless_the_network_is_allowed(
    offline: bool, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set to be taken back afterwards, then as with a user who has set nothing.
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.delenv("WANDB_MODE")
    prepare_environment(offline=offline)
    assert os.environ.get("WANDB_MODE") == mode
    # At "offline" transformers prints a line on standard output.
    monkeypatch.setenv("WANDB_MODE", "offline")
    prepare_environment(offline=offline)
    assert os.environ["WANDB_MODE"] == "dryrun"
    monkeypatch.setenv("WANDB_MODE", "online")
    prepare_environment(offline=True)
    assert os.environ["WANDB_MODE"] == "online"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
