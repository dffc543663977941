"""Dynamic convolution attention (Battenberg et al. 2020, arXiv:1910.10288, section 2.3).

Purely location-relative: the energies see the previous weights through fixed filters, through filters made from the
query, and through a prior that lets attention stay or move a few symbols ahead. The text's content plays no part, so
nothing can draw attention to a distant place, and texts far longer than those of training are read through.

Shapes: B batch, T_text symbols, D width of the memory.
"""

from dataclasses import dataclass
from math import exp, lgamma
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tts.interfaces import Attention, AttentionMemory, AttentionState, EnergyGradient, EnergyReverse, EnergyTape
from tts.layers import windows, windows_gradient
from tts.settings import require


@dataclass
class Config:
    """The defaults are the paper's (section 3.1)."""

    name: str = "dynamic_convolution"
    dim: int = 128
    n_static_filters: int = 8
    n_dynamic_filters: int = 8
    kernel_size: int = 21  # symbols a static or dynamic filter spans
    prior_length: int = 11  # symbols the prior spans: stay, or move up to prior_length - 1 ahead
    prior_alpha: float = 0.1  # of its beta-binomial distribution
    prior_beta: float = 0.9
    prior_floor: float = 1e-6  # smallest prior before the logarithm: what makes a jump unlikely, not impossible

    def __post_init__(self) -> None:
        require(self.name == "dynamic_convolution", f"attention {self.name!r} has a configuration of its own")
        require(self.dim >= 1, "attention dim must be at least 1")
        require(self.n_static_filters >= 1 and self.n_dynamic_filters >= 1, "at least one filter of each kind")
        require(self.kernel_size % 2 == 1, f"attention kernel_size {self.kernel_size} must be odd, to be centred")
        require(self.prior_length >= 2, "prior_length must be at least 2, or attention could not move")
        require(self.prior_alpha > 0 and self.prior_beta > 0, "prior_alpha and prior_beta must be positive")
        require(0 < self.prior_floor < 1, "prior_floor must lie between 0 and 1")


def beta_binomial(length: int, alpha: float, beta: float) -> Tensor:
    """(length,) probabilities of 0 .. length - 1 under the beta-binomial distribution of length - 1 trials."""

    def log_beta(a: float, b: float) -> float:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    n = length - 1
    choose = [lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in range(length)]
    return torch.tensor(
        [exp(choose[k] + log_beta(k + alpha, n - k + beta) - log_beta(alpha, beta)) for k in range(length)]
    )


