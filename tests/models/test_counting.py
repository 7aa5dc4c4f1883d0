import pytest

from keras_resnet.errors import UsageError
from keras_resnet.models import counting
from keras_resnet.models.counting import cost
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec


@pytest.mark.parametrize(
    ("depth", "parameters", "giga_macs"),
    [
        (18, 11_689_512, 1.82),
        (34, 21_797_672, 3.67),
        (50, 25_557_032, 4.11),
        (101, 44_549_160, 7.83),
        (152, 60_192_808, 11.56),
    ],
)
def test_costs_are_those_of_the_literature(depth: int, parameters: int, giga_macs: float) -> None:
    found = cost(spec(f"resnet{depth}"))

    assert found.parameters == parameters
    assert found.macs == pytest.approx(giga_macs * 1e9, rel=0.005)
    assert found.flops == 2 * found.macs
    assert found.depth == depth


def test_a_tiny_network_counts_by_hand() -> None:
    found = cost(ResNetSpec("tiny", "basic", (1, 1), (4, 8), stem_width=4), 3, input_shape=(6, 6, 2))

    stem, first, second = 9 * 2 * 4, 2 * 9 * 4 * 4, 9 * 4 * 8 + 9 * 8 * 8 + 4 * 8
    normalised = {4: 3, 8: 3}  # how many normalisations of so many channels
    assert found.parameters == stem + first + second + 2 * (4 * 3 + 8 * 3) + 8 * 3 + 3
    assert found.statistics == 2 * sum(channels * number for channels, number in normalised.items())
    assert found.folded_macs == 36 * (stem + first) + 9 * second + 8 * 3
    assert found.normalisation_macs == 36 * 4 * 3 + 9 * 8 * 3
    assert found.depth == 6


def test_groups_divide_the_work_of_their_convolution() -> None:
    row = ResNetSpec("next", "bottleneck", (1,), (16,), bottleneck_ratio=0.5, groups=4, stem_width=16)
    plain = ResNetSpec("plain", "bottleneck", (1,), (16,), bottleneck_ratio=0.5, stem_width=16)
    shape = (8, 8, 3)

    saved = cost(plain, 2, input_shape=shape).macs - cost(row, 2, input_shape=shape).macs

    assert saved == 64 * 9 * 8 * 8 * 3 // 4


def test_dilation_costs_operations_and_no_parameters() -> None:
    strided, dilated = cost(spec("resnet50")), cost(spec("resnet50"), output_stride=8)

    assert strided.parameters == dilated.parameters
    assert dilated.macs > 4 * strided.macs


def test_the_head_counts_only_if_it_is_there() -> None:
    with_head, without = cost(spec("resnet18")), cost(spec("resnet18"), include_top=False)

    assert with_head.parameters - without.parameters == 513 * 1000
    assert with_head.macs - without.macs == 512 * 1000


def test_what_build_would_refuse_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "features", lambda *_, **__: pytest.fail("a network is counted"))

    with pytest.raises(UsageError, match="num_classes must be"):
        cost(spec("resnet18"), 0)
    with pytest.raises(UsageError, match="output_stride must be"):
        cost(spec("resnet18"), output_stride=7)
    monkeypatch.undo()
    assert cost(spec("resnet18"), 0, include_top=False).parameters == 11_176_512


@pytest.mark.parametrize("shape", [(None, None, 3), (32, 32), (0, 8, 3)])
def test_unknown_sizes_cannot_be_counted(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="three positive whole numbers"):
        cost(spec("resnet18"), input_shape=shape)
