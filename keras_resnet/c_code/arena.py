"""Where tensors lie in the one block of memory that a program works in.

Tensors that are not needed at the same time may share bytes. Those that a step reads and writes may overlap, too, as
far as the step has read what it writes over (Blacker, Bridges and Hadfield, Diagonal Memory Optimisation for Machine
Learning on Micro-controllers, 2020, https://arxiv.org/abs/2010.01668). To place the largest first is the greedy plan of
Pisarchyk and Lee (Efficient Memory Management for Deep Neural Net Inference, 2020, https://arxiv.org/abs/2001.03288).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MOST_CHANGES, MOST_PLACED = 300, 30_000
"""Of an order, and of blocks in all orders together."""


@dataclass(frozen=True)
class Block:
    """Bytes that a tensor needs.

    Args:
        name: Of the tensor.
        size: Bytes.
        first, last: The steps that write it, and read it last.
    """

    name: str
    size: int
    first: int
    last: int


ORDERS: tuple[Callable[[Block], tuple[int, ...]], ...] = (
    lambda one: (-one.size, one.first),
    lambda one: (one.first, -one.size),
    lambda one: (-one.last, -one.size),
    lambda one: (-one.size * (one.last - one.first + 1), one.first),
)


def plan(blocks: Sequence[Block], distances: Mapping[tuple[str, str], int]) -> tuple[dict[str, int], int]:
    """Place blocks so that they take little memory.

    The largest are placed first, and some other orders are tried; then two blocks of the best order change their
    places in it, as long as that helps. The same blocks always get the same places.

    Args:
        blocks: The blocks.
        distances: By the names of a block that a step writes and one that it reads: how many bytes the first must
            begin before the second so that it may overlap it, see `distance`. Where the second is needed later, it is
            passed over.

    Returns:
        Where each begins, and how many bytes they take together.

    Example:
        >>> read, written = Block("read", 100, first=0, last=1), Block("written", 100, first=1, last=2)
        >>> plan([read, written], {})
        ({'read': 100, 'written': 0}, 200)
        >>> plan([read, written], {("written", "read"): 10})
        ({'read': 10, 'written': 0}, 110)
    """
    orders = [sorted(blocks, key=order) for order in ORDERS]
    found = [(_placed(order, distances, up), order, up) for order in orders for up in (False, True)]
    (places, size), order, up = min(found, key=lambda one: one[0][1])
    random = np.random.default_rng(0)
    for _ in range(min(MOST_CHANGES, MOST_PLACED // max(1, len(blocks)))):
        changed = list(order)
        one, other = random.integers(len(blocks), size=2)
        changed[one], changed[other] = changed[other], changed[one]
        again = _placed(changed, distances, up)
        if again[1] <= size:
            (places, size), order = again, changed
    return places, size


def _placed(blocks: Sequence[Block], distances: Mapping[tuple[str, str], int], up: bool) -> tuple[dict[str, int], int]:
    """Place blocks in this order, each as low as may be; or, measured from the other end, as high."""
    places: dict[str, int] = {}
    done: list[Block] = []
    for one in blocks:
        # Where it may not begin: from `low` on and before `high`, for each block of the same time.
        taken = []
        for other in done:
            if other.first <= one.last and one.first <= other.last:
                before, behind = _reach(one, other, distances), _reach(other, one, distances)
                at = places[other.name]
                if not up:  # places are of the ends, counted down
                    at, before, behind = at + other.size - one.size, behind, before
                taken.append((at - before + 1, at + behind))
        place = 0
        for low, high in sorted(taken):
            if low <= place < high:
                place = high
        places[one.name] = place
        done.append(one)
    size = max((places[one.name] + one.size for one in blocks), default=0)
    return (places if up else {one.name: size - places[one.name] - one.size for one in blocks}), size


def _reach(one: Block, other: Block, distances: Mapping[tuple[str, str], int]) -> int:
    """How far behind the beginning of a block another of the same time may begin."""
    if one.first == other.last:
        return min(one.size, distances.get((one.name, other.name), one.size))
    return one.size


def distance(begins: np.ndarray, size: int, *, reads_on: bool = True) -> int:
    """How many bytes a step's result must begin before its input, so that nothing is written over that it still reads.

    Args:
        begins: For each part of the result, in the order of writing: the first byte of the input that it is made of.
        size: Bytes of a part.
        reads_on: Whether the input is still read while a part is written.
    """
    later = np.minimum.accumulate(begins[::-1])[::-1].astype(np.int64)
    ends = size * np.arange(1, len(begins) + 1, dtype=np.int64)
    behind = ends - later if reads_on else ends[:-1] - later[1:]
    return max(0, int(behind.max(initial=0)))
