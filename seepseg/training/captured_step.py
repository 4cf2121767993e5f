"""Training steps as CUDA graphs: the host starts one graph a step instead of a thousand kernels, one by one.

All of a step is in the graph: input, crop, augmentation, network, loss, gradient, clipping, optimiser and the average
of the weights. What changes from step to step is copied into tensors that stay where they are: tiles, classes, random
numbers, learning rate and the average's share.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from seepseg.base.device import first_line
from seepseg.base.distributed import ProcessGroup
from seepseg.data.loading import Tiles
from seepseg.losses import Loss
from seepseg.training.augmentation import RandomSource
from seepseg.training.step import BatchMaker, EagerStep, Optimization, Step, StepInputs, StepResult

WARM_UP_STEPS = 3  # in which libraries choose kernels and take the memory that they keep


def make_step(optimization: Optimization, make_batch: BatchMaker, batch_size: int, group: ProcessGroup) -> Step:
    """What takes the steps of a training: captured ones on a single GPU, else eager ones.

    Args:
        optimization: model, optimiser and the rest.
        make_batch: of recorded tiles.
        batch_size: of all batches but the last of an epoch.
        group: the processes that train together.
    """
    eager = EagerStep(optimization, make_batch)
    # Several processes exchange messages within a step, and float16 changes the scale of its loss from step to step.
    if group.device.type != "cuda" or group.size > 1 or optimization.dtype is torch.float16:
        return eager
    return CapturedStep(eager, batch_size)


class CapturedStep:
    """Takes steps by replaying a CUDA graph of one; where a step can't be captured, by an eager one.

    There is a graph for each loss. A batch of another size, as the last of an epoch may be, is trained on by an eager
    step. The same run takes the same steps in the same way, also where it goes on from a checkpoint.

    Args:
        eager: takes steps that are not captured.
        batch_size: of the others.
    """

    def __init__(self, eager: EagerStep, batch_size: int) -> None:
        self.eager = eager
        self.batch_size = batch_size
        self._steps: dict[Loss, _Graph | EagerStep] = {}

    def __call__(self, inputs: StepInputs, loss: Loss) -> StepResult:
        """Take one step."""
        if len(inputs.classes) != self.batch_size:
            return self.eager(inputs, loss)
        if loss not in self._steps:
            graph = _Graph(self.eager, inputs, loss)
            cause = graph.capture()
            self._steps[loss] = graph if cause is None else self.eager
            if cause is not None:
                print(f"notice: steps can't be captured as a CUDA graph, and take longer: {cause}", file=sys.stderr)
                return self.eager(graph.inputs, loss)  # with the random numbers that were drawn for the graph
            return graph.replay()
        step = self._steps[loss]
        if isinstance(step, EagerStep):
            return step(inputs, loss)
        step.fill(inputs)
        return step.replay()


class _Graph:
    """The graph of one step, and the tensors that it reads.

    Args:
        eager: what to capture.
        inputs: of the first step.
        loss: what is minimised.
    """

    def __init__(self, eager: EagerStep, inputs: StepInputs, loss: Loss) -> None:
        self.optimization, self.make_batch, self.loss = eager.optimization, eager.make_batch, loss
        device = self.optimization.device
        self.random = FixedRandom(inputs.random, device)
        self.inputs = StepInputs(Tiles(*(t.clone() for t in inputs.tiles)), inputs.classes.to(device), self.random)
        self.lr, self.new_share = torch.zeros(2, device=device).unbind()
        self.result: StepResult | None = None
        self.graph = torch.cuda.CUDAGraph()

    def fill(self, inputs: StepInputs) -> None:
        """Take what the next step trains on."""
        for fixed, tensor in zip(self.inputs.tiles, inputs.tiles, strict=True):
            fixed.copy_(tensor)
        _refill(self.inputs.classes, inputs.classes)
        self.random.draw_anew(inputs.random)

    def replay(self) -> StepResult:
        """Take the step."""
        assert self.result is not None, "it is captured"
        o = self.optimization
        self.lr.fill_(o.schedule.get_last_lr()[0])
        self.new_share.fill_(1 - o.average.kept_share(o.schedule.last_epoch))
        self.graph.replay()
        o.schedule.step()
        o.average.n_averaged += 1  # on the CPU
        return self.result._replace(loss=self.result.loss.clone())

    def capture(self) -> str | None:
        """Capture the step, which changes nothing; where that fails, say why."""
        o = self.optimization
        stream = torch.cuda.Stream(o.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(o.device))
        with torch.cuda.stream(stream), _rate_on_device(o, self.lr):
            cause = _failure_of(self._warm_up)
            if cause is None:
                # Another thread may copy tiles meanwhile.
                self.graph.capture_begin(capture_error_mode="thread_local")
                cause = _failure_of(self._run)
                ended = _failure_of(self.graph.capture_end)
                cause = cause or ended
        torch.cuda.current_stream(o.device).wait_stream(stream)
        self.random.rewind()  # for an eager step in place of the graph
        return cause

    def _warm_up(self) -> None:
        """Take steps, and undo them; fail where one makes the host wait, which a graph can't."""
        o = self.optimization
        before = {tensor: tensor.clone() for tensor in _changing(o)}
        try:
            for _ in range(WARM_UP_STEPS):
                self._run()
            torch.cuda.set_sync_debug_mode("error")
            self._run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
            with torch.no_grad():
                for tensor in _changing(o):
                    if tensor in before:
                        tensor.copy_(before[tensor])
                    else:  # the optimiser's, made in its first step
                        tensor.zero_()

    def _run(self) -> None:
        o = self.optimization
        self.random.rewind()
        batch = self.make_batch(self.inputs.tiles.to_batch(), self.inputs.classes, self.random)
        logits, value = o.update_weights(batch, self.loss)
        o.average.update_on_device(o.network, self.new_share)
        self.result = StepResult(value, logits, batch)


