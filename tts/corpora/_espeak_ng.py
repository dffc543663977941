"""espeak-ng as a speaker of ARPAbet phones, with the exact times at which it spoke them.

Bound through ctypes to the library in the wheel `espeakng-loader` (GPL, an optional extra; imported when used, only).
Phones go in as espeak's own mnemonics in `[[...]]`, so that its dictionary has no say; phoneme events come out, whose
position is exact to the sample.
"""

import ctypes
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.batch import PhoneTime
from tts.errors import DataError

INSTALL_HINT = "pip install 'tts[demo]' (it brings espeakng-loader)"

# espeak's speak_lib.h
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_DONT_EXIT = 0x0001, 0x8000
_RATE, _PITCH = 1, 3
_CHARACTERS_UTF8, _PHONEMES_IN_BRACKETS = 0x1, 0x100
_POSITION_CHARACTER = 1
_LIST_ENDS, _PHONEME = 0, 7
# espeak keeps the path of its data in 160 bytes, and adds to it.
_LONGEST_DATA_PATH = 120

_STRESS_MARKS = {"0": "", "1": "'", "2": ","}
_CONSONANTS = {
    **{"B": "b", "CH": "tS", "D": "d", "DH": "D", "F": "f", "G": "g", "HH": "h", "JH": "dZ", "K": "k", "L": "l"},
    **{"M": "m", "N": "n", "NG": "N", "P": "p", "R": "r", "S": "s", "SH": "S", "T": "t", "TH": "T", "V": "v"},
    **{"W": "w", "Y": "j", "Z": "z", "ZH": "Z"},
}
_VOWELS = {
    **{"AA": "A:", "AE": "a", "AH": "V", "AO": "O:", "AW": "aU", "AY": "aI", "EH": "E", "ER": "3:", "EY": "eI"},
    **{"IH": "I", "IY": "i:", "OW": "oU", "OY": "OI", "UH": "U", "UW": "u:"},
}
_UNSTRESSED = {"AH": "@", "ER": "3", "IY": "i"}  # where espeak has a vowel of its own for the weak syllable
_VOWEL_MNEMONICS = {*_VOWELS.values(), *_UNSTRESSED.values()}
# Glides that espeak inserts between a vowel and the next; they sound like the end of the first.
_LINKS = {"r-", "r", ";"}
# espeak reports a vowel after one of these only when the vowel's start has been spoken (synthesize.c, `Generate`):
# against the audio its event is late by 12 (R) to 24 ms (M) in the median, and by this much on average.
_SONORANTS = {"m", "n", "N", "l", "w", "j", *_LINKS}
_VOWEL_START = 0.018  # seconds


class PhonemeEvent(NamedTuple):
    """A phoneme as espeak reports it."""

    mnemonic: str  # without stress; `_` and what begins with it are pauses
    sample: int  # where it begins


class Speech(NamedTuple):
    """What espeak said."""

    wave: NDArray[np.int16]  # (T_wave,)
    events: tuple[PhonemeEvent, ...]


def mnemonic(phone: str) -> str:
    """espeak's en-us mnemonic of an ARPAbet phone, with its stress mark: `OW1` -> `'oU`."""
    if phone in _CONSONANTS:
        return _CONSONANTS[phone]
    vowel, stress = phone[:-1], phone[-1:]
    if vowel not in _VOWELS or stress not in _STRESS_MARKS:
        raise DataError(f"espeak-ng cannot speak {phone!r}: not an ARPAbet phone with stress")
    weak = _UNSTRESSED.get(vowel) if stress == "0" else None
    return _STRESS_MARKS[stress] + (weak or _VOWELS[vowel])


def is_phone(symbol: str) -> bool:
    """Whether a symbol of the text frontend is a phone, rather than a boundary or punctuation."""
    return symbol[:1].isalpha()


def phoneme_text(symbols: Sequence[str]) -> str:
    """Symbols of the text frontend as espeak's input: `[[h|@|l|'oU]], [[w|'3:|l|d]].`

    The bars keep neighbours apart that would spell another mnemonic together (`t|S` in "nutshell").
    """
    clauses = [[""]]  # words of each clause
    marks = []
    for symbol in symbols:
        if is_phone(symbol):
            clauses[-1][-1] += mnemonic(symbol) + "|"
        elif symbol == " ":
            clauses[-1].append("")
        elif symbol in ",.?!;:":
            marks.append(symbol)
            clauses.append([""])
    spoken = [" ".join(word.rstrip("|") for word in words if word) for words in clauses]
    return " ".join(f"[[{words}]]{mark}" for words, mark in zip(spoken, [*marks, "."], strict=True) if words)


