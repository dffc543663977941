"""Exponential moving average of weights (Polyak & Juditsky 1992), the weights that validate and speak."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Averages everything that floats in a model's state, batch statistics included; copies the rest."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def to(self, device: torch.device) -> None:
        """Follow the model to its device."""
        self.average = {name: value.to(device) for name, value in self.average.items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the model's weights. Young averages move faster, or they would remember the start."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        state = model.state_dict()
        floating = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in floating], [state[n] for n in floating], 1 - decay)
        for name, value in state.items():
            if not value.is_floating_point():
                self.average[name].copy_(value)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model with averaged weights; its own come back afterwards, to the bit."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.average)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state(self) -> dict[str, object]:
        """For the training state."""
        return {"updates": self.updates, "average": self.average}

    def load(self, updates: int, average: Mapping[str, Tensor]) -> None:
        """Continue from a training state."""
        self.updates = updates
        for name, value in average.items():
            self.average[name].copy_(value)
