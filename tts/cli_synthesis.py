"""`tts synthesize`: speak a text with a trained voice. Nothing here imports torch before it really starts."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tts.arguments import check_device, number, progress_line, say, take, true_or_false, voice_folder, whole_number
from tts.atomic import check_writable, write_atomically
from tts.errors import ConfigError, nearest
from tts.settings import check_rate

if TYPE_CHECKING:
    from torch import Tensor

    from tts.synthesis import Speech, Synthesizer

SYNTHESIZE_HELP = """\
Speak a text with a trained voice.

  python synthesize.py "text" [key=value ...]
  python synthesize.py file=story.txt out=story.flac
  echo "text" | python synthesize.py -

  voice=runs/NAME     a run folder, or a folder that `tts export` wrote; default: the voice that comes with the program
  speaker=bob         who speaks, where the voice has several; default the first by name
  out=hello.wav       WAV or FLAC; default speech.wav; out=- sends a WAV to standard output while it is made:
                      python synthesize.py "text" out=- | ffplay -nodisp -autoexit -
  seed=0              another seed, another reading; the same seed, the same samples
  rate=1.0            speaking rate, 0.5 to 2.0: 1.1 is a tenth faster
  folds=2             the vocoder makes so many parts of a sentence side by side, on as many cores; another number,
                      other samples
  vocoder=griffin_lim speak without the trained vocoder: less natural
  vocoder=untuned     the voice's vocoder as it was before the stage gta
  vocoder=hifigan checkpoint=FILE [config=FILE.json]  speak with a published HiFi-GAN generator for the voice's mels:
                      safetensors or a state dict saved by torch; its JSON is looked for beside it
  device=cpu          or cuda
  plot=true           also write a picture of each sentence's mel and alignment beside out
  times=words.srt     when each word is spoken: .srt, .json, or .TextGrid for Praat
  lexicon=words.tsv   how words are said: a line is a word, a tab, its phones and, if it needs one, a tab and its part
                      of speech (noun, verb, past, adjective, adverb); the voice's own lexicon comes first
  report=FILE.json    what was spoken, for programs: word times, stop reasons, failures, tries, real-time factor

Each sentence is printed with how its decode went: why it stopped, its words, the tries it took. One that fails (does
not stop, or skips, repeats, stalls, babbles) is decoded again, at last with attention under constraint.

Inline pronunciation: "{HH AH0 L OW1} world" (ARPAbet, stress 0-2 on vowels).

A text that begins with <speak> is SSML (ssml=true or ssml=false says so, or not): speak p s break sub say-as phoneme
prosody(rate, volume) emphasis mark voice. Whatever else it asks for is an error that names the tag and its place.

  python synthesize.py '<speak>Wait <break time="1s"/> <emphasis>here</emphasis>.</speak>'"""

OPTIONS = (
    "voice",
    "speaker",
    "out",
    "seed",
    "rate",
    "vocoder",
    "checkpoint",
    "config",
    "device",
    "plot",
    "times",
    "report",
    "file",
    "folds",
    "ssml",
    "lexicon",
)
WHOLE = ("plot", "times", "report", "folds")  # need the whole speech, so they do not go with out=-
VOCODERS = ("griffin_lim", "untuned", "hifigan")  # that speak instead of a voice's own


def synthesize(arguments: Sequence[str]) -> int:
    """`synthesize.py`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(SYNTHESIZE_HELP)
        return 0
    options, texts = take(arguments, OPTIONS)
    text = _text(options, texts)
    out = Path(options.get("out", "speech.wav"))
    seed = whole_number(options.get("seed", "0"), "seed")
    rate = number(options.get("rate", "1"), "rate")
    check_rate(rate)
    folds = whole_number(options.get("folds", "1"), "folds")
    if folds < 1:
        raise ConfigError("folds=0: at least 1, which is the whole")
    picture = true_or_false(options.get("plot", "false"), "plot")
    ssml = true_or_false(options["ssml"], "ssml") if "ssml" in options else None
    _check_outputs(out, options)
    _check_vocoder(options)
    voice = _voice(options)
    synthesizer = _load(voice, options)
    if "voice" not in options and str(out) != "-":
        say(f"{voice} speaks; another one: voice=FOLDER")
    speaker = options.get("speaker", "")
    if str(out) == "-":
        waves = synthesizer.stream(text, speaker=speaker, seed=seed, rate=rate, ssml=ssml)
        return _stream(waves, synthesizer.audio.sample_rate)
    speech = synthesizer.speak(
        text, speaker=speaker, seed=seed, rate=rate, folds=folds, ssml=ssml, progress=progress_line()
    )
    if len(synthesizer.speakers) > 1 and "speaker" not in options:
        from tts.speakers import list_speakers

        say(
            f"{voice}: {speech.speaker or 'the speaker without a name'} speaks; others: speaker=NAME, of "
            f"{list_speakers(synthesizer.speakers)}"
        )
    _tell(speech)
    _write(speech, out, options)
    if picture:
        _plot(out, speech)
    say(f"{out}: {speech.seconds:.2f} s, real-time factor {speech.rtf:.2f}")
    return 0