def phone_times(symbols: Sequence[str], speech: Speech, sample_rate: int) -> tuple[PhoneTime, ...] | None:
    """When each phone of the symbols was spoken; None if espeak spoke another number of phonemes.

    A phone begins at its event; with two exceptions inside a clause. A stop begins at its closure, which is the run of
    digital silence that espeak sets before it (before some fricatives, too). A vowel after a nasal, liquid or glide
    begins _VOWEL_START earlier, but not before the middle of that. A phone ends where the next begins. A glide that
    espeak inserts counts to the vowel before it. A final L or R that espeak blends into the vowel before it has no
    duration: start equals end.
    """
    phones = [symbol for symbol in symbols if is_phone(symbol)]
    starts: list[int] = []
    ends: list[int] = []  # one behind starts while a phone lasts
    previous: PhonemeEvent | None = None  # within the clause
    for event in speech.events:
        if event.mnemonic.startswith("_"):
            ends += [event.sample] * (len(starts) - len(ends))
            previous = None
            continue
        if not _is_link(event.mnemonic, phones, len(starts)):
            start = event.sample if previous is None else _start(event, previous, starts[-1], speech.wave, sample_rate)
            ends += [start] * (len(starts) - len(ends))
            starts.append(start)
        previous = event
    if len(starts) != len(phones) or len(ends) != len(starts):
        return None
    return tuple(
        PhoneTime(phone, start / sample_rate, end / sample_rate)
        for phone, start, end in zip(phones, starts, ends, strict=True)
    )


def _start(
    event: PhonemeEvent, previous: PhonemeEvent, earliest: int, wave: NDArray[np.int16], sample_rate: int
) -> int:
    """The sample at which a phoneme begins that follows another in its clause; `earliest` is where that one began."""
    if previous.mnemonic in _SONORANTS and event.mnemonic in _VOWEL_MNEMONICS:
        return event.sample - min(round(_VOWEL_START * sample_rate), (event.sample - earliest) // 2)
    sounding = np.flatnonzero(wave[earliest : event.sample])
    return earliest + int(sounding[-1]) + 1 if len(sounding) else event.sample


def _is_link(spoken: str, phones: list[str], n_spoken: int) -> bool:
    """Whether a phoneme is a glide that espeak inserted before `phones[n_spoken]`."""
    return spoken in _LINKS and n_spoken > 0 and phones[n_spoken : n_spoken + 1] not in (["R"], ["Y"])


class _EventId(ctypes.Union):
    """`espeak_EVENT.id`."""

    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class EspeakNG:
    """The library, initialised with a voice; `open_espeak` makes one. It is one per process: another resets it."""

    def __init__(self, voice: str, folder: Path):
        try:
            import espeakng_loader
        except ImportError:
            raise DataError(f"the demo corpus is spoken by espeak-ng, which is not installed: {INSTALL_HINT}") from None
        try:
            self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise DataError(f"espeak-ng does not load ({error}); reinstall it: {INSTALL_HINT}") from None
        data_path = _short_path(Path(espeakng_loader.get_data_path()), folder)
        self.sample_rate = _initialize(self.library, data_path)
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DataError(f"espeak-ng has no voice {voice!r}; try data.voice=en-us")
        self._waves: list[NDArray[np.int16]] = []
        self._events: list[PhonemeEvent] = []
        self._callback = _Callback(self._collect)  # kept: the library holds only its address
        self.library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, *, words_per_minute: int, pitch: int) -> Speech:
        """Say a text in which phonemes may stand in `[[...]]`.

        Args:
            text: UTF-8.
            words_per_minute: 80 to 450.
            pitch: 0 to 99.
        """
        self._waves, self._events = [], []
        self.library.espeak_SetParameter(_RATE, words_per_minute, 0)
        self.library.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode()
        flags = _CHARACTERS_UTF8 | _PHONEMES_IN_BRACKETS
        size = ctypes.c_size_t(len(data) + 1)
        failed = self.library.espeak_Synth(data, size, 0, _POSITION_CHARACTER, 0, flags, None, None)
        if failed or not self._waves:
            raise DataError(f"espeak-ng could not speak {text!r} (error {failed}); reinstall it: {INSTALL_HINT}")
        return Speech(np.concatenate(self._waves), tuple(self._events))

    def _collect(
        self, wave: "ctypes._Pointer[ctypes.c_short]", n_samples: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        """Take what the library has said so far; 0 lets it go on."""
        if wave and n_samples > 0:
            self._waves.append(np.ctypeslib.as_array(wave, (n_samples,)).astype(np.int16))
        i = 0
        while events[i].type != _LIST_ENDS:
            if events[i].type == _PHONEME:
                name = bytes(events[i].id.string).decode(errors="replace").lstrip("',")
                self._events.append(PhonemeEvent(name, events[i].sample))
            i += 1
        return 0


@contextmanager
def open_espeak(voice: str) -> Iterator[EspeakNG]:
    """espeak-ng with one of its voices, e.g. `en-us` or `en-us+f3`."""
    # The library opens files of its data as it needs them, so a short path to them must last as long as it is used.
    with tempfile.TemporaryDirectory() as folder:
        yield EspeakNG(voice, Path(folder))


def _initialize(library: ctypes.CDLL, data_path: Path) -> int:
    """Start the library; returns its sample rate in Hz."""
    flags = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
    sample_rate = int(library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, str(data_path).encode(), flags))
    if sample_rate <= 0:
        raise DataError(f"espeak-ng does not start with its data in {data_path}; reinstall it: {INSTALL_HINT}")
    return sample_rate


def _short_path(data_path: Path, folder: Path) -> Path:
    """A path of the data that espeak can hold: its own, or a link to it in `folder`."""
    if len(str(data_path).encode()) <= _LONGEST_DATA_PATH:
        return data_path
    link = folder / "espeak-ng-data"
    link.symlink_to(data_path, target_is_directory=True)
    return link
