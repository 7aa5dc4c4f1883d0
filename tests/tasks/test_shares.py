import numpy as np
import pytest
from scipy import special

from keras_resnet.tasks.shares import log_mean_exp, log_softmax, logit, sigmoid, softmax

LOGITS = np.float32([[2.0, -1.0, 0.5], [900.0, -900.0, 899.0], [0.0, 0.0, 0.0], [-104.0, 17.0, -1e-3]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_and_their_logarithms_are_those_of_scipy_whatever_the_size_of_logits(dtype: type) -> None:
    logits = LOGITS.astype(dtype)

    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = [softmax(logits), log_softmax(logits), sigmoid(logits)]

    expected = [special.softmax(logits, axis=1), special.log_softmax(logits, axis=1), special.expit(logits)]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=4 * np.finfo(dtype).eps, atol=0)


def test_means_and_logits_of_probabilities_lead_back() -> None:
    logs = np.stack([log_softmax(LOGITS), log_softmax(LOGITS[::-1])])

    mean = log_mean_exp(logs)

    np.testing.assert_allclose(mean, special.logsumexp(logs, axis=0) - np.log(2), rtol=1e-6)
    np.testing.assert_allclose(logit(sigmoid(np.linspace(-14.0, 14.0, 29))), np.linspace(-14.0, 14.0, 29), atol=1e-8)
