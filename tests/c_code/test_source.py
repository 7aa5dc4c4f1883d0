"""C code against LiteRT's reference kernels, to the last bit, compiled with all warnings and sanitisers."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_resnet.c_code.lowering import OPERATORS
from keras_resnet.c_code.reference import reference
from keras_resnet.c_code.source import KERNELS, NEEDS, PARTS, network, selftest
from keras_resnet.errors import ModelError
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import list_models, spec
from keras_resnet.quantize.graph import Graph
from keras_resnet.quantize.post_training import Quantization
from tests.c_code.compiled import (
    CHECKED,
    check_bit_exact,
    graph_of,
    graph_of_spec,
    inputs_of,
    needs_gcc,
    run_selftest,
)

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

BASIC = ResNetSpec("basic", "basic", (1, 1), (8, 16), "cifar", stem_width=8)
BOTTLENECK = ResNetSpec("bottleneck", "bottleneck", (1, 1), (32, 64), "imagenet", stem_width=8)
SPECS = {
    "option A": replace(BASIC, shortcut="identity_pad"),
    "v1, blurred, efficient channel attention": replace(
        BOTTLENECK, antialias=True, strided_conv="1x1", attention="eca", bias="all"
    ),
    "RS, grouped": replace(
        BOTTLENECK, stem="deep_strided", attention="se", shortcut="avgpool_projection", se_ratio=0.25,
        bottleneck_ratio=0.5, groups=4,
    ),
    "v2, TensorFlow's padding": replace(
        BOTTLENECK, block="preact_bottleneck", strided_block="last", depths=(2, 1), padding="same"
    ),
}  # fmt: skip
MORE = {
    "basic": BASIC,
    "v1.5": BOTTLENECK,
    "wide": replace(BASIC, block="preact_basic", shortcut="plain_projection", dropout_at="block"),
    "D": replace(BOTTLENECK, stem="deep", shortcut="avgpool_projection"),
    "v2, squeeze and excitation": replace(BASIC, block="preact_basic", attention="se"),
    "blurred, basic": replace(BASIC, antialias=True, stem="imagenet"),
}


def foreign() -> keras.Model:
    """Layers that our networks have not, and odd sides."""
    x = inputs = keras.Input((11, 14, 3))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.ReLU(6.0)(layers.Conv2D(8, 3, padding="same", dilation_rate=2)(x))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, strides=2)(x)
    x = layers.MaxPooling2D(3, 1, padding="same")(layers.Activation("hard_swish")(x))
    x = layers.Activation("tanh")(layers.DepthwiseConv2D(3)(layers.ZeroPadding2D(((1, 0), (0, 2)))(x)))
    x = layers.Subtract()([x, layers.Conv2D(16, 1)(x)])
    x = layers.Conv2D(10, 3, groups=2, padding="same", activation="relu")(layers.Permute((2, 1, 3))(x))
    x = layers.Concatenate()([x, layers.Conv2D(5, 3, padding="same", activation="sigmoid")(x)])
    x = layers.Concatenate()([x, ops.mean(x, axis=3, keepdims=True)])
    x = layers.AveragePooling2D(3, 2, padding="same")(ops.multiply(x, ops.mean(x, axis=(1, 2), keepdims=True)))
    x = ops.mean(ops.relu(x), axis=1)
    x = layers.Flatten()(ops.concatenate([x[:, ::2], x[:, 1:2], x[:, ::-1]], 1))
    model = keras.Model(inputs, layers.Dense(5)(layers.Dense(6, activation="relu")(x)))
    for weight in model.trainable_variables:
        weight.assign(2.5 * weight)  # so that outputs differ however many means there are
    return model


@pytest.mark.parametrize("name", SPECS)
def test_networks_give_the_bits_of_the_reference_kernels(name: str, tmp_path: Path) -> None:
    side = 33 if SPECS[name].stem != "cifar" else 15

    check_bit_exact(graph_of_spec(SPECS[name], (side, side + 2, 3)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_the_other_variants_do_too(name: str, tmp_path: Path) -> None:
    side = 33 if MORE[name].stem != "cifar" else 15

    check_bit_exact(graph_of_spec(MORE[name], (side, side + 2, 3)), tmp_path)


def one_of_each_kind() -> dict[str, ResNetSpec]:
    """Of the named networks, the first of each kind that differs in more than depths and widths, and made small."""
    found: dict[object, ResNetSpec] = {}
    for name in list_models():
        whole = spec(name, width_multiplier=0.125)
        row = replace(whole, depths=(1,) * len(whole.depths))
        kind = replace(row, name="", widths=whole.widths[:1] * len(whole.widths), stem_width=8, input_size=8, paper="")
        found.setdefault((kind, row.groups), row)
    return {row.name: row for row in found.values()}


@pytest.mark.slow
@pytest.mark.parametrize("name", one_of_each_kind())
def test_every_named_kind_of_network_does(name: str, tmp_path: Path) -> None:
    check_bit_exact(graph_of_spec(one_of_each_kind()[name], (40, 40, 3)), tmp_path, count=4)


@pytest.mark.slow
def test_networks_with_dilations_for_strides_do(tmp_path: Path) -> None:
    row = replace(BOTTLENECK, depths=(1,) * 4, widths=(32, 32, 32, 64))

    check_bit_exact(graph_of_spec(row, (64, 64, 3), output_stride=8), tmp_path, count=4)


@pytest.mark.slow
def test_resnet50_does(tmp_path: Path) -> None:
    check_bit_exact(graph_of_spec(spec("resnet50"), (48, 50, 3)), tmp_path, count=2)


def test_layers_that_our_networks_have_not_do_too(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    content = graph_of(foreign(), (11, 14, 3))

    assert {step.operator for step in Graph(content).steps} >= {
        "DEPTHWISE_CONV_2D", "HARD_SWISH", "TANH", "SUB", "TRANSPOSE", "QUANTIZE", "STRIDED_SLICE", "RESHAPE", "PAD",
    }  # fmt: skip
    check_bit_exact(content, tmp_path, count=60)


def test_input_and_output_may_be_pixels_as_they_are(tmp_path: Path) -> None:
    how = Quantization("minmax", False, False, io="uint8")

    check_bit_exact(graph_of_spec(replace(BASIC, depths=(1,), widths=(8,)), (8, 8, 1), how), tmp_path)


@pytest.fixture(scope="module")
def small() -> bytes:
    return graph_of_spec(replace(BASIC, depths=(1,), widths=(8,)), (8, 8, 3))


def test_a_selftest_fails_where_one_byte_of_the_weights_is_another(small: bytes, tmp_path: Path) -> None:
    inputs = inputs_of(small, 4)
    texts = network(Graph(small), tuple("abcde"), several=False).texts
    weights = re.search(r"(int8_t weights\d+\[\] = \{\n    )(-?\d+),", texts["model.c"])
    assert weights is not None
    changed = texts["model.c"].replace(weights[0], f"{weights[1]}{(int(weights[2]) + 178) % 256 - 128},", 1)
    texts |= {"model.c": changed, "selftest.c": selftest(inputs, reference(small, inputs))}

    done = run_selftest(texts, tmp_path)

    assert done.returncode == 1
    assert re.search(r"^image \d, output \d: -?\d+, expected -?\d+$", done.stdout, re.MULTILINE)
    assert re.search(r"^FAILED: [1-9]\d* of 40 outputs differ$", done.stdout, re.MULTILINE)


def test_the_same_graph_gives_the_same_text_and_only_the_kernels_that_it_needs(small: bytes) -> None:
    first, again = (network(Graph(small), ("a",) * 5, several=False) for _ in range(2))

    assert first == again
    code = first.texts["model.c"]
    assert "static void conv(" in code
    assert not {"depthwise(", "max_pool(", "lookup("} & set(re.findall(r"\w+\(", code))
    assert "#include <" not in code
    assert re.findall(r"#include <(.*)>", first.texts["model.h"]) == ["stdint.h"]
    assert f"#define MODEL_ARENA_BYTES {first.arena}\n" in first.texts["model.h"]


def test_every_kernel_is_reached_and_says_what_it_calls() -> None:
    texts = {path.stem: path.read_text() for path in KERNELS.glob("*.c")}

    assert set(texts) == {*NEEDS, *PARTS}
    defined = {name: re.findall(r"^static [\w ]+ \*?(\w+)\(", text, re.MULTILINE) for name, text in texts.items()}
    for kernel, needs in NEEDS.items():
        called = {part for part in PARTS if any(f"{name}(" in texts[kernel] for name in defined[part])}
        assert called == set(needs), kernel


def test_the_arena_is_less_than_two_tensors_of_a_residual_block_more(small: bytes) -> None:
    """The shortcut, and a branch whose convolutions write over what they have read."""
    tensor = 8 * 8 * 8

    assert 2 * tensor < network(Graph(small), ("a",) * 5, several=False).arena < 2.5 * tensor


def test_class_names_stay_names(tmp_path: Path, small: bytes) -> None:
    labels = ('"; system("x"); "', "??/", "*/ \\", "a\nb", "üß%s")
    for name, text in network(Graph(small), labels, several=False).texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "model.h"\n'
        'int main(void) { for (int i = 0; i < MODEL_CLASSES; i++) printf("%s%c", model_labels[i], 0); return 0; }'
    )
    program = str(tmp_path / "program")

    subprocess.run([needs_gcc(), *CHECKED, "-o", program, *map(str, tmp_path.glob("*.c"))], check=True)
    printed = subprocess.run([program], capture_output=True, check=True).stdout

    assert printed == b"".join(label.encode() + b"\0" for label in labels)


def test_what_has_no_c_code_is_refused_by_name() -> None:
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Softmax(axis=-1)(layers.Conv2D(4, 3)(x))
    content = graph_of(keras.Model(inputs, layers.Dense(5)(layers.Flatten()(x))), (6, 6, 3))

    assert "SOFTMAX" not in OPERATORS
    with pytest.raises(ModelError, match="there is no C code for 'SOFTMAX', which the network has; export it as tflm"):
        network(Graph(content), tuple("abcde"), several=False)


def test_a_graph_whose_results_do_not_fit_is_refused(small: bytes) -> None:
    graph = Graph(small)
    mean = next(step for step in graph.steps if step.operator == "MEAN")
    graph.flat.tensors[mean.output].shape = np.array([1, 2], np.int32)

    with pytest.raises(ModelError, match=r"MEAN gives 8 numbers; .* is \[1, 2\]"):
        network(graph, tuple("abcde"), several=False)
