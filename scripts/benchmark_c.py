"""What a network costs as C without a runtime, beside TFLite Micro: flash, memory, instructions for one image.

python scripts/benchmark_c.py --mlperf FOLDER                  # the benchmark's ResNet-8
python scripts/benchmark_c.py saved_models/photos/exports/c      # a folder that was exported

Instructions are counted: by Valgrind on this machine, as the difference of two runs, and by QEMU on a Cortex-M3, whose
clock then counts instructions (`-icount`). Needs gcc-arm-none-eabi, qemu-system-arm, valgrind (`make edge-tools`), and
for TFLite Micro the extra `tflm`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "cortex_m"
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm", "valgrind", "gcc")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
SECONDS = 1800
REPEATED = """#include <stdlib.h>

#include "model.h"

static model_input_t input[MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS];
static model_output_t output[MODEL_OUTPUTS];

int main(int count, char** arguments) {
  for (int i = count > 1 ? atoi(arguments[1]) : 0; i > 0; i--) {
    if (model_run(input, output)) return 1;
  }
  return 0;
}
"""
TIMED = """#include <stdio.h>

#include "model.h"

#define CONTROL (*(volatile uint32_t*)0xE000E010)
#define RELOAD (*(volatile uint32_t*)0xE000E014)
#define VALUE (*(volatile uint32_t*)0xE000E018)

static model_input_t input[MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS];
static model_output_t output[MODEL_OUTPUTS];

int main(void) {
  RELOAD = 0xFFFFFF;
  VALUE = 0;
  CONTROL = 5;
  const uint32_t before = VALUE;
  const int failed = model_run(input, output);
  const uint32_t ticks = (before - VALUE) & 0xFFFFFF;
  printf("%lu ticks%s\\n", (unsigned long)ticks, CONTROL & 0x10000 ? ", and more" : "");
  return failed;
}
"""
"""SysTick counts 25 million times a second down, and QEMU takes an instruction for a nanosecond."""
INSTRUCTIONS_A_TICK = 40
MICRO = """import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
details = interpreter.get_input_details(0)
interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
for _ in range(int(sys.argv[3])):
    interpreter.invoke()
