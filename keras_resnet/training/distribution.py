"""One training over several replicas of the model: the GPUs of a machine, or of several machines.

Synchronous data parallelism (Goyal et al. 2017, arXiv:1706.02677): every replica has the same weights and takes its
part of every global batch, and the gradients are summed before the update. So loss, learning rate, clipping and
schedule mean what they mean on one device. Which images a replica gets, the pipeline decides by (seed, epoch, step,
worker).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypedDict

import keras
import tensorflow as tf

from keras_resnet.compat.replicated import build_metrics, sum_gradients_first
from keras_resnet.errors import UsageError, listed
from keras_resnet.json_files import parse_json

KINDS = ("none", "mirrored", "multiworker")


class _Cluster(TypedDict):
    worker: list[str]


class _Task(TypedDict):
    type: str
    index: Any  # TensorFlow takes texts, too


class _Workers(TypedDict):
    cluster: _Cluster
    task: _Task


Share = Callable[[tuple[int, int]], tf.data.Dataset]
"""Makes the batches of one worker, given which of how many it is: `(1, 4)` is the second of four."""


class WorkersStrategy(tf.distribute.MultiWorkerMirroredStrategy):
    """`MultiWorkerMirroredStrategy` as Keras uses it.

    Keras asks for the mean of a step's logs along axis 0, which scalars do not have (keras issue 20585). Here they are
    averaged over the replicas alone.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> tf.Tensor:
        """As every strategy's, for scalars along any axis.

        Args:
            reduce_op: Sum or mean.
            value: One of each replica.
            axis: To reduce along, besides the replicas; ignored for scalars.
        """
        number = self.experimental_local_results(value)[0].shape.rank == 0
        return super().reduce(reduce_op, value, None if number else axis)


