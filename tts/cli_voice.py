"""`tts export`: a voice to give away, made from a run. `tts info`: what a voice or a run is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tts.arguments import say, take, voice_folder
from tts.errors import ConfigError, nearest

if TYPE_CHECKING:
    from tts.checkpoint import Stored

EXPORT_HELP = """\
Make a voice to give away: a small folder that speaks without the run.

  python -m tts export runs/mine voices/mine [key=value ...]

It holds both halves (the best checkpoints; the vocoder tuned by the stage gta where that speaks), voice.yaml (recipe,
symbols, speakers, versions), the voice's lexicon, checksums, and a MODEL_CARD.md of what is known; read that, and write
what it asks for. The card's part of a recipe fills it: card.data, card.licence, card.speaker, card.consent.

  precision=fp16      of the weights; fp32 keeps every bit, in twice the space
  vocoder=runs/other  the vocoder of another run or voice with the same mel contract
  notes=FILE.md       goes into the card: how it was trained, what its limits are
  report=FILE.json    an evaluation for the card; default RUN/evaluation/report.json, where it is there

Then: python synthesize.py "text" voice=voices/mine, or init_from=voices/mine in a training."""

INFO_HELP = """\
What a voice or a run is: its speakers, how long it was trained, on what, its size, and whether its files are whole.

  python -m tts info checkpoints/kathleen"""

EXPORT_NAMES = ("precision", "vocoder", "notes", "report")


def export(arguments: Sequence[str]) -> int:
    """`tts export`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(EXPORT_HELP)
        return 0
    options, places = take(arguments, EXPORT_NAMES)
    if wrong := [place for place in places if "=" in place]:
        raise ConfigError(f"unknown option {wrong[0]!r}{nearest(wrong[0].partition('=')[0], EXPORT_NAMES)}")
    if len(places) != 2:
        raise ConfigError("export wants a run and a folder: python -m tts export runs/mine voices/mine")
    run, folder = map(Path, places)
    precision = options.get("precision", "fp16")
    if precision not in ("fp16", "fp32"):
        raise ConfigError(f"precision={precision}: fp16 or fp32")
    notes = Path(options["notes"]).read_text(encoding="utf-8") if "notes" in options else ""
    report = Path(options["report"]) if "report" in options else run / "evaluation" / "report.json"
    if "report" in options and not report.is_file():
        raise ConfigError(f"report={report}: there is no such file")
    from tts.evaluation.model_card import model_card
    from tts.text.lexicon import KEPT
    from tts.voice import MOST_BYTES, read_halves, write_voice

    voice_folder(run)
    halves = read_halves(run, Path(options["vocoder"]) if "vocoder" in options else None)
    lexicon = run / KEPT if (run / KEPT).is_file() else None
    card = model_card(halves, folder.name, report, notes)
    write_voice(halves, lexicon, card, folder, "fp16" if precision == "fp16" else "fp32")
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{folder}: {n_bytes / 1e6:.1f} MB; {folder}/MODEL_CARD.md says what it is, and what is yet to be written")
    if n_bytes > MOST_BYTES:
        say(f"note: that is more than {MOST_BYTES / 1e6:.0f} MB, which is much to keep beside a program's source")
    say(f'speak: python synthesize.py "Hello world." voice={folder}')
    return 0


def info(arguments: Sequence[str]) -> int:
    """`tts info`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(INFO_HELP)
        return 0
    if len(arguments) != 1:
        raise ConfigError("info wants one folder: python -m tts info checkpoints/kathleen")
    folder = voice_folder(Path(arguments[0]))
    from tts.checkpoint import is_voice
    from tts.speakers import list_speakers
    from tts.voice import read_halves, recipe_of

    halves = read_halves(folder)
    recipe = recipe_of(halves)
    whole = ", every file as it was exported" if is_voice(folder) else ""
    print(f"{folder}: {'a voice' if whole else 'a run'}{whole}")
    print(f"  {recipe.about}" if recipe.about else "  (its recipe says nothing about it)")
    for name in ("data", "licence", "speaker", "consent"):
        print(f"  {name:9} {getattr(recipe.card, name) or 'not stated'}")
    names = list_speakers(halves.acoustic.speakers) if any(halves.acoustic.speakers) else "one, without a name"
    print(f"  speakers  {names}")
    print(f"  sound     {recipe.audio.sample_rate} Hz, {recipe.audio.n_mels} mels, contract {recipe.audio.fingerprint}")
    print(f"  text      {len(halves.acoustic.symbols)} symbols, {recipe.text.units}, {recipe.text.style}")
    _tell_half("acoustic", halves.acoustic)
    if halves.vocoder is None:
        print("  vocoder   none: Griffin-Lim speaks")
    else:
        _tell_half("vocoder", halves.vocoder)
    return 0


def _tell_half(name: str, half: "Stored") -> None:
    facts = half.facts
    n = sum(value.numel() for value in half.weights.values())
    size = f"{half.path.stat().st_size / 1e6:.1f} MB"
    said = f"{n / 1e6:.2f} million parameters in {size}, step {facts['step']}, {facts['minutes']:.0f} minutes"
    if facts.get("aligned_at") is not None:
        said += f", aligned at step {facts['aligned_at']}"
    print(f"  {name:9} {said}")