"""


@dataclass(frozen=True)
class Board:
    """A microcontroller that QEMU has.

    Args:
        processor: As GCC calls it.
        machine: As QEMU calls a board with it.
    """

    processor: str
    machine: str

    @property
    def flags(self) -> tuple[str, ...]:
        """For GCC."""
        return f"-mcpu={self.processor}", "-mthumb", "-mfloat-abi=soft"


BOARDS = (Board("cortex-m3", "mps2-an385"), Board("cortex-m7", "mps2-an500"))


def missing_tools() -> list[str]:
    """What must be installed first."""
    return [name for name in TOOLS if shutil.which(name) is None]


def _output(*command: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout + done.stderr


def built(board: Board, folder: Path, main: Path, program: Path, optimisation: str = "-O2") -> None:
    """A program for a board, with the network of a folder and a `main` that may print."""
    files = (folder / "model.c", main, HERE / "startup.c")
    compiling = (*board.flags, *WARNINGS, optimisation, "-ffunction-sections", f"-I{folder}")
    linking = ("--specs=rdimon.specs", "-nostartfiles", "-Wl,--gc-sections", "-T", HERE / "cortex-m.ld")
    _output("arm-none-eabi-gcc", *compiling, *linking, "-o", program, *files)


def simulated(board: Board, program: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program on a board: what it prints, and its exit status."""
    quiet = ("-nographic", "-monitor", "none", "-serial", "none")
    printing = ("-semihosting-config", "enable=on,target=native")
    return subprocess.run(
        ["qemu-system-arm", "-M", board.machine, *quiet, *printing, *options, "-kernel", str(program)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def selftest_on(board: Board, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the self-test of a folder on a board."""
    with tempfile.TemporaryDirectory() as place:
        built(board, folder, folder / "selftest.c", Path(place) / "selftest.elf", "-Os")
        return simulated(board, Path(place) / "selftest.elf")


def instructions_on(board: Board, folder: Path, optimisation: str) -> int:
    """Instructions of a board for one image, to some dozens."""
    with tempfile.TemporaryDirectory() as place:
        main, program = Path(place) / "timed.c", Path(place) / "timed.elf"
        main.write_text(TIMED)
        built(board, folder, main, program, optimisation)
        printed = simulated(board, program, "-icount", "shift=0").stdout
    found = re.fullmatch(r"(\d+) ticks\n", printed)
    if not found:
        raise SystemExit(f"{board.machine} printed {printed!r}, expected less than 2^24 ticks")
    return INSTRUCTIONS_A_TICK * int(found[1])


def sizes_on(board: Board, folder: Path, optimisation: str) -> tuple[int, int]:
    """Bytes of flash (.text, .rodata) and memory (.data, .bss) of the network alone."""
    with tempfile.TemporaryDirectory() as place:
        one = Path(place) / "model.o"
        _output("arm-none-eabi-gcc", *board.flags, *WARNINGS, optimisation, "-c", folder / "model.c", "-o", one)
        text, data, bss, *_ = _output("arm-none-eabi-size", one).splitlines()[1].split()
    return int(text) + int(data), int(data) + int(bss)


def instructions_here(folder: Path, optimisation: str) -> int:
    """Instructions of this machine for one image."""
    with tempfile.TemporaryDirectory() as place:
        main, program = Path(place) / "repeated.c", Path(place) / "repeated"
        main.write_text(REPEATED)
        _output("gcc", *WARNINGS, optimisation, f"-I{folder}", folder / "model.c", main, "-o", program)
        return _counted(program, "2") - _counted(program, "1")


def instructions_of_micro(file: Path) -> int:
    """Instructions of this machine for one image by TFLite Micro, as its Python package has its kernels."""
    from keras_resnet.inference.micro import arena_for

    command = (sys.executable, "-c", MICRO, file, arena_for(file.read_bytes()))
    return (_counted(*command, "5") - _counted(*command, "1")) // 4  # the interpreter's own vary a little


def _counted(*command: object) -> int:
    printed = _output("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command)
    (found,) = re.findall(r"Collected : (\d+)", printed)
    return int(found)


def exported(mlperf: Path, folder: Path) -> None:
    """MLPerf Tiny's ResNet-8 as C, calibrated with a half of the images at hand."""
    import keras

    import keras_resnet
    from keras_resnet.quantize.post_training import Quantization

    with np.load(mlperf / "cifar10_raw_half.npz") as found:
        images = found["x"][::2]
    model = keras.models.load_model(mlperf / "pretrainedResnet.h5", compile=False)
    how = Quantization("minmax", equalize=False, correct_bias=False)
    print(*keras_resnet.export_c(model, folder, calibration=images, quantization=how).remarks, sep="\n")


def measured(folder: Path) -> list[tuple[str, str, str]]:
    """Rows of the table: what, of the C code, of TFLite Micro."""
    from keras_resnet.inference import micro

    file, (board, *_) = folder / "model.tflite", BOARDS
    content = file.read_bytes()
    (flash, ram), (fast, _) = sizes_on(board, folder, "-Os"), sizes_on(board, folder, "-O2")
    has_micro = micro.is_installed()
    arena = f"{micro.run_in_child(content)[1]:,} (arena alone)" if has_micro else "not installed"
    micro_here = f"{instructions_of_micro(file):,}" if has_micro else "not installed"
    rows = [
        (f"flash, {board.processor} -Os, bytes", f"{flash:,}", f"{len(content):,} (file alone, without kernels)"),
        (f"flash, {board.processor} -O2, bytes", f"{fast:,}", "–"),
        ("memory, bytes", f"{ram:,}", arena),
    ]
    for optimisation in ("-Os", "-O2", "-O3"):
        shown = micro_here if optimisation == "-O2" else "–"
        rows.append((f"instructions here, {optimisation}", f"{instructions_here(folder, optimisation):,}", shown))
    for optimisation in ("-Os", "-O2", "-O3"):
        count = instructions_on(board, folder, optimisation)
        rows.append((f"instructions, {board.processor} {optimisation}", f"{count:,}", "–"))
    for one in BOARDS:
        done = selftest_on(one, folder)
        rows.append((f"self-test, {one.machine}", f"{done.stdout.strip()}, exit {done.returncode}", "–"))
    return rows


def main() -> None:
    import keras_resnet
    from keras_resnet.cli.tables import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", type=Path, help="a folder that was exported as c")
    what.add_argument("--mlperf", type=Path, metavar="FOLDER", help="with pretrainedResnet.h5 and cifar10_raw_half.npz")
    options = parser.parse_args()
    if missing := missing_tools():
        raise SystemExit(f"install {', '.join(missing)} first: make edge-tools")
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder
        if folder is None:
            folder = Path(place) / "c"
            with keras_resnet.quiet():
                exported(options.mlperf, folder)
        table("A network for microcontrollers, one image", ("", "C", "TFLite Micro"), measured(folder))


if __name__ == "__main__":
    main()
