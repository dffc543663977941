"""The processes that train together: which one this is, and what they agree on. Alone, everything is as it is.

Nothing here starts processes; where none were started there is one, of rank 0.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from tts.errors import TTSError

Result = TypeVar("Result")


def rank() -> int:
    """Of this process; the one of rank 0 writes and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


def n_ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def total(values: Tensor) -> Tensor:
    """The sums over all processes."""
    if n_ranks() == 1:
        return values
    summed = values.detach().clone()
    dist.all_reduce(summed)
    return summed


def largest(values: Tensor) -> Tensor:
    """The largest over all processes."""
    if n_ranks() == 1:
        return values
    found = values.detach().clone()
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return found


def share_of_mean(counts: Tensor) -> Tensor:
    """What to multiply this process's means by, so that the mean over processes is that over the whole batch.

    Gradients are averaged over processes, but a process with more frames must weigh more. counts: of what each mean is
    taken over here.
    """
    return counts * n_ranks() / total(counts)


def of_first(value: Result) -> Result:
    """What the process of rank 0 has; the others wait for it."""
    if n_ranks() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def of_all(value: Any) -> list[Any]:
    """What each process has, by rank."""
    if n_ranks() == 1:
        return [value]
    found: list[Any] = [None] * n_ranks()
    dist.all_gather_object(found, value)
    return found


def first_does(work: Callable[[], Result]) -> Result:
    """The process of rank 0 does it and all have the result; what it raises for the user ends the others quietly."""
    if n_ranks() == 1:
        return work()
    result, error = None, None
    if rank() == 0:
        try:
            result = work()
        except TTSError as raised:
            error = raised
    result, error = of_first((result, error))
    if error is not None:
        raise error if rank() == 0 else SystemExit(2)
    return result  # type: ignore[return-value] # there is one where there was no error


class Standardized(torch.autograd.Function):
    """Zero mean and unit variance over the rows of all processes, with its gradient through both.

    One exchange forwards (counts, means, deviations) and one backwards.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x: (n, C), at least one row. Returns it standardised, and the mean (C,), variance (C,) and n of all."""
        own = torch.cat([x.new_tensor([len(x)]), x.mean(0), x.var(0, correction=0)])
        table = own.new_zeros(n_ranks(), len(own))
        table[rank()] = own
        table = total(table)
        n, means, variances = table[:, :1], table[:, 1 : 1 + x.shape[1]], table[:, 1 + x.shape[1] :]
        n_all = n.sum()
        mean = (n * means).sum(0) / n_all
        variance = (n * (variances + (means - mean).square())).sum(0) / n_all
        scale = (variance + eps).rsqrt()
        made = (x - mean) * scale
        ctx.save_for_backward(made, scale, n_all)
        ctx.mark_non_differentiable(mean, variance, n_all)
        return made, mean, variance, n_all

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of x."""
        made, scale, n_all = ctx.saved_tensors
        gradient = gradients[0]
        along, across = total(torch.stack([gradient.sum(0), (gradient * made).sum(0)])) / n_all
        return scale * (gradient - along - made * across), None
