"""What the processor lacks for the precision that a training computes in."""

from __future__ import annotations

from pathlib import Path

from keras_resnet.regular_files import read_bytes

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux describes the processors."""
BFLOAT16 = {"avx512_bf16", "amx_bf16"}
"""What it calls x86's instructions that multiply in bfloat16. ARM's lines have another name, and are not judged."""


def slowed_by(precision: str) -> str:
    """What to know of a training that would be faster in float32.

    Args:
        precision: Of the recipe.

    Returns:
        A sentence; empty: nothing is known.

    Example:
        >>> slowed_by("float32")
        ''
    """
    if precision != "bfloat16":
        return ""
    try:
        text = read_bytes(CPUINFO).decode(errors="replace")
    except OSError:  # another system
        return ""
    lines = (line.partition(":") for line in text.splitlines())
    flags = [set(words.split()) for name, _, words in lines if name.strip() == "flags"]
    if not flags or any(one & BFLOAT16 for one in flags):
        return ""
    return (
        f"this processor has no instructions for bfloat16 ({' or '.join(sorted(BFLOAT16))}): a step takes about three "
        "times as long as by --precision float32, in half the memory"
    )