class DynamicConvolutionAttention(Attention):
    """energy = v . tanh(static + dynamic) + log prior."""

    prior: Tensor  # (prior_length,), the probability of having come from 10, 9, .. 0 symbols before

    def __init__(self, cfg: Config, *, query_dim: int):
        super().__init__()
        self.static_filters = nn.Linear(cfg.kernel_size, cfg.n_static_filters, bias=False)
        self.static = nn.Linear(cfg.n_static_filters, cfg.dim, bias=False)
        self.query = nn.Linear(query_dim, cfg.dim)
        self.make_filters = nn.Linear(cfg.dim, cfg.n_dynamic_filters * cfg.kernel_size, bias=False)
        self.dynamic = nn.Linear(cfg.n_dynamic_filters, cfg.dim)
        self.energy = nn.Linear(cfg.dim, 1, bias=False)
        prior = beta_binomial(cfg.prior_length, cfg.prior_alpha, cfg.prior_beta).flip(0)
        self.register_buffer("prior", prior, persistent=False)
        self.prior_floor = cfg.prior_floor
        self.kernel_size = cfg.kernel_size

    @property
    def energy_vector(self) -> Tensor:
        """(dim,), sharpened in evaluation."""
        vector = self.energy.weight[0]
        return vector if self.training else vector * self.sharpness

    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """memory: (B, T_text, D), zero where padded; mask: (B, T_text) bool."""
        memory = memory.float()
        return AttentionMemory(memory, memory, mask)

    def start(self, prepared: AttentionMemory) -> AttentionState:
        """All attention is on the first symbol: a relative attention must begin somewhere."""
        nowhere = prepared.memory.new_zeros(prepared.mask.shape)
        first = nowhere.clone()
        first[:, 0] = 1
        return AttentionState(first, nowhere, prepared.memory.new_zeros(prepared.memory[:, 0].shape))

    def step(self, query: Tensor, state: AttentionState, prepared: AttentionMemory) -> AttentionState:
        """One step. query: (B, query_dim)."""
        with torch.autocast(query.device.type, enabled=False):
            reach = (self.kernel_size - 1) // 2
            heard = windows(state.weights, reach, reach)  # (B, T_text, kernel_size)
            static = self.static(self.static_filters(heard))  # (B, T_text, dim)
            filters = self.make_filters(torch.tanh(self.query(query.float())))
            filters = filters.view(len(query), self.kernel_size, -1)  # (B, kernel_size, n_dynamic_filters)
            dynamic = self.dynamic(torch.bmm(heard, filters))  # (B, T_text, dim)
            prior = windows(state.weights, len(self.prior) - 1, 0) @ self.prior  # (B, T_text)
            energies = torch.tanh(static + dynamic) @ self.energy_vector
            energies = energies + prior.clamp_min(self.prior_floor).log()
            weights = torch.softmax(energies.masked_fill(~prepared.mask, -torch.inf), dim=1)
            context = torch.bmm(weights[:, None], prepared.memory)[:, 0]
            return AttentionState(weights, state.cumulative + weights, context)

    def leaves(self, prepared: AttentionMemory) -> tuple[Tensor, ...]:
        """See `Leaves`."""
        with torch.autocast(prepared.memory.device.type, enabled=False):
            return Leaves(
                self.query.weight,
                self.query.bias,
                self.make_filters.weight,
                self.static_filters.weight.t().contiguous(),
                torch.cat([self.static.weight, self.dynamic.weight], dim=1),
                self.dynamic.bias,
                self.energy_vector,
            )

    def tape(self, leaves: tuple[Tensor, ...], n_steps: int, shape: torch.Size) -> EnergyTape:
        """For so many steps of teacher forcing. shape: (B, T_text)."""
        return _Tape(Leaves(*leaves), self.prior, self.prior_floor, n_steps, shape)


class Leaves(NamedTuple):
    """What the energies are made with."""

    to_query: Tensor  # (dim, query_dim)
    query_bias: Tensor  # (dim,)
    make_filters: Tensor  # (kernel_size * n_dynamic_filters, dim)
    static_filters: Tensor  # (kernel_size, n_static_filters)
    mix: Tensor  # (dim, n_static_filters + n_dynamic_filters)
    mix_bias: Tensor  # (dim,)
    energy: Tensor  # (dim,)


class _Tape(EnergyTape):
    """Keeps, of all steps: the weights before, tanh of the query, what the filters heard, tanh of their mix."""

    leaves: Leaves

    def __init__(self, leaves: Leaves, prior: Tensor, floor: float, n_steps: int, shape: torch.Size):
        """shape: (B, T_text)."""
        self.leaves, self.prior, self.floor = leaves, prior, floor
        kernel_size = len(leaves.static_filters)
        dim, n_filters = leaves.mix.shape
        self.reach = (kernel_size - 1) // 2
        self.weights = prior.new_empty(n_steps, *shape)
        self.asked = prior.new_empty(n_steps, shape[0], dim)
        self.filters = prior.new_empty(n_steps, shape[0], kernel_size, n_filters)  # fixed ones first
        self.mixed = prior.new_empty(n_steps, *shape, dim)
        self.kept = (self.weights, self.asked, self.filters, self.mixed)

    def step(self, t: int, query: Tensor, weights: Tensor, cumulative: Tensor) -> Tensor:
        """(B, T_text) energies."""
        leaves, slot = self.leaves, min(t, len(self.mixed) - 1)
        asked, filters, mixed = self.asked[slot], self.filters[slot], self.mixed[slot]
        self.weights[slot] = weights
        torch.addmm(leaves.query_bias, query, leaves.to_query.t(), out=asked).tanh_()
        n_static = leaves.static_filters.shape[1]
        filters[..., :n_static] = leaves.static_filters
        filters[..., n_static:] = (asked @ leaves.make_filters.t()).view(len(query), filters.shape[1], -1)
        heard = torch.bmm(windows(weights, self.reach, self.reach), filters)  # (B, T_text, n_filters)
        flat = mixed.view(-1, mixed.shape[2])
        torch.addmm(leaves.mix_bias, heard.flatten(0, 1), leaves.mix.t(), out=flat).tanh_()
        return (mixed @ leaves.energy).add_(self.prior_of(weights).clamp_min(self.floor).log_())

    def prior_of(self, weights: Tensor) -> Tensor:
        """(B, T_text) of the weights before."""
        return windows(weights, len(self.prior) - 1, 0) @ self.prior

    def reverse(self) -> EnergyReverse:
        """The way back."""
        return _Reverse(self)


