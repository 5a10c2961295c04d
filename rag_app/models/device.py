"""Where models run, and what is fast there."""

from rag_app.errors import ConfigError


def choose_device(device: str) -> str:
    """The device itself, or for "auto" the best one there is.

    Raises:
        ConfigError: there is none of this kind, or no such kind.
    """
    import torch

    if device != "auto":
        try:
            torch.device(device)
        except RuntimeError:
            raise ConfigError(
                f"--device is {device!r}; it takes one of: auto, cpu, cuda, mps"
            ) from None
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = [name for name, is_there in there.items() if is_there]
    if not there.get(device.partition(":")[0], True):
        raise ConfigError(
            f"--device {device}: there is none here; there is {', '.join(['cpu', *found])}"
        )
    return device if device != "auto" else next(iter(found), "cpu")


def has_bf16(device: str) -> bool:
    """Whether this device multiplies bfloat16 in hardware."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
