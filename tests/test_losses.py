import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_resnet.errors import UsageError
from keras_resnet.losses import loss
from tests.golden import optimizer_cases as cases

GOLDEN = {
    "softmax": {"kind": "cross-entropy"},
    "softmax-smoothed": {"kind": "cross-entropy", "label_smoothing": cases.SMOOTHING},
    **{f"binary-{name}": {"kind": "binary", **options} for name, options in cases.BINARY.items()},
}


def gradient(made: keras.losses.Loss, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: made(labels, x))(logits))
    import tensorflow as tf

    at = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = made(labels, at)
    return tape.gradient(value, at).numpy()


@pytest.mark.parametrize("case", GOLDEN)
def test_a_loss_and_its_gradient_are_those_of_pytorch_and_timm(case: str) -> None:
    logits, labels = cases.loss_batch()
    made = loss(**GOLDEN[case])
    golden = load_file(cases.FILE)

    assert float(made(labels, logits)) == pytest.approx(golden[f"loss/{case}"][0], rel=1e-6)
    np.testing.assert_allclose(gradient(made, labels, logits), golden[f"loss/{case}/gradient"], atol=1e-6)


@pytest.mark.parametrize("kind", ["cross-entropy", "binary"])
def test_losses_are_computed_in_float32_from_half_precision_logits(kind: str) -> None:
    _, labels = cases.loss_batch()
    logits = np.linspace(-9, 9, 30).reshape(6, 5).astype("float16")

    value = loss(kind)(labels, keras.ops.convert_to_tensor(logits))

    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == pytest.approx(float(loss(kind)(labels, logits.astype("float32"))), rel=1e-6)


@pytest.mark.parametrize("kind", ["cross-entropy", "binary"])
def test_an_image_of_weight_zero_does_not_count_and_one_of_two_counts_twice(kind: str) -> None:
    logits, labels = cases.loss_batch()
    made = loss(kind, 0.1)
    single = [float(made(labels[i : i + 1], logits[i : i + 1])) for i in range(6)]

    weighted = float(made(labels, logits, sample_weight=np.array([0, 1, 2, 0, 1, 1], "float32")))

    assert weighted == pytest.approx((single[1] + 2 * single[2] + single[4] + single[5]) / 6, rel=1e-5)


@pytest.mark.parametrize("case", GOLDEN)
def test_a_loss_comes_back_from_its_config(case: str) -> None:
    logits, labels = cases.loss_batch()
    made = loss(**GOLDEN[case])

    again = keras.losses.deserialize(keras.losses.serialize(made))

    assert float(again(labels, logits)) == float(made(labels, logits))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "bce"}, "kind must be one of 'cross-entropy', 'binary'; received 'bce'"),
        ({"label_smoothing": 1.0}, "label_smoothing must be a number of at least 0 and less than 1; received 1.0"),
        ({"threshold": 0.2}, "threshold and sum_classes are for the binary loss"),
        (
            {"kind": "binary", "threshold": 1.0},
            "threshold must be a number of at least 0 and less than 1; received 1.0",
        ),
    ],
)
def test_what_makes_no_loss_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        loss(**{"kind": "cross-entropy", **wrong})
