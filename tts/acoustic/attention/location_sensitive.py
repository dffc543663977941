"""Location-sensitive attention (Chorowski et al. 2015, arXiv:1506.07503, section 2.2), as Tacotron 2 uses it.

The energies know where attention was: filters over the previous and the cumulative weights (Shen et al. 2018,
arXiv:1712.05884, section 2.2).

Shapes: B batch, T_text symbols, D width of the memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts.interfaces import Attention, AttentionMemory, AttentionState
from tts.layers import windows
from tts.settings import require


@dataclass
class Config:
    """The defaults are those of Tacotron 2."""

    name: str = "location_sensitive"
    dim: int = 128  # width in which query, key and location are added
    n_filters: int = 32
    kernel_size: int = 31  # symbols a location filter spans

    def __post_init__(self) -> None:
        require(self.name == "location_sensitive", f"attention {self.name!r} has a configuration of its own")
        require(self.dim >= 1 and self.n_filters >= 1, "attention dim and n_filters must be at least 1")
        require(self.kernel_size % 2 == 1, f"attention kernel_size {self.kernel_size} must be odd, to be centred")


class LocationSensitiveAttention(Attention):
    """energy = v . tanh(query + key + location)."""

    def __init__(self, cfg: Config, *, query_dim: int, memory_dim: int):
        super().__init__()
        self.query = nn.Linear(query_dim, cfg.dim, bias=False)
        self.key = nn.Linear(memory_dim, cfg.dim, bias=False)
        self.location_conv = nn.Conv1d(2, cfg.n_filters, cfg.kernel_size, bias=False)
        self.location = nn.Linear(cfg.n_filters, cfg.dim, bias=False)
        self.energy = nn.Linear(cfg.dim, 1, bias=False)
        self.reach = (cfg.kernel_size - 1) // 2

    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """memory: (B, T_text, D), zero where padded; mask: (B, T_text) bool."""
        with torch.autocast(memory.device.type, enabled=False):
            memory = memory.float()
            return AttentionMemory(memory, self.key(memory), mask)

    def start(self, prepared: AttentionMemory) -> AttentionState:
        """Nothing has been attended."""
        nowhere = prepared.memory.new_zeros(prepared.mask.shape)
        return AttentionState(nowhere, nowhere, prepared.memory.new_zeros(prepared.memory[:, 0].shape))

    def step(self, query: Tensor, state: AttentionState, prepared: AttentionMemory) -> AttentionState:
        """One step. query: (B, query_dim)."""
        with torch.autocast(query.device.type, enabled=False):
            heard = windows(torch.stack([state.weights, state.cumulative], dim=1), self.reach, self.reach)
            heard = heard.transpose(1, 2).flatten(2)  # (B, T_text, 2 * kernel_size)
            # Convolution and dense layer are both linear: their product is one filter, applied once.
            location = heard @ (self.location.weight @ self.location_conv.weight.flatten(1)).t()  # (B, T_text, dim)
            summed = self.query(query.float())[:, None] + prepared.keys + location
            energies = torch.tanh(summed) @ self.energy.weight[0]  # (B, T_text)
            weights = torch.softmax(energies.masked_fill(~prepared.mask, -torch.inf), dim=1)
            context = torch.bmm(weights[:, None], prepared.memory)[:, 0]
            return AttentionState(weights, state.cumulative + weights, context)


def build(cfg: Config, *, query_dim: int, memory_dim: int) -> Attention:
    """The attention; sizes come from the model it serves."""
    return LocationSensitiveAttention(cfg, query_dim=query_dim, memory_dim=memory_dim)
