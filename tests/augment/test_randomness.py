import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.stats import chisquare, kstest

from keras_resnet.augment import randomness
from keras_resnet.augment.randomness import SampleRandom, in_whole_packets

MANY = tf.range(100_000)


def random(seed: int = 1, epoch: int = 2, samples: tf.Tensor = MANY) -> SampleRandom:
    return SampleRandom(seed, tf.constant(epoch), samples)


def test_uniform_numbers_are_uniform() -> None:
    numbers = random().uniform("flip").numpy()

    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert kstest(numbers, "uniform").pvalue > 0.01


def test_integers_take_every_value_equally_often() -> None:
    counts = np.bincount(random().integer("crop", 0, 8).numpy())

    assert len(counts) == 9
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(
    "other",
    [
        random(seed=2).uniform("flip"),
        random(epoch=3).uniform("flip"),
        random().uniform("crop"),
        random(samples=MANY + 1).uniform("flip"),
    ],
)
def test_another_seed_epoch_draw_or_sample_gives_unrelated_numbers(other: tf.Tensor) -> None:
    assert abs(np.corrcoef(random().uniform("flip"), other)[0, 1]) < 0.01


def test_a_sample_has_its_numbers_whatever_batch_it_is_in() -> None:
    whole = random().uniform("flip").numpy()
    samples = np.array([7, 99_999, 0, 512])

    np.testing.assert_array_equal(random(samples=tf.constant(samples)).uniform("flip"), whole[samples])


def test_bits_differ_for_all_samples() -> None:
    assert len(np.unique(random().bits("order"))) == 100_000


def test_the_numbers_are_those_they_have_always_been() -> None:
    # A resumed training of an older version must see the same images. Change these only knowingly.
    found = random(seed=3, epoch=5, samples=tf.constant([0, 1, 2, 1_000_000])).bits("flip")

    assert found.numpy().tolist() == [1589644629, 4083266235, 2941896886, 1879271808]


def test_a_second_showing_of_a_sample_has_numbers_of_its_own() -> None:
    samples = tf.constant([3, 3, 4, 4])
    random = SampleRandom(1, tf.constant(0), samples, copies=tf.constant([0, 1, 0, 1]))

    assert len(set(random.bits("x").numpy().tolist())) == 4


def test_scopes_of_the_same_draw_are_independent() -> None:
    random = SampleRandom(1, tf.constant(0), tf.range(10_000))

    one, other = random.within("a").uniform("x").numpy(), random.within("b").uniform("x").numpy()

    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    np.testing.assert_array_equal(one, random.within("a").uniform("x"))


def test_what_is_drawn_once_depends_on_the_step_and_not_on_the_samples() -> None:
    def once(step: int, first: int) -> float:
        return float(
            SampleRandom(1, tf.constant(0), tf.range(first, first + 4), tf.constant(step)).once.uniform("x")[0]
        )

    assert once(3, 0) == once(3, 100)
    assert once(3, 0) != once(4, 0)


@pytest.mark.parametrize("alpha", [0.2, 0.4, 1.0, 3.0])
def test_beta_variates_have_their_distribution(alpha: float) -> None:
    found = SampleRandom(2, tf.constant(0), tf.range(5000)).beta("x", alpha).numpy()

    assert stats.kstest(found, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_every_order_of_three_is_as_likely() -> None:
    orders = SampleRandom(2, tf.constant(0), tf.range(12_000)).permutation("x", 3).numpy()

    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 1800


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("function", [tf.exp, tf.math.log, tf.sin, tf.cos])
def test_a_functions_result_depends_on_its_own_number_alone(function: Any, graph: bool) -> None:
    numbers = tf.constant(np.random.default_rng(0).uniform(0.001, 3, 4096).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
    def traced(numbers: tf.Tensor) -> tf.Tensor:
        return in_whole_packets(function, numbers)

    applied = traced if graph else lambda numbers: in_whole_packets(function, numbers)
    parts = np.split(numbers.numpy(), np.cumsum([1, 2, 3, 5, 7, 9, 15, 17, 31, 100, 1000]))

    together = applied(numbers).numpy()
    np.testing.assert_array_equal(np.concatenate([applied(part).numpy() for part in parts]), together)
    np.testing.assert_allclose(together, function(numbers).numpy(), rtol=1e-6)
    table = in_whole_packets(function, tf.reshape(numbers, (256, 16)))
    np.testing.assert_array_equal(table.numpy().ravel(), together)


def test_no_augmentation_applies_such_a_function_to_a_batch_as_it_is() -> None:
    direct = re.compile(r"tf\.(math\.)?(exp|expm1|log|log1p|pow|sin|cos|tan|tanh|sigmoid|erf|atan2?)\(")
    sources = sorted(Path(randomness.__file__).parent.glob("*.py"))

    assert len(sources) > 10
    assert [f"{path.name}: {found[0]}" for path in sources for found in direct.finditer(path.read_text())] == []
