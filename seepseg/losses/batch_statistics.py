"""What the losses of one batch share, computed once, over valid pixels: probabilities, counts, means.

Where several processes share the batch, each has its own tiles here, and counts and means are those of them all.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from seepseg.base.distributed import all_sum
from seepseg.models.heads import Head

# Denominators stay above it, and bases of powers whose gradient diverges at 0.
EPSILON = 1e-7
# Arguments of logarithms stay above it; a softmax gives less only where logits differ by 69.
TINY = 1e-30


class Counts(NamedTuple):
    """Soft true positives, false positives and false negatives in pixels, all of one shape."""

    tp: Tensor
    fp: Tensor
    fn: Tensor

    def pooled(self) -> "Counts":
        """The sums over all classes, shape ()."""
        return Counts(self.tp.sum(), self.fp.sum(), self.fn.sum())


@dataclass(frozen=True)
class BatchStatistics:
    """The logits of a batch beside their target, and what is computed from both; made by `of_batch`.

    Attributes:
        logits: float32 (N, C, H, W), C = K + 1 for a softmax head, K for a sigmoid head.
        target: int64 (N, H, W), 0 = background, 1..K; 0 wherever `valid` is False.
        valid: bool (N, H, W), False for no-data.
        head: what the channels mean.
        weights: float32 (K + 1,), weight of each class, background first.
    """

    logits: Tensor
    target: Tensor
    valid: Tensor
    head: Head
    weights: Tensor

    @classmethod
    def of_batch(cls, logits: Tensor, target: Tensor, valid: Tensor, head: Head, weights: Tensor | None) -> Self:
        """Put logits beside their target, in float32 at least and with the target of no-data pixels blanked.

        Args:
            logits: (N, C, H, W), any float type; half precision is widened, since sums over pixels overflow it.
            target: integer (N, H, W), 0 = background, 1..K; any value where `valid` is False.
            valid: bool (N, H, W).
            head: what the channels mean.
            weights: (K + 1,), or None for equal weights.
        """
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        num_classes = logits.shape[1] + (head == "sigmoid")
        weights = logits.new_ones(num_classes) if weights is None else weights.to(logits)
        return cls(logits, target.where(valid, 0).long(), valid, head, weights)

    @cached_property
    def log_probs(self) -> Tensor:
        """Log-probabilities of a softmax head, background first: (N, K + 1, H, W)."""
        return F.log_softmax(self.logits, dim=1)

    @cached_property
    def probs(self) -> Tensor:
        """Probabilities of the foreground classes: (N, K, H, W)."""
        return self.log_probs[:, 1:].exp() if self.head == "softmax" else self.logits.sigmoid()

    @cached_property
    def is_class(self) -> Tensor:
        """Whether a pixel is of a foreground class: bool (N, K, H, W)."""
        classes = torch.arange(1, len(self.weights), device=self.target.device)
        return self.target[:, None] == classes[:, None, None]

    @cached_property
    def log_probs_of_target(self) -> Tensor:
        """Log-probability of the truth: (N, 1, H, W) of the class, or (N, K, H, W) of each yes or no."""
        if self.head == "softmax":
            return self._softmax_sums[0]
        return torch.where(self.is_class, *self.foreground_log_probs)

    @cached_property
    def foreground_log_probs(self) -> tuple[Tensor, Tensor]:
        """Log p and log(1 - p) of the foreground classes, each (N, K, H, W), precise at both ends.

        Under softmax, 1 - p above 1/2 is the sum of the other classes: taken from p itself it would lose its
        digits, and with them the gradient of a confident mistake. Only one class of a pixel can be there.
        """
        if self.head == "sigmoid":
            return F.logsigmoid(self.logits), F.logsigmoid(-self.logits)
        likely = self.probs > 0.5
        others = self.probs.masked_fill(likely, 0.0)
        rest = self.log_probs[:, :1].exp() + others.sum(1, keepdim=True)
        log_complement = torch.where(likely, rest.clamp(min=TINY).log(), torch.log1p(-others))
        return self.log_probs[:, 1:], log_complement

    @cached_property
    def counts(self) -> Counts:
        """Counts per foreground class over all valid pixels of the batch: (K,)."""
        if self.head == "softmax":
            log_probs_of_target, claimed_by_all, _ = self._softmax_sums
            hits, claimed = log_probs_of_target[:, 0].exp(), claimed_by_all[1:]
        else:
            hits = torch.where(self.is_class, self.probs, 0.0).sum(1)
            claimed = (self.probs * self._mask[:, None]).sum((0, 2, 3))
        tp, claimed = all_sum(torch.stack([self._sum_by_class(hits)[1:], claimed]))
        # Rounding can leave the first difference below zero where there is no false positive.
        return Counts(tp, (claimed - tp).clamp(min=0.0), self.class_sizes[1:] - tp)

    @cached_property
    def slick_probs(self) -> Tensor:
        """Probability of any class, 0 for no-data: (N, H, W).

        It is 1 - p(background); of a sigmoid head, whose classes need not exclude each other, 1 - prod_c (1 - p_c).
        """
        softmax = self.head == "softmax"
        background = self._softmax_sums[2][:, 0] if softmax else F.logsigmoid(-self.logits).sum(1).exp()
        return (1 - background) * self._mask

    @cached_property
    def binary_counts(self) -> Counts:
        """Counts of all classes as one against background, over all valid pixels of the batch: ()."""
        slick = self.slick_probs
        tp, claimed = all_sum(torch.stack([(slick * (self.target > 0)).sum((1, 2)).sum(), slick.sum((1, 2)).sum()]))
        return Counts(tp, (claimed - tp).clamp(min=0.0), self.class_sizes[1:].sum() - tp)

    @cached_property
    def class_sizes(self) -> Tensor:
        """Valid pixels of each class, background first: float (K + 1,)."""
        return all_sum(self._sum_by_class(self._mask))

    @cached_property
    def present(self) -> Tensor:
        """Whether the batch has a pixel of each foreground class: bool (K,)."""
        return self.class_sizes[1:] > 0

    @cached_property
    def pixel_weights(self) -> Tensor:
        """Weight of each pixel's class, 0 for no-data: (N, H, W)."""
        return self.weights[self.target] * self._mask

    def mean_over_pixels(self, values: Tensor) -> Tensor:
        """Mean of (N, H, W) over the valid pixels, weighted by their class; 0 where there are none."""
        sums = all_sum(torch.stack([(values * self.pixel_weights).sum(), self.pixel_weights.sum()]))
        return sums[0] / sums[1].clamp(min=EPSILON)

    def mean_over_classes(self, values: Tensor) -> Tensor:
        """Weighted mean of (K,) over the classes in the batch; 0, with a graph all the same, for none."""
        return weighted_mean(values, self.weights[1:] * self.present)

    @cached_property
    def _softmax_sums(self) -> tuple[Tensor, Tensor, Tensor]:
        sums: tuple[Tensor, Tensor, Tensor] = _SoftmaxSums.apply(self.logits, self.target, self._mask)  # type: ignore[no-untyped-call]
        return sums

    @cached_property
    def _mask(self) -> Tensor:
        return self.valid.to(self.logits.dtype)

    def _sum_by_class(self, values: Tensor) -> Tensor:
        """Sums of (N, H, W) over the pixels of each target class, background first: (K + 1,)."""
        return sum_by_class(values, self.target, len(self.weights))


