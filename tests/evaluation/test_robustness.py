import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from keras_resnet.cli import main
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.data.stores import ArrayImages
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.corruptions import CORRUPTIONS, PUBLISHED, corrupt
from keras_resnet.evaluation.evaluate import Evaluation, evaluate
from keras_resnet.evaluation.robustness import Robustness, Share, robustness
from keras_resnet.inference.predictor import Predictor
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import Run

FEW = ("gaussian_noise", "brightness", "saturate")


class Light(Predictor):
    """Says that an image is `bright` where its mean is above a bound."""

    def __init__(self, bound: float = 128) -> None:
        taken = Fit((16, 16), 3, "bilinear", None)
        super().__init__("light", Preprocessing(taken, (0.0,) * 3, (1.0,) * 3, ("dark", "bright")), None)
        self.bound = bound

    def logits(self, images: np.ndarray) -> np.ndarray:
        over = images.mean(axis=(1, 2, 3)) - self.bound
        return np.stack([-over, over], axis=1).astype(np.float32)

    def one(self, image: np.ndarray) -> Callable[[], object]:
        raise NotImplementedError


def images(count: int = 300) -> ImageData:
    random = np.random.default_rng(0)
    light = random.integers(60, 196, count)
    pixels = np.clip(light[:, None, None, None] + random.normal(0, 10, (count, 16, 16, 3)), 0, 255).astype(np.uint8)
    labels = (pixels.mean(axis=(1, 2, 3)) > 128).astype(np.int64)
    return from_arrays(pixels, labels, ["dark", "bright"], whole=True)


@pytest.fixture(scope="module")
def evaluated() -> Evaluation:
    return evaluate(Light(), images())


def test_a_model_is_asked_for_every_corrupted_image(evaluated: Evaluation) -> None:
    split = evaluated.split
    assert split is not None

    found = robustness(evaluated, names=FEW)

    assert found.on_clean.value == 1.0
    for name, severity in (("brightness", 5), ("saturate", 1), ("gaussian_noise", 3)):
        worse = corrupt(split.read(slice(None)), name, severity)
        expected = (worse.mean(axis=(1, 2, 3)) > 128) == split.labels
        np.testing.assert_array_equal(found.right[FEW.index(name), severity - 1], expected)
        assert found.at(name, severity).value == expected.mean()
    assert found.at("brightness", 5).value < 0.6 < found.at("gaussian_noise", 5).value  # it looks at brightness alone
    assert found.numbers == "CIFAR-10-C"


