"""Trainings that are really killed, by the script that does it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fault_campaign.py"


# Minutes of kills; in one process, trainings are killed anywhere by tests of ExactCheckpoint and of fit.
@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--own-fit"]], ids=["by a recipe", "by one's own fit"])
def test_kills_at_random_times_and_inside_writes_change_nothing(options: list[str]) -> None:
    # A process of its own: it forks, which is safe only before TensorFlow is used.
    done = subprocess.run(
        [sys.executable, SCRIPT, "--kills", "4", "--small", *options], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    *_, kinds, total = done.stdout.splitlines()
    assert total.startswith("4 kills in ")
    runs = total.split()[3]
    assert total.endswith(f"{runs} came to their end, {runs} of them identical")
    assert sum(int(word) for word in kinds.partition("kills:")[2].replace(",", "").split() if word.isdigit()) == 4
