"""Location-sensitive attention (Chorowski et al. 2015, arXiv:1506.07503, section 2.2), as Tacotron 2 uses it.

The energies know where attention was: filters over the previous and the cumulative weights (Shen et al. 2018,
arXiv:1712.05884, section 2.2).

Shapes: B batch, T_text symbols, D width of the memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts.interfaces import Attention, AttentionMemory, AttentionState, EnergyGradient, EnergyReverse, EnergyTape
from tts.layers import windows, windows_gradient
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

    @property
    def energy_vector(self) -> Tensor:
        """(dim,), sharpened in evaluation."""
        vector = self.energy.weight[0]
        return vector if self.training else vector * self.sharpness

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
            location = heard @ self._filter().t()  # (B, T_text, dim)
            summed = self.query(query.float())[:, None] + prepared.keys + location
            energies = torch.tanh(summed) @ self.energy_vector  # (B, T_text)
            weights = torch.softmax(energies.masked_fill(~prepared.mask, -torch.inf), dim=1)
            context = torch.bmm(weights[:, None], prepared.memory)[:, 0]
            return AttentionState(weights, state.cumulative + weights, context)

    def _filter(self) -> Tensor:
        """(dim, 2 * kernel_size): convolution and dense layer are both linear, so their product is one filter."""
        return self.location.weight @ self.location_conv.weight.flatten(1)

    def leaves(self, prepared: AttentionMemory) -> tuple[Tensor, ...]:
        """Keys, query projection, filter and energy vector."""
        with torch.autocast(prepared.keys.device.type, enabled=False):
            return prepared.keys, self.query.weight, self._filter(), self.energy_vector

    def tape(self, leaves: tuple[Tensor, ...], n_steps: int, shape: torch.Size) -> EnergyTape:
        """For so many steps of teacher forcing. shape: that of the keys."""
        return _Tape(leaves, n_steps, self.reach)


class _Tape(EnergyTape):
    """Keeps tanh(query + key + location), and the weights that the filter saw, of all steps."""

    def __init__(self, leaves: tuple[Tensor, ...], n_steps: int, reach: int):
        self.leaves = leaves
        keys = leaves[0]
        self.reach = reach
        self.summed = keys.new_empty(n_steps, *keys.shape)  # (n_steps, B, T_text, dim)
        self.seen = keys.new_zeros(n_steps, len(keys), 2, keys.shape[1] + 2 * reach)  # zeros beyond the ends
        self.kept = (self.summed, self.seen)

    def step(self, t: int, query: Tensor, weights: Tensor, cumulative: Tensor) -> Tensor:
        """(B, T_text) energies."""
        keys, to_query, location, energy = self.leaves
        slot = min(t, len(self.summed) - 1)
        seen, summed = self.seen[slot], self.summed[slot]
        inside = seen[:, :, self.reach : self.reach + keys.shape[1]]
        inside[:, 0], inside[:, 1] = weights, cumulative
        torch.add(keys, (query @ to_query.t())[:, None], out=summed)
        summed.flatten(0, 1).addmm_(self.heard(slot), location.t())
        return summed.tanh_() @ energy

    def heard(self, t: int) -> Tensor:
        """(B * T_text, 2 * kernel_size): what the filter saw at every symbol."""
        return self.seen[t].unfold(2, 2 * self.reach + 1, 1).transpose(1, 2).flatten(0, 1).flatten(1)

    def reverse(self) -> EnergyReverse:
        """The way back."""
        return _Reverse(self)


class _Reverse(EnergyReverse):
    """Gradients, summed from the last step to the first."""

    def __init__(self, tape: _Tape):
        keys, to_query, _, _ = tape.leaves
        self.tape = tape
        self.sums = tuple(torch.zeros_like(leaf) for leaf in tape.leaves)
        self.d_projected = keys.new_empty(len(tape.summed), len(keys), len(to_query))  # (n_steps, B, dim)

    def step(self, t: int, d_energies: Tensor) -> EnergyGradient:
        """d_energies: (B, T_text), zero where padded."""
        _, to_query, location, energy = self.tape.leaves
        d_keys, _, d_location, d_energy = self.sums
        summed = self.tape.summed[t]
        d_energy.addmv_(summed.flatten(0, 1).t(), d_energies.flatten())
        d_summed = torch.ops.aten.tanh_backward(d_energies[:, :, None] * energy, summed)
        d_keys += d_summed
        d_query = torch.sum(d_summed, dim=1, out=self.d_projected[t])
        flat = d_summed.flatten(0, 1)
        d_location.addmm_(flat.t(), self.tape.heard(t))
        d_heard = (flat @ location).view(*d_energies.shape, 2, -1).transpose(1, 2)
        d_weights, d_cumulative = windows_gradient(d_heard, self.tape.reach, self.tape.reach).unbind(1)
        return EnergyGradient(d_query @ to_query, d_weights, d_cumulative)

    def finish(self, queries: Tensor) -> None:
        """queries: (n_steps, B, query_dim)."""
        self.sums[1].addmm_(self.d_projected.flatten(0, 1).t(), queries.flatten(0, 1))


def build(cfg: Config, *, query_dim: int, memory_dim: int) -> Attention:
    """The attention; sizes come from the model it serves."""
    return LocationSensitiveAttention(cfg, query_dim=query_dim, memory_dim=memory_dim)
