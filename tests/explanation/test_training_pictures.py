from pathlib import Path

import pytest
from PIL import Image

from keras_resnet.errors import MissingExtraError
from keras_resnet.explanation.diagnosis import Symptom
from keras_resnet.explanation.history import History
from keras_resnet.explanation.training_pictures import (
    PANELS,
    draw_accuracies,
    draw_gradient_norms,
    draw_losses,
    learning_curves,
    training_picture,
)
from keras_resnet.pictures import new_figure
from tests.explanation.test_diagnosis import LOSSES, rows

ILL = [Symptom("overfitting", "Overfitting: a text that costs $5 and $6, " + "and is long, " * 30)]


def colours(path: Path) -> int:
    with Image.open(path) as image:
        assert min(image.size) > 300
        return len(image.convert("RGB").getcolors(1 << 24))


@pytest.mark.parametrize("epochs", [1, 10])
def test_learning_curves_are_drawn(epochs: int, tmp_path: Path) -> None:
    learning_curves(History.of(rows(losses=LOSSES[:epochs])), tmp_path / "curves.png")

    assert colours(tmp_path / "curves.png") > 20


@pytest.mark.parametrize(("epochs", "symptoms"), [(1, ILL), pytest.param(10, [], marks=pytest.mark.slow)])
def test_the_whole_training_is_drawn_with_what_looks_ill(epochs: int, symptoms: list[Symptom], tmp_path: Path) -> None:
    history = History.of(rows(losses=LOSSES[:epochs], val_loss=900.0))

    training_picture(history, symptoms, "net on $data", tmp_path / "training.png")

    assert colours(tmp_path / "training.png") > 100


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same training with no warning, one, and five."""
    paths = [tmp_path_factory.mktemp("pictures") / f"{warnings}.png" for warnings in (0, 1, 5)]
    for path in paths:
        training_picture(History.of(rows()), ILL * int(path.stem), "net", path)
    return paths


def test_the_warnings_have_room_below(drawn: list[Path]) -> None:
    sizes = []
    for path in drawn:
        with Image.open(path) as image:
            sizes.append(image.size)

    assert len({width for width, _ in sizes}) == 1
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]


@pytest.mark.parametrize("missing", [float("nan"), pytest.param(None, marks=pytest.mark.slow)])
def test_a_training_of_which_little_was_recorded_is_drawn_too(missing: float | None, tmp_path: Path) -> None:
    bare = [
        {
            "event": "epoch",
            "epoch": n,
            "step": n,
            "loss": missing,
            "accuracy": 0.1,
            "val_loss": missing,
            "val_accuracy": 0.1,
        }
        for n in (1, 2)
    ]

    kept = {"epoch": 2, "metric": "accuracy", "value": 0.1, "split": "validation", "images": 9}
    training_picture(History.of(bare, kept=kept), [], "net", tmp_path / "training.png")

    assert colours(tmp_path / "training.png") > 20


def test_each_panel_says_what_it_shows() -> None:
    axes = new_figure(8, 4).subplots(2, 4)
    for one, draw in zip(axes.flat, PANELS, strict=True):
        draw(one, History.of(rows()))

    assert all(one.get_title() and one.get_xlabel() in ("epoch", "update") for one in axes.flat)
    assert not any(one.get_legend() for one in axes.flat)
    assert len({one.get_title() for one in axes.flat}) == len(PANELS)


def test_gradient_norms_are_drawn_by_stage_and_update() -> None:
    axes = new_figure(4, 4).subplots()
    draw_gradient_norms(axes, History.of(rows(losses=LOSSES[:2])))

    assert [line.get_label() for line in axes.lines] == ["stem", "stage1", "head"]
    assert axes.lines[1].get_xdata().tolist() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert set(axes.lines[1].get_ydata().tolist()) == {0.1}
    assert axes.get_yscale() == "log"


def test_curves_have_their_names_beside_their_ends_outside_the_panel() -> None:
    axes = new_figure(4, 4).subplots()
    draw_gradient_norms(axes, History.of(rows()))

    places = {one.get_text(): one.get_position() for one in axes.texts}
    assert places.keys() == {"stem", "stage1", "head"}
    assert all(x > 1 for x, _ in places.values())
    heights = sorted(y for _, y in places.values())
    assert heights[1] - heights[0] > 0.1
    assert heights[2] - heights[1] > 0.1  # those of the stem and the head end at the same height
    assert places["stage1"][1] == heights[0]


def test_of_many_stages_some_are_named() -> None:
    axes = new_figure(4, 4).subplots()
    draw_gradient_norms(axes, History.of(rows(step={"gradient_norms": {f"stage{n}": 0.1 * n for n in range(1, 31)}})))

    named = [one.get_text() for one in axes.texts]
    assert len(axes.lines) == 30
    assert len(named) == 9
    assert {"stage1", "stage30"} <= set(named)


@pytest.mark.parametrize(("kept", "mark"), [(4, "kept: epoch 4"), (11, None), (None, "best: epoch 10")])
def test_the_kept_epoch_is_marked_or_else_the_best(kept: int | None, mark: str | None) -> None:
    chosen = None if kept is None else {"epoch": kept, "metric": "accuracy", "value": 0.88, "split": "", "images": 9}
    axes = new_figure(4, 4).subplots()
    draw_accuracies(axes, History.of(rows(), kept=chosen))

    marks = [one.get_text() for one in axes.texts if "epoch" in one.get_text()]
    assert marks == ([mark] if mark else [])
    diamonds = [line.get_xdata() for line in axes.lines if line.get_marker() == "D"]
    assert [list(one) for one in diamonds] == ([[int(mark.split()[-1])]] if mark else [])


def test_a_kept_linear_probe_is_marked_before_the_first_epoch() -> None:
    kept = {"epoch": 0, "metric": "accuracy", "value": 0.95, "split": "validation", "images": 40}
    losses, accuracies = (new_figure(4, 4).subplots() for _ in range(2))
    draw_losses(losses, History.of(rows(), kept=kept))  # type: ignore[arg-type]
    draw_accuracies(accuracies, History.of(rows(), kept=kept))  # type: ignore[arg-type]

    for axes in (losses, accuracies):
        assert [one.get_text() for one in axes.texts if "kept" in one.get_text()] == ["kept: the linear probe"]
        assert axes.get_xlim()[0] <= 0
    diamonds = [
        [line.get_xydata().tolist() for line in one.lines if line.get_marker() == "D"] for one in (losses, accuracies)
    ]
    assert diamonds == [[], [[[0, 0.95]]]]  # its loss is not known


def test_where_a_training_was_continued_or_went_back_is_on_the_axis_and_explained_below_it() -> None:
    place = {"time": "2026", "epoch": 1, "step": 0}
    per_epoch = rows()[-1]["step"] // 10
    events = [
        {"event": kind, "updates": int(at * per_epoch), **place} for kind, at in (("setback", 2.5), ("continued", 4))
    ]
    both, axes, bare = (new_figure(4, 4).subplots() for _ in range(3))
    draw_losses(both, History.of(rows(), events=events))  # type: ignore[arg-type]
    draw_accuracies(axes, History.of(rows(), events=events[1:]))  # type: ignore[arg-type]
    draw_losses(bare, History.of(rows()))

    marks = {line.get_marker(): (list(line.get_xdata()), set(line.get_ydata())) for line in both.lines}
    assert marks["^"] == ([4], {0})
    assert marks["X"] == ([2.5], {0})
    assert both.get_xlabel() == "epoch     ▲ continued     ✖ went back to earlier weights"
    assert axes.get_xlabel() == "epoch     ▲ continued"
    assert bare.get_xlabel() == "epoch"
    assert both.get_xlim() == bare.get_xlim()
    assert both.get_ylim() == bare.get_ylim()


def test_epochs_without_a_finite_loss_are_shaded() -> None:
    axes = new_figure(4, 4).subplots()
    draw_losses(axes, History.of(rows(val_loss=[1.0] * 7 + [None, 1.0, None])))

    assert [patch.get_x() + 0.5 for patch in axes.patches] == [8, 10]
    assert "no finite\nnumber" in [one.get_text() for one in axes.texts]
    bare = new_figure(4, 4).subplots()
    draw_losses(bare, History.of([{**row, "event": "epoch"} for row in rows()[:1]]))  # without validation
    assert not bare.patches


def test_the_same_record_gives_the_same_file(drawn: list[Path], tmp_path: Path) -> None:
    training_picture(History.of(rows()), ILL, "net", tmp_path / "again.png")

    assert (tmp_path / "again.png").read_bytes() == drawn[1].read_bytes()


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'keras-resnet-kit\[plots\]'"):
        training_picture(History.of(rows()), [], "net", tmp_path / "training.png")