def test_batches_change_nothing(evaluated: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = robustness(evaluated, names=FEW)
    monkeypatch.setattr("keras_resnet.evaluation.robustness.BATCH", 37)
    shown: list[tuple[int, int]] = []

    found = robustness(evaluated, names=FEW, show=lambda what, done, total: shown.append((done, total)))

    np.testing.assert_array_equal(found.right, whole.right)
    assert shown[-1] == (900, 900)
    assert shown == sorted(shown)


def test_means_leave_the_extra_corruptions_out(evaluated: Evaluation) -> None:
    found = robustness(evaluated, names=FEW)

    assert found.mean.value == pytest.approx(found.right[:2].mean())
    assert found.at_severity(2).value == pytest.approx(found.right[:2, 1].mean())
    assert found.under("saturate").value == pytest.approx(found.right[2].mean())
    assert robustness(evaluated, names=("saturate",)).mean.value == pytest.approx(found.right[2].mean())


def test_errors_are_divided_by_the_references(evaluated: Evaluation) -> None:
    other = evaluate(Light(118), images())

    found = robustness(evaluated, reference=other, names=FEW)

    reference = robustness(other, names=FEW)
    ratios = [(~found.right[place]).sum() / (~reference.right[place]).sum() for place in range(3)]
    assert [found.corruption_error(name) for name in FEW] == pytest.approx(ratios)
    assert found.mean_corruption_error is not None
    value, (low, high) = found.mean_corruption_error
    assert value == pytest.approx(np.mean(ratios[:2]))
    assert low < value < high
    same = robustness(evaluated, reference=evaluated, names=("brightness",)).mean_corruption_error
    assert same is not None
    assert (same[0], *same[1]) == pytest.approx((1, 1, 1))
    assert reference.mean_corruption_error is None
    assert reference.corruption_error("brightness") is None


def test_images_that_two_models_take_alike_are_corrupted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated, other = evaluate(Light(), images(60)), evaluate(Light(118), images(60))
    calls: list[str] = []

    def counted(images: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
        calls.append(name)
        return corrupt(images, name, severity, seed)

    monkeypatch.setattr("keras_resnet.evaluation.robustness.corrupt", counted)
    assert other.split is not None
    mirrored = replace(other.split, images=ArrayImages(other.split.read(slice(None))[:, :, ::-1].copy()))

    shared = robustness(evaluated, reference=other, names=("fog",))
    assert len(calls) == 5
    own = robustness(evaluated, reference=replace(other, split=mirrored), names=("fog",))

    assert len(calls) == 5 * 3
    assert shared.reference is not None
    assert own.reference is not None
    assert not np.array_equal(own.reference.right, shared.reference.right)
    np.testing.assert_array_equal(own.right, shared.right)


def test_a_reference_that_never_errs_divides_nothing(evaluated: Evaluation) -> None:
    found = robustness(evaluated, names=("brightness",))
    perfect = replace(found, right=np.ones_like(found.right))

    compared = replace(found, reference=perfect)

    assert compared.corruption_error("brightness") is None
    assert compared.mean_corruption_error is None


def test_one_image_is_one_image_under_however_many_corruptions() -> None:
    random = np.random.default_rng(0)
    easy = random.random(200) < 0.7  # what is right once is always right
    plain = Share.of(easy)
    wilson = binomtest(int(easy.sum()), 200).proportion_ci(method="wilson")

    assert plain.interval == pytest.approx((wilson.low, wilson.high), abs=2e-3)
    assert Share.of(np.mean([easy] * 75, axis=0)).interval == pytest.approx(plain.interval, abs=1e-3)
    mixed = (random.random((75, 200)) < 0.7).mean(axis=0)
    low, high = Share.of(mixed).interval
    assert high - low < 0.3 * (plain.interval[1] - plain.interval[0])
    assert Share.of(np.ones(50)).interval[0] == pytest.approx(binomtest(50, 50).proportion_ci(method="wilson").low)


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        strength = random.beta(2, 1, 80)
        low, high = Share.of((random.random((10, 80)) < strength).mean(axis=0)).interval
        held += low <= 2 / 3 <= high

    assert held / 1000 == pytest.approx(0.95, abs=0.022)


def test_what_does_not_fit_is_refused(evaluated: Evaluation) -> None:
    with pytest.raises(UsageError, match="there is no corruption rain; there are gaussian_noise"):
        robustness(evaluated, names=("rain",))
    with pytest.raises(DataError, match="the reference was evaluated on other images"):
        robustness(evaluated, reference=evaluate(Light(), images(20)), names=FEW)
    with pytest.raises(UsageError, match="does not know its images any more"):
        robustness(replace(evaluated, split=None), names=FEW)


def test_what_was_found_is_written_and_drawn(evaluated: Evaluation, tmp_path: Path) -> None:
    found = robustness(evaluated, reference=evaluate(Light(118), images()), names=FEW)

    files = found.write(tmp_path)

    written = json.loads(files[0].read_text())
    assert written["mean"]["accuracy"] == found.mean.value
    assert [row["name"] for row in written["corruptions"]] == list(FEW)
    assert [row["in_means"] for row in written["corruptions"]] == [True, True, False]
    assert written["corruptions"][1]["severities"][4]["accuracy"] == found.at("brightness", 5).value
    assert found.mean_corruption_error is not None
    assert written["mean_corruption_error"] == found.mean_corruption_error[0]
    assert [file.name for file in files[1:]] == ["corruptions.png", "corruptions_images.png"]
    assert all(Image.open(file).size[0] > 800 for file in files[1:])


def test_the_command_evaluates_on_corrupted_images(
    finished_run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    undrawn: None,
) -> None:
    asked: list[Evaluation | None] = []

    def few(evaluation: Evaluation, *, reference: Evaluation | None, show: object) -> Robustness:
        asked.append(reference)
        return robustness(evaluation, reference=reference, names=("fog", "saturate"))

    monkeypatch.setattr("keras_resnet.evaluation.robustness.robustness", few)
    monkeypatch.setattr(Run, "folder", lambda self, *names: tmp_path.joinpath(*names))  # the run stays as it is
    words = ["evaluate", str(finished_run.path), "--split", "test", "--corruptions"]

    assert main([*words, "--corruptions-reference", str(finished_run.path)]) == 0

    shown = capsys.readouterr().out
    assert "mean corruption error 100.0% of that of" in shown
    assert "saturate (extra)" in shown
    assert "numbers of CIFAR-10-C" in shown
    (reference,) = asked
    assert reference is not None
    written = json.loads((tmp_path / "evaluation" / "test" / "corruptions.json").read_text())
    assert written["images"] == 60
    assert [row["name"] for row in written["corruptions"]] == ["fog", "saturate"]
    assert main([*words[:-1], "--corruptions-reference", str(finished_run.path)]) == 2
    assert main([*words, "--tta", "flip"]) == 2


def test_by_default_all_corruptions_are_asked_for() -> None:
    assert len(PUBLISHED) == 15
    assert robustness.__kwdefaults__["names"] == tuple(CORRUPTIONS)


def test_intervals_are_by_group_where_groups_are_known() -> None:
    count, times = 60, 5
    once = images(count)
    copied = from_arrays(
        np.repeat(once.test.read(slice(None)), times, axis=0), np.repeat(once.test.labels, times), ["dark", "bright"],
        whole=True,
    )  # fmt: skip
    models = Light(140), Light(120)
    alone, reference = (robustness(evaluate(model, once), names=FEW, seed=0) for model in models)
    alone = replace(alone, reference=reference)
    groups = np.repeat(np.arange(count), times)
    # Corruptions draw anew for each copy; here the copies are right where the first one is.
    repeated = [
        replace(one, clean=np.repeat(one.clean, times), right=np.repeat(one.right, times, axis=2), groups=groups)
        for one in (alone, reference)
    ]
    together = replace(repeated[0], reference=repeated[1])
    found = evaluate(models[0], copied, groups=groups)

    assert robustness(found, names=FEW[1:2]).to_dict()["groups"] == count
    assert together.mean.interval == pytest.approx(alone.mean.interval, abs=0.015), "five copies say no more than one"
    assert replace(together, groups=None).mean.interval[0] > alone.mean.interval[0] + 0.02
    assert together.at("brightness", 3).interval == pytest.approx(alone.at("brightness", 3).interval, abs=0.02)
    own, by_groups = alone.mean_corruption_error, together.mean_corruption_error
    assert own is not None
    assert by_groups is not None
    assert by_groups == (pytest.approx(own[0], rel=1e-5), pytest.approx(own[1], rel=0.1))
    single = replace(together, groups=np.zeros(count * times, int))
    assert single.mean.interval == (0.0, 1.0)
    assert single.to_dict()["mean_corruption_error_interval"] == [0.0, None]
