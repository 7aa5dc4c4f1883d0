"""An evaluation read back is the one that was written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.evaluation.written import is_written, read_evaluation
from keras_resnet.tasks.table import task
from keras_resnet.tasks.task import Metrics, Task

pytestmark = pytest.mark.usefixtures("undrawn")


@dataclass
class Asked:
    """As much of a predictor as an evaluation needs."""

    task: Task
    name: str = "Keras"


def evaluation(kind: str, names: tuple[str, ...], images: int = 40) -> Evaluation:
    """Of random answers that are often right."""
    random, asked = np.random.default_rng(0), Asked(task(kind, names))
    labels = random.integers(0, 2, (images, len(names))) if kind == "multi-label" else np.arange(images) % len(names)
    hits = labels if kind == "multi-label" else np.eye(len(names))[labels]
    logits = (random.normal(size=(images, len(names))) + 3 * hits - 1.5).astype(np.float32)
    labels = labels.astype(np.uint8 if kind == "multi-label" else np.int64)
    shown = tuple(f"={number}.png" for number in range(images))
    return Evaluation(asked.task.evaluate(logits, labels), logits, labels, asked, "some", ("note",), shown)  # type: ignore[arg-type]


NAMES = ("cat", "=dog", "\u202ecar")


@pytest.mark.parametrize("kind", ["classification", "multi-label"])
def test_figures_classes_and_confusions_are_the_same(kind: str, tmp_path: Path) -> None:
    made = evaluation(kind, NAMES)
    assert not is_written(tmp_path)
    made.write(tmp_path)

    found = read_evaluation(tmp_path, NAMES)

    assert is_written(tmp_path)
    mine, others = ({**vars(one)} for one in (made.metrics, found.metrics))
    for fields in (mine, others):
        fields.pop("hits")
        confusion = fields.pop("confusion")
        fields["confusion"] = None if confusion is None else confusion.tolist()
        fields["remarks"] = fields["remarks"] if fields is mine else mine["remarks"]
    assert others == mine
    assert isinstance(found.metrics, Metrics)
    assert (found.data_name, found.remarks) == ("some", ("note",))
    assert sum(count for *_, count in found.reliability) == (40 if kind == "classification" else 120)


@pytest.mark.parametrize(("kind", "names"), [("classification", NAMES), ("multi-label", NAMES), ("classification",
                         tuple(f"class {number}" for number in range(101)))])  # fmt: skip
def test_each_answer_has_its_probabilities_and_its_loss(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    made = evaluation(kind, names)
    made.write(tmp_path)
    answers = made.answers
    shares, of_label = answers.probabilities, answers.task.membership(made.labels)
    if kind == "multi-label":
        losses = -np.log(np.where(of_label, shares, 1 - shares)).mean(axis=1)
    else:
        losses = -np.log(shares[of_label])

    found = read_evaluation(tmp_path, names)

    assert [one.is_right for one in found.answers] == answers.right.tolist()
    assert [one.loss for one in found.answers] == pytest.approx(losses.tolist(), abs=2e-3)
    assert found.largest_losses[0].image == f"'={int(losses.argmax())}.png"
    assert (found.probabilities is None) == (len(names) > 100)
    if found.probabilities is not None:
        assert found.probabilities == pytest.approx(shares, abs=1e-6)
    if kind == "classification":
        assert found.labels.tolist() == made.labels.tolist()


def test_damaged_tables_and_other_classes_are_told(tmp_path: Path) -> None:
    evaluation("classification", NAMES).write(tmp_path)
    with pytest.raises(ModelError, match="of other classes than the model"):
        read_evaluation(tmp_path, ("cat", "dog", "car"))

    path = tmp_path / "predictions.csv"
    path.write_text(path.read_text().rpartition(",")[0] + ",x\n")
    with pytest.raises(ModelError, match=r"predictions.csv is damaged: could not convert"):
        read_evaluation(tmp_path, NAMES)
    path.write_text("path,label,prediction\na,b,c\n")
    with pytest.raises(ModelError, match="expected path, label, prediction and 3 probabilities"):
        read_evaluation(tmp_path, NAMES)