def _check_outputs(out: Path, options: dict[str, str]) -> None:
    """Refuse before anything is computed what could not be written."""
    if str(out) == "-":
        for name in options:
            if name in WHOLE:
                raise ConfigError(f"{name}= needs the whole speech, which out=- sends while it is made; leave one out")
    elif out.suffix.lower() not in (".wav", ".flac"):
        raise ConfigError(f"out={out}: the name must end in .wav or .flac, or be - for standard output")
    else:
        check_writable(out)
    for name in ("times", "report"):
        if name in options:
            check_writable(Path(options[name]))
    from tts.word_times import writer_for

    if "times" in options:
        writer_for(Path(options["times"]))


def _voice(options: dict[str, str]) -> Path:
    """The folder of the voice that was asked for."""
    from tts.runs import default_voice

    return voice_folder(Path(options["voice"]), "voice") if "voice" in options else default_voice()


def _load(voice: Path, options: dict[str, str]) -> "Synthesizer":
    """A voice on its device."""
    device = options.get("device", "cpu")
    check_device(device)
    from tts.synthesis import Synthesizer

    files = {name: Path(options[name]) for name in ("checkpoint", "config") if name in options}
    synthesizer = Synthesizer.load(
        voice, vocoder=options.get("vocoder", ""), device=device, lexicon=options.get("lexicon", ""), **files
    )
    if not synthesizer.vocoder.trainable and options.get("out") != "-":
        say(f"{voice}: speaking with {_stand_in(options)}")
    return synthesizer


def _stream(waves: Iterator["Tensor"], sample_rate: int) -> int:
    """A WAV on standard output, piece by piece."""
    from tts.audio.files import to_pcm, wave_header

    to = sys.stdout.buffer
    for place, wave in enumerate(waves):
        to.write((wave_header(sample_rate) if place == 0 else b"") + to_pcm(wave))
        to.flush()
    return 0


def _check_vocoder(options: dict[str, str]) -> None:
    """Refuse a vocoder that there is not, and files that go with another one. Raises ConfigError."""
    name = options.get("vocoder", "")
    if name and name not in VOCODERS:
        raise ConfigError(
            f"vocoder={name}: one of {', '.join(VOCODERS)}{nearest(name, VOCODERS)}; leave it out for the voice's own"
        )
    if name == "hifigan" and "checkpoint" not in options:
        raise ConfigError("vocoder=hifigan speaks with published weights: give them with checkpoint=FILE")
    for given in ("checkpoint", "config"):
        if given in options and name != "hifigan":
            raise ConfigError(f"{given}={options[given]} goes with vocoder=hifigan; add that, or leave it out")


def _stand_in(options: dict[str, str]) -> str:
    """Who speaks in place of a vocoder of the voice's own."""
    if options.get("vocoder") == "hifigan":
        return f"the HiFi-GAN of {options['checkpoint']}"
    asked_for = options.get("vocoder") == "griffin_lim"
    return "Griffin-Lim" if asked_for else "Griffin-Lim, it has no trained vocoder yet"


def _tell(speech: "Speech") -> None:
    """Each sentence, and what the user should know about it."""
    for place, sentence in enumerate(speech.sentences, 1):
        print(f"{place}. {sentence.text}  [{sentence.seconds:.2f} s]")
        print(f"   {sentence.summary}")
        if sentence.guessed:
            print(f"   guessed the pronunciation of: {', '.join(sentence.guessed)}")
        if sentence.skipped:
            print(f"   could not be read and was left out: {' '.join(sentence.skipped)}")
        for failure in sentence.failures:
            print(f"   warning: {failure}")
    for stretch in speech.unspoken:
        print(f"   nothing to pronounce in {stretch!r}")


def _write(speech: "Speech", out: Path, options: dict[str, str]) -> None:
    """The wave, and on request word times and a report."""
    from tts.audio.files import write_wave
    from tts.word_times import writer_for

    write_wave(out, speech.wave, speech.sample_rate)
    if "times" in options:
        path = Path(options["times"])
        write_atomically(path, writer_for(path)(speech.words, speech.seconds).encode())
    if "report" in options:
        content = {
            "seconds": round(speech.seconds, 4),
            "rtf": round(speech.rtf, 4),
            "rate": speech.rate,
            "speaker": speech.speaker,
            "marks": [mark._asdict() for mark in speech.marks],
            "sentences": [{**asdict(s), "words": [word._asdict() for word in s.words]} for s in speech.sentences],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(Path(options["report"]), text.encode())


def _plot(out: Path, speech: "Speech") -> None:
    from tts.training.figures import save_figure, sentence_figure

    for place, (encoded, made) in enumerate(zip(speech.encoded, speech.decoded, strict=True), 1):
        name = out.with_suffix(".png") if len(speech.decoded) == 1 else out.with_name(f"{out.stem}-{place}.png")
        save_figure(sentence_figure(made.alignment, made.mel, encoded.symbols, encoded.text), name)
        say(f"{name}: mel and alignment")


def _text(options: dict[str, str], texts: Sequence[str]) -> str:
    """The text from its argument, a file or standard input."""
    for text in texts:
        if re.fullmatch(r"--?[a-z]+.*|[a-z_.]+=\S*", text):
            name = text.lstrip("-").partition("=")[0]
            raise ConfigError(f"unknown option {text!r}{nearest(name, OPTIONS)}; --help lists them")
    if "file" in options and texts:
        raise ConfigError("give either a text or file=, not both")
    if "file" in options:
        path = Path(options["file"])
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not UTF-8 text; convert it first") from None
    if list(texts) == ["-"]:
        try:
            return sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError("standard input is not UTF-8 text; convert it first") from None
    return " ".join(texts)
