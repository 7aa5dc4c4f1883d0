"""One training over several replicas of the model: the GPUs of a machine, or of several machines.

Data parallelism after Goyal et al. 2017 (arXiv:1706.02677): every replica has the same weights, takes its share
of every global batch, and the gradients are summed before the update, so that learning rate and schedule mean
what they mean on one device. Every share is a function of (seed, epoch, step, worker), as the pipeline gives it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.errors import UsageError, listed

KINDS = ("none", "mirrored", "multiworker")


class WorkersStrategy(tf.distribute.MultiWorkerMirroredStrategy):  # type: ignore[misc]
    """`MultiWorkerMirroredStrategy` as Keras 3 uses it.

    Keras asks for the mean of a step's logs along axis 0, which scalars do not have; with
    `MirroredStrategy` it takes another way. Here a scalar is reduced over the replicas alone.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> tf.Tensor:
        scalar = self.experimental_local_results(value)[0].shape.rank == 0
        return super().reduce(reduce_op, value, None if scalar else axis)


@dataclass(frozen=True)
class Distribution:
    """Where the replicas of a model are.

    Args:
        strategy: TensorFlow's; the default one means a single replica.
        worker: Which of how many processes this is, as `(0, 4)`.
    """

    strategy: tf.distribute.Strategy
    worker: tuple[int, int] = (0, 1)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, metrics and progress; true of exactly one."""
        return self.worker[0] == 0

    @property
    def replicas(self) -> int:
        """How many there are over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_single(self) -> bool:
        return self.replicas == 1 and self.worker[1] == 1

    def scope(self) -> AbstractContextManager[Any]:
        """Where the model, its optimizer and its metrics must be made."""
        return self.strategy.scope()  # type: ignore[no-any-return]

    def prepare(self, model: keras.Model) -> None:
        """Make all variables of a compiled model now, so that `fit` and `evaluate` need not.

        Keras makes them from a first batch, averaged over the replicas, which fails for uint8 images and
        for a strategy of several workers.
        """
        if self.is_single:
            return
        inputs = [keras.KerasTensor((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
        outputs = [keras.KerasTensor((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.outputs]
        with self.scope():
            model._symbolic_build(data_batch=(inputs[0], outputs[0]))
        model._maybe_symbolic_build = lambda **_: None

    def training_data(self, share: Callable[[tuple[int, int]], tf.data.Dataset], batch_size: int) -> Any:
        """What `fit` trains on: of every global batch each replica gets another part, and together all of it.

        Args:
            share: Makes this worker's share of the batches, as `training_batches(..., worker=...)` does.
            batch_size: What a batch holds, for all replicas together.

        Returns:
            A dataset, or a `tf.distribute.DistributedDataset` without an end: give `fit` its `steps_per_epoch`.

        Raises:
            UsageError: The batch cannot be shared out among the replicas.
        """
        if self.is_single:
            return share(self.worker)
        if batch_size % self.replicas:
            raise UsageError(
                f"a batch of {batch_size} cannot be shared out among {self.replicas} replicas: take a multiple of "
                f"{self.replicas}"
            )
        # `experimental_distribute_dataset` would divide the worker's share by the replicas of all workers. Without
        # an end, since the replicas would ask each other before every step whether there is a next batch.
        each = share(self.worker).rebatch(batch_size // self.replicas, drop_remainder=True).repeat()
        return self.strategy.distribute_datasets_from_function(lambda _: each)

    def evaluation_data(self, share: Callable[[tuple[int, int]], tf.data.Dataset]) -> tuple[Any, int]:
        """What `fit` and `evaluate` validate on: every image counts once, on one of the replicas.

        Args:
            share: Makes a replica's share of the images, as `evaluation_batches(..., worker=...)` does.

        Returns:
            A dataset, or a `tf.distribute.DistributedDataset` without an end; and how many steps to read of it.
        """
        if self.is_single:
            dataset = share(self.worker)
            return dataset, int(dataset.cardinality())
        local = self.replicas // self.worker[1]
        shares = [share((self.worker[0] * local + number, self.replicas)) for number in range(local)]
        in_turn = tf.data.Dataset.choose_from_datasets(shares, tf.data.Dataset.range(local).repeat()).repeat()
        return self.strategy.distribute_datasets_from_function(lambda _: in_turn), int(shares[0].cardinality())


def distribution(kind: str) -> Distribution:
    """Settle where a training runs. For `multiworker` call it before anything else of TensorFlow.

    Args:
        kind: `none`: on one device. `mirrored`: on all GPUs of this machine, or, where there are none, on its
            logical CPU devices. `multiworker`: on all processes that the environment variable TF_CONFIG names.

    Raises:
        UsageError: The kind is unknown, TF_CONFIG does not say who works, or TensorFlow is in use already.
    """
    if kind == "none":
        return Distribution(tf.distribute.get_strategy())
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
    if kind == "multiworker":
        worker = worker_of(os.environ.get("TF_CONFIG", ""))
        return Distribution(WorkersStrategy(), worker)
    raise UsageError(f"distribute must be one of {listed(KINDS)}; received {kind!r}")


def worker_of(tf_config: str) -> tuple[int, int]:
    """Which of how many workers TF_CONFIG says this process is.

    Raises:
        UsageError: It is not what TensorFlow expects.
    """
    try:
        config = json.loads(tf_config)
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
        if set(config["cluster"]) != {"worker"} or task["type"] != "worker" or not 0 <= index < len(workers):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            "multiworker needs the environment variable TF_CONFIG, the same in every process but for the index, as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}; '
            f"received {tf_config!r}"
        ) from None
    return index, len(workers)


def synchronise_batch_norm(model: keras.Model, on: bool = True) -> None:
    """Let batch normalisation take its statistics over all replicas, or over each by itself.

    Before the model is first trained; turn it off before saving, since Keras has it for TensorFlow alone.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = on
