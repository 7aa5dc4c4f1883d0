"""Where lines, ticks and marks of a chart lie."""

import itertools

import numpy as np
import pytest

from keras_resnet.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, chart, round_numbers

LABELS = ("epoch", "loss")


def line(values: list[float], kind: int = 0) -> Line:
    return Line("training", np.arange(1.0, len(values) + 1), np.array(values), kind)


def test_a_line_reaches_from_corner_to_corner_of_the_frame() -> None:
    drawn = chart("t", "d", [line([0.0, 2.0])], LABELS)

    assert drawn is not None
    assert drawn.lines[0].parts == (f"{float(LEFT)},{float(HEIGHT - BOTTOM)} {float(WIDTH - RIGHT)},{float(TOP)}",)


def test_what_is_no_number_is_a_gap_and_a_line_without_numbers_is_left_out() -> None:
    nan = float("nan")
    drawn = chart("t", "d", [line([1, nan, 3, 4]), line([nan] * 4, 1)], LABELS)

    assert drawn is not None
    assert len(drawn.lines) == 1
    assert [len(part.split()) for part in drawn.lines[0].parts] == [1, 2]
    assert chart("t", "d", [line([nan, nan])], LABELS) is None


def test_a_loss_that_is_far_larger_at_first_gets_a_logarithmic_axis() -> None:
    drawn = chart("t", "d", [line([1000.0, 1, 1, 10, 1])], LABELS)

    assert drawn is not None
    heights = [float(place.split(",")[1]) for place in drawn.lines[0].parts[0].split()]
    assert heights[0] == TOP
    assert heights[1] == HEIGHT - BOTTOM
    assert heights[3] == pytest.approx(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) / 3, abs=0.1)
    assert [tick.text for tick in drawn.y_ticks] == ["1", "10", "100", "1000"]


def test_long_lines_have_few_markers_and_the_last_value_has_one() -> None:
    drawn = chart("t", "d", [line(list(np.linspace(1, 2, 300)))], LABELS)

    assert drawn is not None
    markers = drawn.lines[0].markers
    assert len(markers) <= 16
    assert markers[0] == (WIDTH - RIGHT, TOP)


@pytest.mark.parametrize(("values", "is_below"), [([0.9, 0.9, 0.9], True), ([0.1, 0.1, 0.1], False)])
def test_the_text_of_a_mark_stands_where_no_line_is(values: list[float], is_below: bool) -> None:
    drawn = chart("t", "d", [line(values)], LABELS, percent=True, limits=(0.0, 1.0), mark=(2.0, "kept"))

    assert drawn is not None
    assert drawn.mark is not None
    assert drawn.mark.at == (LEFT + WIDTH - RIGHT) / 2
    assert (drawn.mark_height > HEIGHT / 2) == is_below
    assert drawn.y_ticks[-1].text == "100%"


@pytest.mark.parametrize(("low", "high"), [(0, 1e-6), (1, 2), (0.3, 7e5), (-4, 3)])
def test_ticks_are_a_few_round_numbers_inside(low: float, high: float) -> None:
    found = round_numbers(low, high)

    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 <= one <= high + 1e-9 for one in found)
    assert len({round(b - a, 9) for a, b in itertools.pairwise(found)}) == 1