class _Reverse(EnergyReverse):
    """Gradients, summed from the last step to the first."""

    sums: Leaves

    def __init__(self, tape: _Tape):
        self.tape = tape
        self.sums = Leaves(*(torch.zeros_like(leaf) for leaf in tape.leaves))
        self.d_asked = torch.empty_like(tape.asked)  # before the tanh
        self.d_made = tape.asked.new_empty(*tape.asked.shape[:2], len(tape.leaves.make_filters))

    def step(self, t: int, d_energies: Tensor) -> EnergyGradient:
        """d_energies: (B, T_text), zero where padded."""
        tape, leaves, sums = self.tape, self.tape.leaves, self.sums
        asked, filters, mixed, weights = tape.asked[t], tape.filters[t], tape.mixed[t], tape.weights[t]
        sums.energy.addmv_(mixed.flatten(0, 1).t(), d_energies.flatten())
        d_mixed = torch.ops.aten.tanh_backward(d_energies[:, :, None] * leaves.energy, mixed).flatten(0, 1)
        sums.mix_bias.add_(d_mixed.sum(dim=0))
        seen = windows(weights, tape.reach, tape.reach)
        sums.mix.addmm_(d_mixed.t(), torch.bmm(seen, filters).flatten(0, 1))
        d_heard = (d_mixed @ leaves.mix).view(*d_energies.shape, -1)  # (B, T_text, n_filters)
        d_filters = torch.bmm(seen.transpose(1, 2), d_heard)  # (B, kernel_size, n_filters)
        n_static = leaves.static_filters.shape[1]
        sums.static_filters.add_(d_filters[..., :n_static].sum(dim=0))
        self.d_made[t] = d_filters[..., n_static:].flatten(1)
        torch.ops.aten.tanh_backward.grad_input(self.d_made[t] @ leaves.make_filters, asked, grad_input=self.d_asked[t])
        d_weights = windows_gradient(torch.bmm(d_heard, filters.transpose(1, 2)), tape.reach, tape.reach)
        prior = tape.prior_of(weights)
        d_prior = (d_energies / prior).masked_fill_(prior <= tape.floor, 0)
        d_weights += windows_gradient(d_prior[:, :, None] * tape.prior, len(tape.prior) - 1, 0)
        return EnergyGradient(self.d_asked[t] @ leaves.to_query, d_weights, None)

    def finish(self, queries: Tensor) -> None:
        """queries: (n_steps, B, query_dim)."""
        d_asked, sums = self.d_asked.flatten(0, 1), self.sums
        sums.to_query.addmm_(d_asked.t(), queries.flatten(0, 1))
        sums.query_bias.add_(d_asked.sum(dim=0))
        sums.make_filters.addmm_(self.d_made.flatten(0, 1).t(), self.tape.asked.flatten(0, 1))


def build(cfg: Config, *, query_dim: int, memory_dim: int) -> Attention:
    """The attention; it needs no memory_dim, since it never compares the query with the text."""
    return DynamicConvolutionAttention(cfg, query_dim=query_dim)
