import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment import automatic
from keras_resnet.augment.automatic import AugMix, AutoAugment, RandAugment, TrivialAugment, space
from keras_resnet.augment.dispatch import each_its_own
from keras_resnet.augment.policy_tables import AUTOAUGMENT
from keras_resnet.augment.randomness import SampleRandom, in_whole_packets
from keras_resnet.errors import UsageError
from tests.augment.reference import pillow

PILLOW_NAMES = {
    "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y",
    "Rotate": "rotate", "Brightness": "brightness", "Color": "saturation", "Contrast": "contrast",
    "Sharpness": "sharpness", "Posterize": "posterize", "Solarize": "solarize", "AutoContrast": "autocontrast",
    "Equalize": "equalize", "Invert": "invert",
}  # fmt: skip


def smooth(count: int) -> np.ndarray:
    rows, columns = np.mgrid[0:16, 0:20]
    phase = np.random.default_rng(0).uniform(0, 6, (count, 3, 1, 1))
    waves = 127 + 60 * np.sin(rows / 3 + phase) + 60 * np.cos(columns / 4 + 2 * phase)
    return np.transpose(waves, (0, 2, 3, 1)).astype(np.uint8)


def random(count: int, epoch: int = 1) -> SampleRandom:
    return SampleRandom(4, tf.constant(epoch), tf.range(count), tf.constant(0))


def by_pillow(image: np.ndarray, name: str, amount: float) -> np.ndarray:
    if name == "Identity":
        return image
    around_one = name in ("Brightness", "Color", "Contrast", "Sharpness")
    return pillow(PILLOW_NAMES[name], image, 1 + amount if around_one else amount)


def drawn_amounts(
    extent: automatic.Extent, bins: int, names: list[str], magnitudes: np.ndarray, scope: SampleRandom
) -> list[float]:
    """The amount of each sample's operation, from the tables and the sample's own sign."""
    negative = scope.uniform("sign").numpy() < 0.5
    operations = space(extent, bins, 16, 20)
    amounts = [operations[name].levels[m] for name, m in zip(names, magnitudes, strict=True)]
    signed = [operations[name].signed for name in names]
    return [-a if s and n else a for a, s, n in zip(amounts, signed, negative, strict=True)]


@pytest.mark.parametrize("layers", [1, 2])
def test_randaugment_gives_each_image_operations_of_its_own_as_pillow_does_them(layers: int) -> None:
    images, numbers = smooth(200), random(200)
    found = RandAugment(layers, 15)(tf.constant(images), numbers).numpy()

    expected = list(images)
    for layer in range(layers):
        scope = numbers.within(f"randaugment {layer}")
        names = [automatic.RAND_AUGMENT[i] for i in scope.integer("operation", 0, 13).numpy()]
        amounts = drawn_amounts(automatic.CLASSIC, 31, names, np.full(200, 15), scope)
        assert set(names) == set(automatic.RAND_AUGMENT), "in one batch"
        expected = [by_pillow(i, n, a) for i, n, a in zip(expected, names, amounts, strict=True)]

    assert (found == np.stack(expected)).mean() > 0.999


def test_operations_are_drawn_as_often_as_one_another_and_half_are_negative() -> None:
    scope = random(28_000).within("randaugment 0")

    counts = np.bincount(scope.integer("operation", 0, 13).numpy(), minlength=14)

    assert counts.min() > 1800
    assert counts.max() < 2200
    assert scope.event("sign", 0.5).numpy().mean() == pytest.approx(0.5, abs=0.015)


def test_trivialaugment_draws_one_operation_and_its_magnitude() -> None:
    images, numbers = smooth(400), random(400)
    found = TrivialAugment()(tf.constant(images), numbers).numpy()

    scope = numbers.within("trivialaugment")
    names = [automatic.RAND_AUGMENT[i] for i in scope.integer("operation", 0, 13).numpy()]
    magnitudes = scope.integer("magnitude", 0, 30).numpy()
    amounts = drawn_amounts(automatic.WIDE, 31, names, magnitudes, scope)
    expected = np.stack([by_pillow(i, n, a) for i, n, a in zip(images, names, amounts, strict=True)])

    assert (found == expected).mean() > 0.999
    assert set(magnitudes.tolist()) == set(range(31))


@pytest.mark.parametrize("learnt_on", AUTOAUGMENT)
def test_autoaugment_does_a_learnt_pair_with_its_probabilities(learnt_on: str) -> None:
    images, numbers = smooth(300), random(300)
    found = AutoAugment(learnt_on)(tf.constant(images), numbers).numpy()

    pairs = [AUTOAUGMENT[learnt_on][i] for i in numbers.integer("autoaugment", 0, 24).numpy()]
    expected = list(images)
    for place in range(2):
        scope = numbers.within(f"autoaugment {place}")
        done = scope.uniform("done").numpy() < np.array([pair[place][1] for pair in pairs], np.float32)
        names = [pair[place][0] if yes else "Identity" for pair, yes in zip(pairs, done, strict=True)]
        magnitudes = np.array([pair[place][2] for pair in pairs])
        amounts = drawn_amounts(automatic.CLASSIC, 10, names, magnitudes, scope)
        expected = [by_pillow(i, n, a) for i, n, a in zip(expected, names, amounts, strict=True)]

    assert (found == np.stack(expected)).mean() > 0.999
    assert set(pairs) == set(AUTOAUGMENT[learnt_on])


