"""Teacher forcing one step after the other under autograd: what the fast loops are held against."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from tts.acoustic import tacotron2
from tts.acoustic._recurrence import ZoneoutLSTM, attend_steps


def lstm_steps(lstm: ZoneoutLSTM, x: Tensor) -> Tensor:
    """As `ZoneoutLSTM.forward`: (T, B, in_dim) -> (T, B, H)."""
    projected, state, keep = lstm.inputs(x), lstm.start(x[0]), lstm.keep(len(x), x[0])
    hidden = []
    for t in range(len(x)):
        state = lstm.step(projected[t], state.hidden, state, None if keep is None else keep[t])
        hidden.append(state.hidden)
    return torch.stack(hidden)


@contextmanager
def plain_loops() -> Iterator[None]:
    """Inside, Tacotron 2 trains by `step` after `step`."""
    with patch.object(tacotron2, "attention_loop", attend_steps), patch.object(ZoneoutLSTM, "forward", lstm_steps):
        yield