@dataclass(frozen=True)
class Distribution:
    """Where the replicas of a model run; `distribution` makes one.

    Args:
        strategy: TensorFlow's; its default one has a single replica.
        worker: Which of how many processes this is: `(0, 4)` is the first of four.
    """

    strategy: tf.distribute.Strategy
    worker: tuple[int, int] = (0, 1)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, metrics and progress, as exactly one does."""
        return self.worker[0] == 0

    @property
    def replicas(self) -> int:
        """How many there are, over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    def scope(self) -> AbstractContextManager[Any]:
        """Where the model must be built, compiled and given its optimizer's variables."""
        return self.strategy.scope()

    def prepare(self, model: keras.Model) -> None:
        """Make a model ready for `fit`: each time it has been compiled, after its checkpoint, if any, has been loaded.

        The variables of metrics and loss are made now (`build_metrics`), and the optimizer is given gradients that are
        summed over the replicas (`sum_gradients_first`).
        """
        if self.replicas == 1:
            return
        with self.scope():
            build_metrics(model)
        sum_gradients_first(model.optimizer)
        self.part_random_streams(model)

    def part_random_streams(self, model: keras.Model) -> None:
        """Give every replica random numbers of its own, so that they do not all drop the same units.

        `prepare` does it. It must be done again whenever the variables have been assigned from a checkpoint, which
        holds those of the first replica.
        """
        states = [variable.value for variable in model.variables if variable.name == "seed_generator_state"]

        def part() -> None:
            context = tf.distribute.get_replica_context()
            replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
            own = tf.stack([tf.convert_to_tensor(state) for state in states])
            first = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(replica == 0, own, tf.zeros_like(own)))
            for state, value in zip(states, tf.unstack(first), strict=True):
                state.assign(value + tf.stack([replica, tf.zeros_like(replica)]))

        if self.replicas > 1 and states:
            self.strategy.run(tf.function(part, autograph=False))

    def metrics_gatherer(self, model: keras.Model) -> Callable[[Sequence[Any] | None], None]:
        """A function that leaves the sums of a compiled model's metrics in the first replica alone.

        A checkpoint holds their sums over the replicas. So that it makes no difference when one was written, the sums
        are gathered after every batch, and given back to the first replica. All workers must call the function at the
        same step.

        Args:
            model: Whose metrics have their variables.

        Returns:
            It takes the sums, in the order of the variables; None: those that there are.
        """
        variables = [one.value for metric in model.metrics for one in metric.variables]

        def gather(given: Sequence[Any] | None) -> None:
            context = tf.distribute.get_replica_context()
            is_first = tf.cast(context.replica_id_in_sync_group, tf.int64) == 0
            for number, variable in enumerate(variables):
                own = tf.convert_to_tensor(variable)
                whole = context.all_reduce(tf.distribute.ReduceOp.SUM, own) if given is None else given[number]
                variable.assign(tf.where(is_first, whole, tf.zeros_like(own)))

        if self.replicas == 1 or not variables:
            return lambda _: None
        compiled = tf.function(gather, autograph=False)
        return lambda given: self.strategy.run(compiled, args=(given,))

    def statistics_averager(self, model: keras.Model) -> Callable[[], None]:
        """A function that sets the moving statistics of batch normalisation to their mean over the replicas.

        Each replica has seen other images, and a checkpoint holds the statistics of the first. All workers must call
        the function at the same step: after every update, so that a training does not depend on when checkpoints are
        written. It does nothing where the statistics are synchronised.
        """
        layers = [layer for layer in batch_norms(model) if not layer.synchronized]
        statistics = [variable.value for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]

        def average() -> None:
            # As one vector: the replicas need not come to several reductions in the same order.
            vector = tf.concat([tf.reshape(variable, (-1,)) for variable in statistics], axis=0)
            mean = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, vector)
            for variable, part in zip(statistics, tf.split(mean, [variable.shape[0] for variable in statistics]),
                                      strict=True):  # fmt: skip
                variable.assign(part)

        if self.replicas == 1 or not statistics:
            return lambda: None
        compiled = tf.function(average, autograph=False)
        return lambda: self.strategy.run(compiled)

    def anywhere(self, flag: bool) -> bool:
        """Whether the flag is set in any worker, say because it was told to stop. All must ask at the same step."""
        if self.worker[1] == 1:
            return flag
        votes = self.strategy.experimental_distribute_values_from_function(lambda _: tf.constant(float(flag)))
        return bool(self.strategy.reduce(tf.distribute.ReduceOp.SUM, votes, None) > 0)

    def training_data(self, share: Share, batch_size: int) -> Any:
        """What `fit` trains on: each replica gets its part of every global batch.

        Args:
            share: Makes this worker's part of the batches.
            batch_size: What a batch holds, for all replicas together.

        Returns:
            A dataset, or a `tf.distribute.DistributedDataset` without an end: tell `fit` the `steps_per_epoch`.

        Raises:
            UsageError: The batch cannot be shared out among the replicas.
        """
        if self.replicas == 1:
            return share(self.worker)
        if batch_size % self.replicas:
            raise UsageError(
                f"a batch of {batch_size} cannot be shared out among {self.replicas} replicas: it must be a multiple "
                f"of {self.replicas}"
            )
        # `experimental_distribute_dataset` would divide the worker's part by the replicas of all workers. The dataset
        # has no end: else the workers would have to agree before every step on whether there is one more batch.
        parts = share(self.worker).rebatch(batch_size // self.replicas, drop_remainder=True).repeat()
        return self.strategy.distribute_datasets_from_function(lambda _: parts)

    def evaluation_data(self, share: Share) -> tuple[Any, int]:
        """What to evaluate on: every image counts once, on one of the replicas.

        Args:
            share: Makes the batches of one of so many replicas, as `evaluation_batches` does.

        Returns:
            A dataset, or a `tf.distribute.DistributedDataset` without an end; and the steps to read of it
            (`validation_steps` of `fit`, `steps` of `evaluate`).
        """
        local = self.replicas // self.worker[1]
        shares = [share((self.worker[0] * local + number, self.replicas)) for number in range(local)]
        steps = int(shares[0].cardinality())
        if self.replicas == 1:
            return shares[0], steps
        in_turn = tf.data.Dataset.choose_from_datasets(shares, tf.data.Dataset.range(local).repeat(steps)).repeat()
        return self.strategy.distribute_datasets_from_function(lambda _: in_turn), steps


def distribution(kind: str) -> Distribution:
    """Choose where a training runs.

    Args:
        kind: `none`: on one device. `mirrored`: on all GPUs of this machine or, where there is none, on its logical
            CPU devices. `multiworker`: on all processes that the environment variable TF_CONFIG names. This waits for
            all of them, must be the first use of TensorFlow in the process, and takes SIGTERM for itself: set your own
            handler afterwards.

    Raises:
        UsageError: The kind is unknown, TF_CONFIG does not name the workers, or TensorFlow is in use already.
    """
    if kind == "none":
        return Distribution(tf.distribute.get_strategy())
    if kind == "mirrored":
        return Distribution(_mirrored())
    if kind != "multiworker":
        raise UsageError(f"distribute must be one of {listed(KINDS)}; received {kind!r}")
    worker = worker_of(os.environ.get("TF_CONFIG", ""))
    try:
        return Distribution(WorkersStrategy(), worker)
    except RuntimeError as error:
        raise UsageError(f"multiworker training must be set up before TensorFlow is used: {error}") from None


@cache
def _mirrored() -> tf.distribute.MirroredStrategy:
    """One for the whole process: a second one would give its reductions the same numbers as those of the first."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def worker_of(tf_config: str) -> tuple[int, int]:
    """Which of how many workers this process is.

    Args:
        tf_config: The content of the environment variable TF_CONFIG.

    Raises:
        UsageError: It does not say so.
    """
    try:
        config = parse_json(tf_config, _Workers, "TF_CONFIG", error=UsageError)
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
        if config["cluster"].keys() != {"worker"} or task["type"] != "worker" or not 0 <= index < len(workers):
            raise ValueError
    except (ValueError, TypeError):  # a UsageError is a ValueError
        raise UsageError(
            "multiworker needs the environment variable TF_CONFIG, the same for every process but for the index: "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}; '
            f"received {tf_config!r}"
        ) from None
    return index, len(workers)


def is_lost_worker(error: BaseException) -> bool:
    """Whether an error out of `fit` says that another worker died, so that all must be started again.

    TensorFlow aborts what the workers do in common. The weights in memory may be half updated: go on from the
    last checkpoint.
    """
    return isinstance(error, tf.errors.UnavailableError) or (
        isinstance(error, tf.errors.OpError) and "Collective ops is aborted" in str(error)
    )


def synchronise_batch_norm(model: keras.Model, on: bool = True) -> None:
    """Let batch normalisation take its statistics over the global batch, or over each replica's part of it.

    Args:
        model: Not trained yet.
        on: Whether over the global batch. Turn it off before saving: Keras loads such layers under TensorFlow alone.
    """
    for layer in batch_norms(model):
        layer.synchronized = on


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch normalisations of a model and of the models in it, each once."""
    found: dict[int, keras.layers.BatchNormalization] = {}
    for layer in model.layers:
        inside = batch_norms(layer) if isinstance(layer, keras.Model) else [layer]
        found |= {id(one): one for one in inside if isinstance(one, keras.layers.BatchNormalization)}
    return list(found.values())