class _SoftmaxSums(Function):
    """What cross-entropy and the overlap losses need of a softmax, in a third of the passes that autograd takes.

    Of logits z (N, C, H, W) with p = softmax(z), target t and mask m, the log-probability of the target,
    log p_t (N, 1, H, W), the sums of m p over all pixels (C,), and the probability of the background,
    p_0 (N, 1, H, W). With the gradients G of the first, g of the second and B of the third, that of z_k is
    p_k (m (g_k - sum_c g_c p_c) - G - B p_0), and G more where k = t, B p_0 more where k = 0.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_probs = F.log_softmax(logits, dim=1)
        log_probs_of_target = log_probs.gather(1, target[:, None])
        probs = log_probs.exp_()
        claimed = (probs.flatten(2) @ mask.flatten(1)[:, :, None]).sum((0, 2))
        ctx.save_for_backward(probs, target, mask)
        ctx.set_materialize_grads(False)  # most losses use two of the three
        return log_probs_of_target, claimed, probs[:, :1].clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_target: Tensor | None, of_claimed: Tensor | None, of_background: Tensor | None
    ) -> tuple[Tensor, None, None]:
        probs, target, mask = ctx.saved_tensors
        mask = mask[:, None]
        common = torch.zeros_like(mask)
        if of_target is not None:
            common = common - of_target
        if of_claimed is not None:
            common = common - mask * (of_claimed @ probs.flatten(2)).view_as(mask)  # sum_c g_c p_c, (N, 1, H, W)
        if of_background is not None:
            of_background = of_background * probs[:, :1]
            common = common - of_background
        if of_claimed is None:
            gradient = probs * common
        else:
            gradient = torch.addcmul(common, mask, of_claimed[:, None, None]).mul_(probs)
        if of_target is not None:
            gradient = add_at_target(gradient, target, of_target)
        if of_background is not None:
            gradient[:, :1] += of_background
        return gradient, None, None


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of `values`, 0 where all `weights` are 0; both of one shape."""
    return (values * weights).sum() / weights.sum().clamp(min=EPSILON)


def sum_by_class(values: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Sums of (N, H, W) over the pixels of each target class 0, 1, ...: (num_classes,)."""
    # On GPUs a deterministic scatter_add sorts all pixels, which takes milliseconds.
    if values.device.type != "cpu":
        return sum_by_class_by_comparison(values, target, num_classes)
    # Row by row first, because one long running sum of small numbers drifts in float32.
    rows = values.new_zeros(*values.shape[:2], num_classes)
    return rows.scatter_add(2, target, values).sum((0, 1))


def sum_by_class_by_comparison(values: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """What `sum_by_class` gives."""
    return (values[:, None] * _is_target(target, num_classes)).sum(3).sum((0, 2))


def add_at_target(channels: Tensor, target: Tensor, values: Tensor) -> Tensor:
    """Add (N, 1, H, W) to the channel of the target class, of (N, C, H, W), which may be changed in place."""
    # As in `sum_by_class`.
    if channels.device.type != "cpu":
        return add_at_target_by_comparison(channels, target, values)
    return channels.scatter_add_(1, target[:, None], values)


def add_at_target_by_comparison(channels: Tensor, target: Tensor, values: Tensor) -> Tensor:
    """What `add_at_target` gives."""
    return torch.where(_is_target(target, channels.shape[1]), channels + values, channels)


def _is_target(target: Tensor, num_classes: int) -> Tensor:
    """Whether a pixel is of a class, background first: bool (N, num_classes, H, W)."""
    return target[:, None] == torch.arange(num_classes, device=target.device)[:, None, None]
