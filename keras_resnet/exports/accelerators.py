"""What Arm's Vela says of a `.tflite` file of integers on an Ethos-U: the extra `ethos-u`. No device is needed."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
SECONDS = 600
SHOWN = {
    "inference_time": ("milliseconds", 1e3),
    "sram_memory_used": ("KiB of SRAM", 1.0),
    "off_chip_flash_memory_used": ("KiB of flash", 1.0),
    "nn_macs": ("MACs", 1.0),
    "npu_operators": ("operators on the NPU", 1.0),
    "cpu_operators": ("operators on the CPU", 1.0),
}
"""Columns of its summary: what they are called here, and by how much they are multiplied."""


def is_installed() -> bool:
    """Whether Vela is."""
    return find_spec("ethosu") is not None


def estimates(flatbuffer: bytes) -> dict[str, dict[str, float]]:
    """Vela's estimates for each accelerator.

    Args:
        flatbuffer: The `.tflite` graph.

    Returns:
        Figures by their names, by the accelerator's; of one for which Vela fails, none.
    """
    found: dict[str, dict[str, float]] = {}
    for name in ACCELERATORS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(flatbuffer)
            begin = "import sys; from ethosu.vela.vela import main; main(sys.argv[1:])"
            command = [sys.executable, "-c", begin, str(path), "--accelerator-config", name]
            try:
                done = subprocess.run(
                    [*command, "--output-dir", folder],
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                found[name] = {}
                continue
            summaries = sorted(Path(folder).glob("*summary*.csv"))
            found[name] = _figures(summaries[0]) if not done.returncode and summaries else {}
            for line in done.stdout.splitlines():
                words = line.split()
                for key, of in (("npu_operators", "NPU"), ("cpu_operators", "CPU")):
                    if line.startswith(f"{of} operators") and len(words) > 3:
                        found[name][SHOWN[key][0]] = float(words[3])
    return found


def _figures(path: Path) -> dict[str, float]:
    with open(path, newline="") as file:
        row = next(csv.DictReader(file))
    figures = {}
    for column, (title, factor) in SHOWN.items():
        if row.get(column):
            figures[title] = factor * float(row[column])
    return figures
