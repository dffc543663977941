"""Pronunciations of words that no dictionary has: g2p-en's network (Park & Kim 2019), a GRU encoder and decoder.

Its weights are read from the package without importing it: that would import all of NLTK, ask it to download data,
and take seconds.

Shapes: L letters, E width of an embedding, H width of a state.
"""

import functools
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import TextError
from tts.text.lexicon import load_cmudict
from tts.text.symbols import PHONES

Array = NDArray[np.float32]

_LONGEST_GUESS = 14  # letters; the network was made to stop after 20 phones
_MOST_PHONES = 20
_SHORTEST_PART = 4  # letters of a dictionary word that a long unknown word is split at
_LONGEST_WORD = 60  # letters; what is longer is no word, and cut in halves
_LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
# The network also knows an UW without stress, which CMUdict no longer has.
_OUTPUTS = ("<pad>", "<unk>", "<s>", "</s>", *sorted([*PHONES, "UW"]))


class _Cell(NamedTuple):
    """A GRU (Cho et al. 2014, arXiv:1406.1078); rows are the gates r, z and n one after the other."""

    of_input: Array  # (symbols, 3H) the input's share for every symbol: embedding times weight, plus bias
    of_state: Array  # (H, 3H)
    bias: Array  # (3H,) of the state's share

    def step(self, symbol: int, state: Array) -> Array:
        """state: (H,) -> (H,)."""
        width = len(state)
        mine, given = state @ self.of_state + self.bias, self.of_input[symbol]
        r, z = np.split(1 / (1 + np.exp(-(given[: 2 * width] + mine[: 2 * width]))), 2)
        n = np.tanh(given[2 * width :] + r * mine[2 * width :])
        return np.asarray((1 - z) * n + z * state)


class _Network(NamedTuple):
    encoder: _Cell
    decoder: _Cell
    out: Array  # (H, outputs)
    out_bias: Array  # (outputs,)


@functools.lru_cache(maxsize=1)
def _load() -> _Network:
    spec = find_spec("g2p_en")
    if spec is None or spec.origin is None:
        raise TextError("words that no dictionary has need the package g2p-en: pip install g2p-en")
    with np.load(Path(spec.origin).with_name("checkpoint20.npz")) as stored:
        arrays: dict[str, Array] = {name: stored[name].astype(np.float32) for name in stored.files}
    assert arrays["fc_b"].shape == (len(_OUTPUTS),), "the network's outputs are these phones"

    def cell(name: str) -> _Cell:
        of_input = arrays[f"{name}_emb"] @ arrays[f"{name}_w_ih"].T + arrays[f"{name}_b_ih"]
        return _Cell(of_input, np.ascontiguousarray(arrays[f"{name}_w_hh"].T), arrays[f"{name}_b_hh"])

    return _Network(cell("enc"), cell("dec"), np.ascontiguousarray(arrays["fc_w"].T), arrays["fc_b"])


def _run_network(letters: str) -> list[str]:
    """The phones that the network says for lower-case letters, at most `_MOST_PHONES`."""
    network = _load()
    state: Array = np.zeros(len(network.encoder.of_state), dtype=np.float32)
    for letter in (*letters, "</s>"):
        state = network.encoder.step(_LETTERS.index(letter if letter in _LETTERS else "<unk>"), state)
    said, end = _OUTPUTS.index("<s>"), _OUTPUTS.index("</s>")
    phones: list[str] = []
    for _ in range(_MOST_PHONES):
        state = network.decoder.step(said, state)
        said = int(np.argmax(state @ network.out + network.out_bias))
        if said == end:
            break
        phones.append({"UW": "UW0"}.get(_OUTPUTS[said], _OUTPUTS[said]))
    return phones


@functools.lru_cache(maxsize=1 << 16)
def guess(letters: str) -> tuple[str, ...]:
    """What the network says for lower-case letters; long words are split, so that nothing is cut off."""
    known = load_cmudict()
    if letters in known:  # a part of a long word
        return tuple(known[letters].split())
    if len(letters) <= _LONGEST_GUESS:
        phones = _run_network(letters)
        if len(phones) < _MOST_PHONES or len(letters) < 2 * _SHORTEST_PART:
            return tuple(phone for phone in phones if phone in PHONES)
    if len(letters) > _LONGEST_WORD:
        middle = _syllable_boundary(letters)
        return guess(letters[:middle]) + guess(letters[middle:])
    ends = range(len(letters) - _SHORTEST_PART, _SHORTEST_PART - 1, -1)
    # Longest known beginning or end first: "roominghouse" is "rooming" and "house".
    for length in ends:
        if letters[:length] in known:
            return (*known[letters[:length]].split(), *guess(letters[length:]))
        if letters[-length:] in known:
            return (*guess(letters[:-length]), *known[letters[-length:]].split())
    middle = _syllable_boundary(letters)
    return guess(letters[:middle]) + guess(letters[middle:])


def _syllable_boundary(letters: str) -> int:
    """The place nearest to the middle between a vowel and a consonant that begins a syllable; else the middle."""
    middle = len(letters) // 2
    places = [match.start() + 1 for match in re.finditer(r"[aeiouy](?=[^aeiouy][aeiouy])", letters)]
    places += [match.start() + 2 for match in re.finditer(r"[aeiouy][^aeiouy](?=[^aeiouy][aeiouy])", letters)]
    inner = [place for place in places if 3 <= place <= len(letters) - 3]
    return min(inner, key=lambda place: abs(place - middle), default=middle)
