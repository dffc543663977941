"""Dynamic convolution attention (Battenberg et al. 2020, arXiv:1910.10288, section 2.3).

Purely location-relative: the energies see the previous weights through fixed filters, through filters made from the
query, and through a prior that lets attention stay or move a few symbols ahead. The text's content plays no part, so
nothing can draw attention to a distant place, and texts far longer than those of training are read through.

Shapes: B batch, T_text symbols, D width of the memory.
"""

from dataclasses import dataclass
from math import exp, lgamma

import torch
from torch import Tensor, nn

from tts.interfaces import Attention, AttentionMemory, AttentionState
from tts.layers import windows
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
            energies = torch.tanh(static + dynamic) @ self.energy.weight[0]
            energies = energies + prior.clamp_min(self.prior_floor).log()
            weights = torch.softmax(energies.masked_fill(~prepared.mask, -torch.inf), dim=1)
            context = torch.bmm(weights[:, None], prepared.memory)[:, 0]
            return AttentionState(weights, state.cumulative + weights, context)


def build(cfg: Config, *, query_dim: int, memory_dim: int) -> Attention:
    """The attention; it needs no memory_dim, since it never compares the query with the text."""
    return DynamicConvolutionAttention(cfg, query_dim=query_dim)