def test_augmix_is_a_mean_of_the_image_and_its_chains() -> None:
    images, numbers = smooth(300), random(300)
    found = AugMix()(tf.constant(images), numbers).numpy()

    weights = np.stack([-np.log1p(-numbers.uniform(f"augmix weight {chain}").numpy()) for chain in range(3)])
    weights /= weights.sum(axis=0)
    share = numbers.uniform("augmix share").numpy()
    expected = (1 - share)[:, None, None, None] * images
    for chain in range(3):
        depth = numbers.integer(f"augmix depth {chain}", 1, 3).numpy()
        results = list(images)
        for link in range(3):
            scope = numbers.within(f"augmix {chain} {link}")
            names = [automatic.AUG_MIX[i] for i in scope.integer("operation", 0, 12).numpy()]
            names = [name if link < d else "Identity" for name, d in zip(names, depth, strict=True)]
            amounts = drawn_amounts(automatic.AUGMIX, 10, names, scope.integer("magnitude", 0, 2).numpy(), scope)
            results = [by_pillow(i, n, a) for i, n, a in zip(results, names, amounts, strict=True)]
        expected += (share * weights[chain])[:, None, None, None] * np.stack(results)

    assert np.abs(found - expected).max() <= 0.51
    assert share.mean() == pytest.approx(0.5, abs=0.05)
    assert weights.std() == pytest.approx(np.sqrt(2 / 36), abs=0.02), "of a flat Dirichlet"


def test_augmix_adds_whole_numbers_so_that_a_graph_rounds_as_what_runs_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats were added in another order in a graph, and 67.499994 became 67 there and 68 outside."""

    def changed(images: tf.Tensor, menu: object, choice: tf.Tensor, *_: object) -> tf.Tensor:
        return images + tf.cast(17 * choice[:, None, None, None], tf.uint8)

    monkeypatch.setattr(automatic, "_apply", changed)
    images = np.random.default_rng(0).integers(0, 256, (300, 16, 20, 3)).astype(np.uint8)
    numbers = random(300)
    uniform = tf.stack([numbers.uniform(f"augmix weight {chain}") for chain in range(3)])
    weights = -in_whole_packets(tf.math.log, 1.0 - uniform).numpy()
    share = numbers.uniform("augmix share").numpy() / weights.sum(axis=0)
    parts = np.rint(share * weights * 65536).astype(np.int64)
    total = np.int64(65536 - parts.sum(axis=0))[:, None, None, None] * images
    for chain in range(3):
        depth = numbers.integer(f"augmix depth {chain}", 1, 3).numpy()
        choices = [numbers.within(f"augmix {chain} {n}").integer("operation", 0, 12).numpy() for n in range(3)]
        added = 17 * sum(np.where(n < depth, choices[n], 13) for n in range(3))[:, None, None, None]
        total += parts[chain][:, None, None, None] * ((images + added) % 256)

    expected = (total + 32768) // 65536

    np.testing.assert_array_equal(AugMix()(tf.constant(images), numbers), expected)
    np.testing.assert_array_equal(tf.function(lambda one: AugMix()(one, numbers))(tf.constant(images)), expected)


SLOW = [pytest.param(step, marks=pytest.mark.slow) for step in (RandAugment(), TrivialAugment())]  # as AutoAugment


@pytest.mark.parametrize("step", [AutoAugment("cifar10"), AugMix(), *SLOW])
def test_an_image_is_augmented_alike_in_any_batch(step: automatic.RandAugment) -> None:
    images = smooth(30)
    whole = step(tf.constant(images), random(30)).numpy()

    part = SampleRandom(4, tf.constant(1), tf.range(20, 25), tf.constant(7))

    np.testing.assert_array_equal(step(tf.constant(images[20:25]), part), whole[20:25])
    assert (step(tf.constant(images), random(30, epoch=2)).numpy() != whole).any()
    assert (whole != images).any(axis=(1, 2, 3)).mean() > 0.5


def test_the_operations_of_a_policy_are_traced_once_for_all_places_where_it_applies_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced = []
    monkeypatch.setattr(automatic, "each_its_own", lambda *args: traced.append(1) or each_its_own(*args))
    automatic._applied.cache_clear()
    images = tf.constant(smooth(3))

    first = [AugMix()(images, random(3, epoch)) for epoch in (1, 2)]

    assert len(traced) == 1
    assert (first[0].numpy() != first[1].numpy()).any()
    RandAugment(2)(images, random(3))
    tf.function(lambda images: RandAugment(3)(images, random(3)))(images)
    assert len(traced) == 2
    automatic._applied.cache_clear()  # of the function that counts


def test_grey_images_are_taken_and_floats_refused() -> None:
    grey = tf.constant(smooth(50)[..., :1])

    assert RandAugment()(grey, random(50)).shape == grey.shape
    with pytest.raises(UsageError, match="take uint8 images; received .*float32"):
        RandAugment()(tf.cast(grey, tf.float32), random(50))


@pytest.mark.parametrize(
    "make", [lambda: RandAugment(0), lambda: RandAugment(2, 31), lambda: AutoAugment("mnist"), lambda: AugMix(0)]
)
def test_arguments_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(UsageError, match="received"):
        make()  # type: ignore[operator]


def test_each_image_gets_its_own_operation_and_amount() -> None:
    images = tf.reshape(tf.range(6, dtype=tf.float32), (6, 1, 1, 1))
    choice, amounts = tf.constant([2, 0, 1, 1, 0, 2]), tf.range(6, dtype=tf.float32) * 10

    found = each_its_own(
        images,
        [lambda x, a: x, lambda x, a: x + a[:, None, None, None], lambda x, a: -x],
        choice,
        amounts,
    )

    assert found[:, 0, 0, 0].numpy().tolist() == [0, 1, 22, 33, 4, -5]
