"""Where tensors lie: no byte is written over that is still needed, and as many are shared as may be."""

import itertools

import numpy as np
import pytest

from keras_resnet.c_code.arena import Block, distance, plan


def test_blocks_of_the_same_time_share_no_byte_whatever_their_sizes() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        firsts = random.integers(0, 10, 12)
        blocks = [
            Block(str(number), int(random.integers(1, 100)), int(first), int(first + random.integers(0, 5)))
            for number, first in enumerate(firsts)
        ]

        places, size = plan(blocks, {})

        assert size == max(places[one.name] + one.size for one in blocks)
        assert min(places.values()) >= 0
        for one, other in itertools.combinations(blocks, 2):
            if one.first <= other.last and other.first <= one.last:
                a, b = places[one.name], places[other.name]
                assert a + one.size <= b or b + other.size <= a


def test_what_is_never_needed_together_lies_in_the_same_place() -> None:
    chain = [Block(str(step), 100, step, step + 1) for step in range(10)]

    assert plan(chain, {})[1] == 200


def test_a_chain_of_steps_in_place_needs_one_block() -> None:
    chain = [Block(str(step), 100, step, step + 1) for step in range(10)]
    distances = {(str(step + 1), str(step)): 0 for step in range(9)}

    places, size = plan(chain, distances)

    assert size == 100
    assert set(places.values()) == {0}


def test_a_block_that_is_needed_later_is_not_written_over() -> None:
    blocks = [Block("read", 100, 0, 5), Block("written", 100, 1, 2)]

    assert plan(blocks, {("written", "read"): 0})[1] == 200


def test_a_residual_branch_overlaps_itself_beside_its_shortcut() -> None:
    blocks = [Block("x", 1000, 0, 3), Block("a", 1000, 1, 2), Block("b", 1000, 2, 3), Block("sum", 1000, 3, 4)]
    distances = {("b", "a"): 60, ("sum", "x"): 0, ("sum", "b"): 0}

    places, size = plan(blocks, distances)

    assert size == 2060
    assert places["b"] + 60 <= places["a"] or places["a"] + 1000 <= places["b"]


@pytest.mark.parametrize(("reads_on", "expected"), [(True, 8), (False, 6)])
def test_a_3x3_window_is_a_row_and_a_pixel_behind_what_it_writes(reads_on: bool, expected: int) -> None:
    width, channels = 3, 2
    rows = np.maximum(np.arange(4) - 1, 0)
    begins = ((rows[:, None] * width + np.maximum(np.arange(width) - 1, 0)) * channels).ravel()

    # Simulated: pixel after pixel is read, then written.
    def is_safe(bytes_before: int) -> bool:
        for pixel, _ in enumerate(begins):
            end = (pixel + 1) * channels - bytes_before
            later = begins[pixel if reads_on else pixel + 1 :]
            if len(later) and end > later.min():
                return False
        return True

    found = distance(begins, channels, reads_on=reads_on)

    assert is_safe(found)
    assert not is_safe(found - 1)
    assert found >= expected
