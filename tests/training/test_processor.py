import dataclasses
from pathlib import Path

import pytest
import tensorflow as tf

from keras_resnet.data.images import ImageData
from keras_resnet.training import processor
from keras_resnet.training.fit import fit
from keras_resnet.training.processor import slowed_by
from tests.shared import TINY

VNNI = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sse avx512f avx512_vnni\nbogomips\t: 5000\n"
"""As Linux describes a processor of Cascade Lake, in short."""


@pytest.mark.parametrize(
    ("precision", "description", "is_slow"),
    [
        ("bfloat16", VNNI, True),
        ("bfloat16", VNNI.replace("avx512_vnni", "avx512_vnni avx512_bf16"), False),
        ("bfloat16", VNNI.replace("avx512_vnni", "amx_bf16 amx_tile"), False),
        ("float32", VNNI, False),
        ("float16", VNNI, False),
        ("bfloat16", "processor\t: 0\nFeatures\t: fp asimd\n", False),
        ("bfloat16", VNNI.replace("flags", "vmx flags"), False),
        ("bfloat16", "", False),
        ("bfloat16", None, False),
    ],
    ids=["without", "AVX-512", "AMX", "float32", "float16", "ARM", "other flags", "nothing", "no file"],
)
def test_bfloat16_without_instructions_for_it_is_said_to_be_slow(
    precision: str, description: str | None, is_slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    if description is not None:
        processor.CPUINFO.write_text(description)

    found = slowed_by(precision)

    assert found.startswith("this processor has no instructions for bfloat16") == is_slow
    assert bool(found) == is_slow
    assert "\n" not in found


def test_a_training_notes_and_records_that_it_is_slow(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU has instructions of its own")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    processor.CPUINFO.write_text(VNNI)

    run = fit(dataclasses.replace(TINY, epochs=1, precision="bfloat16"), tiny_data, tmp_path / "run")

    (event,) = [one for one in run.events.rows() if one["event"] == "precision"]
    assert event["text"] == slowed_by("bfloat16")
    shown = [line for line in capsys.readouterr().err.splitlines() if "bfloat16 (" in line]
    assert len(shown) == 1
    assert shown[0].startswith("note: this processor has no instructions")