class FixedRandom:
    """Random numbers in tensors that stay where they are, drawn anew for each batch, in the order of the first.

    Args:
        first: the numbers of the first batch.
        device: where the tensors are.
    """

    def __init__(self, first: RandomSource, device: torch.device) -> None:
        self._source = first
        self._device = device
        self._drawn: list[tuple[str, tuple[int, ...], Tensor]] = []
        self._next = 0

    def uniform(self, *shape: int) -> Tensor:
        """See `RandomSource`."""
        return self._give("uniform", shape)

    def normal(self, *shape: int) -> Tensor:
        """See `RandomSource`."""
        return self._give("normal", shape)

    def rewind(self) -> None:
        """Give the same numbers again, from the first."""
        self._next = 0

    def draw_anew(self, source: RandomSource) -> None:
        """Take the numbers of another batch."""
        for kind, shape, tensor in self._drawn:
            _refill(tensor, getattr(source, kind)(*shape))

    def _give(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        if self._next == len(self._drawn):
            self._drawn.append((kind, shape, getattr(self._source, kind)(*shape).to(self._device)))
        self._next += 1
        return self._drawn[self._next - 1][2]


def _refill(fixed: Tensor, values: Tensor) -> None:
    """Copy values of the CPU into a tensor that stays where it is, without waiting for a GPU."""
    fixed.copy_(values.pin_memory() if fixed.is_cuda else values, non_blocking=True)


def _changing(optimization: Optimization) -> Iterator[Tensor]:
    """All tensors that a step changes."""
    for module in (optimization.network, optimization.average):
        yield from module.parameters()
        yield from module.buffers()
    for state in optimization.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


@contextmanager
def _rate_on_device(optimization: Optimization, lr: Tensor) -> Iterator[None]:
    """Let the optimiser read its learning rate from a tensor, as a graph needs it; its schedule keeps to numbers."""
    groups = optimization.optimizer.param_groups
    before = [(group["lr"], group["capturable"]) for group in groups]
    for group in groups:
        group["lr"], group["capturable"] = lr, True
    try:
        yield
    finally:
        for group, (rate, capturable) in zip(groups, before, strict=True):
            group["lr"], group["capturable"] = rate, capturable


def _failure_of(action: Callable[[], None]) -> str | None:
    """Do something; where it fails, the first line of what it says.

    Raises:
        torch.OutOfMemoryError: memory is full, which nothing here mends.
    """
    try:
        action()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        return first_line(error)
    return None
