"""The commands that judge: evaluate, listen, plot, phones."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tts.arguments import check_device, refuse_unknown, say, take, true_or_false, voice_folder, whole_number
from tts.atomic import check_writable
from tts.errors import ConfigError

PHONES = "phones.safetensors"  # of a run, or shipped

EVALUATE_HELP = """\
Say how good a voice is, and whether it is better than another.

  python -m tts evaluate [voice=runs/NAME] [against=runs/OTHER] [key=value ...]

  voice=runs/NAME     a run folder, or an exported voice with data=RUN; default: the newest run
  speaker=bob         who speaks what nobody recorded, where the voice has several; recordings are spoken by their own
  against=runs/OTHER  compare with this voice on the same sentences: better, worse, or cannot tell
  data=FOLDER         recordings to compare with: metadata.csv and wavs/, or a run, of which the held-out ones count;
                      default: those that the run itself held out
  gate="cer<0.1,failures<2,griffin_lim.pesq>1"  exit with 1 unless all of it holds
  out=FOLDER          default VOICE/evaluation
  sentences=50        recorded sentences at most
  hard=true           also decode the fifty hard sentences (letters, digits, names, sixty words)
  baselines=real,vocoder_copy,griffin_lim,same_mels,espeak_ng   columns beside the voice; same_mels is Griffin-Lim
                      on the voice's own mels
  command="mytts --text {text} --out {out}"  another system's column; text on standard input without {text}
  tries=4             decodes of a sentence that fails
  phones=FILE         phone recogniser; default VOICE/phones.safetensors, else the shipped one
  mos.utmos=FILE      weights of a MOS predictor (utmos, nisqa, dnsmos_pro, or any TorchScript from wave to score)
  whisper=FOLDER      a model converted for faster-whisper: its word error rate too (extra whisper)
  likeness=FOLDER     a copy of speechbrain/spkrec-ecapa-voxceleb: likeness of the speaker too (extra likeness)
  seed=0  device=cpu  workers=0 (processes that judge; 0: one per core)

Writes report.html (open it: tables, intervals, alignments, every sentence to hear, the worst first) and report.json.
What is not installed is left out, and the report says so: pip install "tts[evaluate]"."""

LISTEN_HELP = """\
A blind listening test in the browser: which of two voices do people prefer, and how natural are they?

  python -m tts listen runs/A runs/B [key=value ...]    voices that `tts evaluate` has evaluated

  out=listening.json  results, saved after every answer; an unfinished test goes on where it was
  pairs=20            sentences of which two voices are compared, in random order and with hidden names
  ratings=8           sentences of which every clip is rated from 1 to 5, recordings and a low anchor among them
  repeats=4           questions asked twice, to know how consistent a listener is
  seed=0  port=0      0: any free port

Several people can listen, one after the other or at once: the page asks for a name. Keys: space plays, arrows switch,
1-5 rate, Enter goes on."""

PLOT_HELP = """\
Draw a training: losses, alignment health and failures over time, as PNG and in TensorBoard.

  python -m tts plot runs/NAME [runs/OTHER ...] [out=FOLDER]    default RUN/plots"""

PHONES_HELP = """\
Train a small phone recogniser on a run's recordings, never on synthesised speech: `tts evaluate` listens with it.

  python -m tts phones runs/NAME [minutes=10] [out=FILE] [seed=0]    default RUN/phones.safetensors

