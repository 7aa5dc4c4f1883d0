import json
import math
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.place import Place
from keras_resnet.errors import ModelError


def filled(folder: Path, keep: int = 3) -> CheckpointStore:
    """Three checkpoints with states and tensors of their own, the last two with best weights."""
    store = CheckpointStore(folder, keep)
    for number in range(3):
        state = Place(epoch=number, best_value=0.1 * number, seconds=1 / 3)
        if number:
            state.best, state.best_digest = store.save_best({"kernel": np.full(5, number, np.float32)}, number)
        store.save({"model/kernel": np.full((4, 5), number, np.float32), "optimizer/iterations": np.int64(7)}, state)
    return store


def test_the_newest_checkpoint_comes_back_exactly(tmp_path: Path) -> None:
    checkpoint = filled(tmp_path).load(pytest.fail)

    assert checkpoint is not None
    assert (checkpoint.state.epoch, checkpoint.state.best_value) == (2, 0.2)
    assert checkpoint.state.seconds == 1 / 3
    np.testing.assert_array_equal(checkpoint.tensors["model/kernel"], np.full((4, 5), 2, np.float32))
    assert checkpoint.tensors["optimizer/iterations"].shape == ()


def test_without_any_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "nowhere").load(pytest.fail) is None


def test_a_thousand_flipped_bits_and_cut_files_are_all_noticed_and_the_one_before_is_taken(tmp_path: Path) -> None:
    store = filled(tmp_path / "whole")
    random = np.random.default_rng(0)
    newest = sorted((tmp_path / "whole").glob("0*"))[-1]
    files = sorted(newest.iterdir())
    assert [path.name for path in files] == ["SHA256SUMS", "state.json", "tensors.safetensors"]
    for number in range(1000):
        path = files[number % 3]
        content = path.read_bytes()
        place = int(random.integers(len(content)))
        if number % 2:
            damaged = content[:place]
        else:
            damaged = bytearray(content)
            damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        told: list[str] = []

        checkpoint = store.load(told.append)

        assert checkpoint is not None
        assert checkpoint.state.epoch == 1, f"byte {place} of {path.name}"
        assert checkpoint.tensors["model/kernel"][0, 0] == 1
        assert len(told) == 1
        assert str(newest) in told[0]
        (newest.parent / f"damaged-{newest.name}").rename(newest)
        path.write_bytes(content)


def test_damaged_best_weights_make_the_checkpoints_that_speak_of_them_damaged(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "best-0002.safetensors").write_bytes(b"other")
    told: list[str] = []

    checkpoint = store.load(told.append)

    assert checkpoint is not None
    assert checkpoint.state.best == "best-0001.safetensors"
    assert "the best weights" in told[0]
    np.testing.assert_array_equal(store.read_best(checkpoint.state)["kernel"], np.ones(5, np.float32))
    with pytest.raises(ModelError, match=r"best-0002\.safetensors, are missing or damaged"):
        store.read_best(Place(best="best-0002.safetensors", best_digest="0"))


def test_if_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for path in tmp_path.glob("*/state.json"):
        path.unlink()

    with pytest.raises(ModelError, match="all of the 3 checkpoints .* are damaged"):
        store.load(lambda _: None)


def test_the_last_few_are_kept_with_the_best_weights_they_speak_of(tmp_path: Path) -> None:
    filled(tmp_path, keep=1)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["000003", "best-0002.safetensors"]


def test_a_new_checkpoint_comes_after_a_damaged_one(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "000003" / "state.json").write_text("{}")

    store.save({"model/kernel": np.zeros(1, np.float32)}, Place(epoch=5))

    checkpoint = store.load(pytest.fail)
    assert checkpoint is not None
    assert checkpoint.state.epoch == 5


def test_one_that_is_further_back_can_be_had_and_the_oldest_if_there_are_fewer(tmp_path: Path) -> None:
    store = filled(tmp_path)

    found = [store.load(pytest.fail, back=back) for back in (0, 1, 9)]

    assert [one.number for one in found if one] == [3, 2, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": "2"}, 'epoch must be a whole number of at least 0; received "2"'),
        ({"surprise": 1}, "written by another version of this package: the checkpoint's state differs in 'surprise'"),
    ],
)
def test_a_state_of_another_shape_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Place.from_json({**Place().to_json(), **change})


def test_a_metric_that_is_no_number_comes_back_from_valid_json_and_others_to_the_bit() -> None:
    rows = [{"val_map": math.nan.hex()}, {"val_map": (1 / 3).hex()}]

    text = json.dumps(Place(rows=rows).to_json(), allow_nan=False)
    found = Place.from_json(json.loads(text)).figures

    assert math.isnan(found[0]["val_map"])
    assert (found[0]["epoch"], found[1]) == (1, {"epoch": 2, "val_map": 1 / 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": 0}, "parts must be a whole number of at least 1"),
        ({"rows": [{"loss": "much"}]}, "a number in hexadecimal"),
        ({"best": "../../elsewhere"}, "best must be the name of a file, as best-0007.safetensors"),
    ],
)
def test_a_state_that_no_training_writes_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Place.from_json({**Place().to_json(), **change})
