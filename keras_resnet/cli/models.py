"""List the networks: parameters, operations, depth, input and paper.

MACs are multiply-accumulates of convolutions, fully connected layers and normalisations for one
image of the input size; FLOPs are twice as many (many papers write FLOPs and mean MACs). Networks for
32×32 images are counted with 10 classes, the others with 1,000, unless --classes says otherwise.
"""

from __future__ import annotations

import argparse

from keras_resnet.cli.terminal import say


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("pattern", nargs="?", default="*", help="shell pattern: 'resnet*d', '*50*' (default: all)")
    command.add_argument("--input", type=int, metavar="SIDE", help="count for images of SIDE × SIDE pixels")
    command.add_argument("--classes", type=int, help="count for this many classes")
    command.add_argument("--weights", action="store_true", help="list the names that weights= takes, too")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import UsageError
    from keras_resnet.models.counting import cost
    from keras_resnet.models.variants import list_models, spec
    from keras_resnet.weights.pretrained import list_weights

    names = list_models(options.pattern)
    if not names and not set("*?[") & set(options.pattern):
        names = [spec(options.pattern).name]  # in another spelling, or by rule; else the nearest are named
    if not names:
        raise UsageError(f"no network matches {options.pattern!r}; `keras-resnet models` lists them all")
    for option, value in (("--input", options.input), ("--classes", options.classes)):
        if value is not None and value < 1:
            raise UsageError(f"{option} must be at least 1; received {value}")
    rows = []
    papers: dict[str, int] = {}
    for name in names:
        network = spec(name)
        side = options.input or network.input_size
        if side < network.smallest_side(network.resolve_stem(side, side)):
            raise UsageError(f"--input {side} is too small for {name}")
        classes = options.classes or (10 if network.input_size == 32 else 1000)
        found = cost(network, classes, input_shape=(side, side, 3))
        rows.append(
            (
                name,
                f"{found.parameters:,}",
                _giga(found.macs),
                _giga(found.flops),
                str(found.depth),
                f"{side}×{side}",
                f"[{papers.setdefault(network.paper, len(papers) + 1)}]",
                *((", ".join(list_weights(name)) or "–",) if options.weights else ()),
            )
        )
    columns = ["network", "parameters", "MACs", "FLOPs", "depth", "input", "paper"]
    table(None, columns + ["weights"] * options.weights, rows, left=("weights",), whole=("network",), compact=True)
    for paper, number in papers.items():
        say(f"[{number}] {paper}")
    counted = f"{options.classes:,}" if options.classes else "10 (networks for 32×32 images) or 1,000"
    say(
        f"\n{len(rows)} networks, counted with {counted} classes.\n"
        "1 MAC = 1 multiplication + 1 addition = 2 FLOPs; convolutions, fully connected layers\n"
        "and normalisations count. Depth: convolutions and fully connected layers, without\n"
        "shortcuts and attention."
    )
    return 0


def _giga(operations: int) -> str:
    return f"{operations / 1e9:.2f} G" if operations >= 1e9 else f"{operations / 1e6:.1f} M"