Run again with more minutes, it goes on."""

OPTIONS = (
    "voice",
    "speaker",
    "against",
    "data",
    "gate",
    "out",
    "sentences",
    "hard",
    "baselines",
    "command",
    "tries",
    "phones",
)
SETTINGS = ("whisper", "likeness", "seed", "device", "workers")
BROKEN_GATE = 1


def evaluate(arguments: Sequence[str]) -> int:
    """`tts evaluate`."""
    if _asks_help(arguments, EVALUATE_HELP):
        return 0
    options, rest = take(arguments, (*OPTIONS, *SETTINGS))
    mos = dict(argument.removeprefix("mos.").split("=", 1) for argument in rest if _is_mos(argument))
    refuse_unknown([argument for argument in rest if not _is_mos(argument)], (*OPTIONS, *SETTINGS))
    counts = {name: whole_number(options.get(name, default), name) for name, default in _NUMBERS.items()}
    hard = true_or_false(options.get("hard", "true"), "hard")
    for name in ("sentences", "tries"):
        if counts[name] < 1:
            raise ConfigError(f"{name}={counts[name]}: at least 1")
    check_device(options.get("device", "cpu"))
    from tts.evaluation.evaluate import BASELINES, Options
    from tts.evaluation.evaluate import evaluate as evaluate_voice
    from tts.evaluation.judging import Panel
    from tts.runs import newest_run

    baselines = tuple(filter(None, options.get("baselines", ",".join(BASELINES)).split(",")))
    if unknown := [name for name in baselines if name not in BASELINES]:
        raise ConfigError(f"baselines={unknown[0]}: some of {', '.join(BASELINES)}")
    voice = voice_folder(Path(options["voice"]), "voice") if "voice" in options else newest_run()
    report = evaluate_voice(
        Options(
            voice=voice,
            out=Path(options.get("out", voice / "evaluation")),
            command=shlex.join(["python", "-m", "tts", "evaluate", *arguments]),
            data=options.get("data", ""),
            speaker=options.get("speaker", ""),
            against=voice_folder(Path(options["against"]), "against") if "against" in options else None,
            hard=hard,
            baselines=baselines,
            other=options.get("command", ""),
            gate=options.get("gate", ""),
            panel=Panel(
                phones=_phones(options, voice),
                mos=mos,
                whisper=options.get("whisper", ""),
                likeness=options.get("likeness", ""),
            ),
            device=options.get("device", "cpu"),
            **counts,
        )
    )
    for line in report.summary:
        say(line)
    for what, why in report.missing.items():
        say(f"not measured: {what}: {why}")
    say(f"report: {Path(options.get('out', voice / 'evaluation')) / 'report.html'}")
    return 0 if all(result.holds for result in report.gate) else BROKEN_GATE


_NUMBERS = {"sentences": "50", "tries": "4", "seed": "0", "workers": "0"}


def _is_mos(argument: str) -> bool:
    return argument.startswith("mos.") and "=" in argument


def _phones(options: dict[str, str], voice: Path) -> str:
    """The phone recogniser asked for, or else the run's own, or the shipped one; empty if there is none."""
    if "phones" in options:
        return options["phones"]
    from tts.runs import shipped

    found = [voice / PHONES, *shipped(PHONES)]
    return next((str(path) for path in found if path.is_file()), "")


def _asks_help(arguments: Sequence[str], text: str, *, needed: bool = False) -> bool:
    if any(argument in ("-h", "--help") for argument in arguments) or (needed and not arguments):
        print(text)
        return True
    return False


def listen(arguments: Sequence[str]) -> int:
    """`tts listen`."""
    if _asks_help(arguments, LISTEN_HELP, needed=True):
        return 0
    names = ("out", "port", "pairs", "ratings", "repeats", "seed")
    options, runs = take(arguments, names)
    refuse_unknown([run for run in runs if "=" in run or run.startswith("-")], names)
    out = Path(options.get("out", "listening.json"))
    check_writable(out)
    counts = {
        name: whole_number(options.get(name, default), name)
        for name, default in (("port", "0"), ("pairs", "20"), ("ratings", "8"), ("repeats", "4"), ("seed", "0"))
    }
    from tts.evaluation.listening_server import serve

    serve([voice_folder(Path(run), "run") for run in runs], out=out, say=say, **counts)
    return 0


def plot(arguments: Sequence[str]) -> int:
    """`tts plot`."""
    if _asks_help(arguments, PLOT_HELP, needed=True):
        return 0
    options, names = take(arguments, ("out",))
    refuse_unknown([name for name in names if "=" in name or name.startswith("-")], ("out",))
    from tts.evaluation.plots import plot_runs

    out = Path(options["out"]) if "out" in options else None
    for path in plot_runs([voice_folder(Path(name), "run") for name in names], out):
        say(str(path))
    return 0


def phones(arguments: Sequence[str]) -> int:
    """`tts phones`."""
    if _asks_help(arguments, PHONES_HELP, needed=True):
        return 0
    names = ("minutes", "out", "seed")
    options, runs = take(arguments, names)
    refuse_unknown([run for run in runs if "=" in run or run.startswith("-")], names)
    if len(runs) != 1:
        raise ConfigError("which run? python -m tts phones runs/NAME")
    run = voice_folder(Path(runs[0]), "run")
    out = Path(options.get("out", run / PHONES))
    check_writable(out)
    minutes = whole_number(options.get("minutes", "10"), "minutes")
    seed = whole_number(options.get("seed", "0"), "seed")
    from tts.data.manifest import load_prepared
    from tts.evaluation.phone_training import train_phone_recognizer
    from tts.runs import read_recipe
    from tts.text.frontend import Frontend

    if not (run / "recipe.yaml").is_file():
        raise ConfigError(f"{run} has no recipe.yaml, so it is no run with recordings to learn from")
    recipe = read_recipe(run)
    prepared = load_prepared(run, recipe.audio, Frontend(recipe.text).fingerprint)
    facts = train_phone_recognizer(prepared, out, minutes=minutes, seed=seed)
    say(
        f"{out}: {facts['steps']} steps in {facts['minutes']:.1f} minutes on {facts['hours']:.2f} h; "
        f"phone error rate on {facts['held_out_clips']} held-out recordings {facts['per']:.1%}"
    )
    return 0
