"""What a loss is: a block of parameters, and the value that it gives a batch, registered under a name."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal, Protocol, TypeVar

from annotated_types import Ge, Gt, Le
from torch import Tensor

from seepseg.base.registry import AnyType, OneOf, Registry
from seepseg.losses.batch_statistics import BatchStatistics

Reduction = Literal["per_class", "flattened"]
ClassWeights = Literal["none", "balanced", "sqrt_balanced"]

Share = Annotated[float, Ge(0.0), Le(1.0)]
Positive = Annotated[float, Gt(0.0)]
NotNegative = Annotated[float, Ge(0.0)]

Part = TypeVar("Part", bound="LossBlock")


class LossSection(Protocol):
    """The section `loss` of params.yaml (`LossParams`), as far as a loss may read it beside its own block."""

    @property
    def reduction(self) -> Reduction:
        """Of counts: one index per class, or one of all classes together."""

    @property
    def class_weights(self) -> ClassWeights:
        """What pixels weigh by their class, and classes in a per-class mean."""

    def __getitem__(self, kind: type[Part]) -> Part:
        """The block of another loss, by its class: `params[Dice]`, for losses that are made of others."""


class LossBlock(ABC):
    """A loss with its parameters. A subclass is a `param_block`, and each of its fields has a default."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """The loss of a batch, shape ().

        No-data pixels have no part in it and get no gradient, and without a valid pixel it is 0. Sums over pixels are
        those of all processes that share the batch: they come from `batch`, or through
        `seepseg.base.distributed.all_sum`.

        Args:
            batch: logits and target, with probabilities, counts and means.
            params: the whole section `loss`.
        """

    def weighting(self, params: LossSection) -> ClassWeights:
        """The kind of class weights that `batch.weights` are."""
        return params.class_weights


LOSSES: Registry[LossBlock] = Registry()
# They compare the classes with each other, which needs channels that exclude each other.
SOFTMAX_ONLY: set[str] = set()

LossName = Annotated[str, OneOf(LOSSES)]


def register_loss(name: str, *, softmax_only: bool = False) -> Callable[[AnyType], AnyType]:
    """Make a decorator that registers a `LossBlock`.

    Args:
        name: in params.yaml, of the loss and of its block.
        softmax_only: it has no meaning for a sigmoid head, whose classes need not exclude each other.
    """
    if softmax_only:
        SOFTMAX_ONLY.add(name)
    return LOSSES.register(name)
