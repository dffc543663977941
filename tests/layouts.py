"""Published corpora at a toy size, laid out as their archives unpack, with what each of them is known to lack."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from tests.toy import WORDS
from tts.audio.backend import load_torchaudio
from tts.corpora._metadata import read_metadata

REAL = Path(__file__).parents[2] / "shared" / "data"
NO_REAL = "no real speech of two speakers at ../shared/data"
VOICES = ("ljspeech-350", "kathleen")


class Said(NamedTuple):
    """A clip to lay out."""

    text: str
    wave: np.ndarray  # (T_wave,) float32
    sample_rate: int


def real_is_there() -> bool:
    return all((REAL / name / "metadata.csv").is_file() for name in VOICES)


def real(name: str, n_clips: int) -> list[Said]:
    """The shortest clips of a real speaker."""
    texts = {entry.id: entry.text for entry in read_metadata(REAL / name / "metadata.csv")}
    files = sorted((REAL / name / "wavs").iterdir(), key=lambda path: path.stat().st_size)
    return [Said(texts[path.stem], *soundfile.read(path, dtype="float32")) for path in files[:n_clips]]


def tones(seed: int, n_clips: int) -> list[Said]:
    """Tones for words, of about half a second."""
    said = []
    for number in range(n_clips):
        words = [WORDS[number % 12], WORDS[(number // 12 + number + 1 + seed) % 12]]
        pitches = [(200 + 100 * seed) * (1 + WORDS.index(word) / 12) for word in words]
        wave = np.concatenate([np.sin(2 * np.pi * pitch * np.arange(4000) / 16000) for pitch in pitches])
        said.append(Said(f"{' '.join(words).capitalize()}.", (0.3 * wave).astype(np.float32), 16000))
    return said


def two_speakers(kind: str, n_clips: int = 8) -> tuple[list[Said], list[Said]]:
    if kind == "real":
        return real(VOICES[0], n_clips), real(VOICES[1], n_clips)
    return tones(0, n_clips), tones(1, n_clips)


def write_audio(path: Path, said: Said, sample_rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = load_torchaudio().functional.resample(torch.from_numpy(said.wave), said.sample_rate, sample_rate)
    soundfile.write(path, wave.clamp(-1, 1).numpy(), sample_rate)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_vctk(root: Path, kind: str) -> Path:
    """p225 and s5 whole; p315 without texts, p280 without its second microphone, p362 not all recorded."""
    first, second = two_speakers(kind)
    audio, texts = root / "wav48_silence_trimmed", root / "txt"
    for speaker, clips in (("p225", first), ("s5", second), ("p280", first[:1]), ("p315", second[:2])):
        for number, said in enumerate(clips, 1):
            for mic in (1, 2) if speaker not in ("p280", "p315") else (1,):
                write_audio(audio / speaker / f"{speaker}_{number:03}_mic{mic}.flac", said, 48000)
            if speaker != "p315":
                write_text(texts / speaker / f"{speaker}_{number:03}.txt", f"{said.text} \n")
    write_audio(audio / "p362" / "p362_001_mic1.flac", first[1], 48000)
    write_audio(audio / "p362" / "p362_001_mic2.flac", first[1], 48000)
    for number in (1, 2):
        write_text(texts / "p362" / f"p362_{number:03}.txt", first[number].text)
    write_text(audio / "log.txt", "a file among the folders\n")
    write_text(root / "speaker-info.txt", "ID  AGE  GENDER  ACCENTS\n")
    return root


def write_libritts(root: Path, kind: str) -> Path:
    """Readers 1272 (M) and 84 (F) of dev-clean, 103 (F) of train-clean-100; texts in files, in a table, in neither."""
    for subset, reader, clips in zip(
        ("dev-clean", "dev-clean", "train-clean-100"),
        ("1272", "84", "103"),
        (*two_speakers(kind, 4), two_speakers(kind, 2)[0]),
        strict=True,
    ):
        folder = root / subset / reader / "121"
        table = ""
        for number, said in enumerate(clips):
            id_ = f"{reader}_121_{number:06}_000000"
            write_audio(folder / f"{id_}.wav", said, 24000)
            if reader != "84" or number >= 2:
                write_text(folder / f"{id_}.normalized.txt", f"{said.text}\n")
                write_text(folder / f"{id_}.original.txt", f"“{said.text}”\n")
            if number != 1:
                table += f"{id_}\t“{said.text}”\t{said.text}\n"
        write_text(folder / f"{reader}_121.trans.tsv", table)
        write_text(folder / f"{reader}_121.book.tsv", table)
        write_text(folder / f"._{reader}_121_000000_000000.wav", "hidden")
    write_text(
        root / "speakers.tsv", "READER\tGENDER\tSUBSET\tNAME\n84\tF\tdev-clean\tC\n1272\tM\tdev-clean\n103\tF\t\n"
    )
    return root


def write_librispeech(root: Path, kind: str) -> Path:
    """Readers 1272 (M) and 84 (F) of dev-clean; texts in capitals, one recording without a text."""
    for reader, clips in zip(("1272", "84"), two_speakers(kind, 4), strict=True):
        folder = root / "dev-clean" / reader / "121"
        lines = []
        for number, said in enumerate(clips):
            id_ = f"{reader}-121-{number:04}"
            write_audio(folder / f"{id_}.flac", said, 16000)
            words = "".join(c for c in said.text.upper() if c.isalpha() or c in " '")
            lines += [f"{id_} {words}\n"] if (reader, number) != ("84", 3) else []
        write_text(folder / f"{reader}-121.trans.txt", "".join(lines))
    write_text(
        root / "SPEAKERS.TXT", ";ID |SEX| SUBSET |MINUTES| NAME\n84   | F | dev-clean | 8 | C\n1272 | M | dev-clean\n"
    )
    return root
