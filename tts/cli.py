"""The commands. `python -m tts COMMAND`, `tts COMMAND`; train.py and synthesize.py are the first two.

Nothing here imports torch before a command really starts, so that help and errors come at once.
"""

import signal
import sys
from collections.abc import Callable, Sequence

from tts.arguments import complain, leads, progress_line, say, take
from tts.cli_audit import audit
from tts.cli_cache import cache
from tts.cli_dictate import dictate
from tts.cli_download import download
from tts.cli_evaluation import evaluate, listen, phones, plot
from tts.cli_fetch import fetch_data
from tts.cli_synthesis import synthesize
from tts.cli_text import explain
from tts.cli_voice import export, info
from tts.errors import ConfigError, TTSError, nearest
from tts.settings import Share

TRAIN_HELP = """\
Train a voice from a recipe.

  python train.py                              list the recipes
  python train.py recipe=NAME [key=value ...]  train: prepare the corpus, then both halves
  python train.py recipe=runs/NAME             go on where a run stopped (Ctrl-C, a crash, or to train longer)
  python train.py recipe=runs/NAME stages=[gta]  when both halves are trained well: fine-tune the vocoder on the mels
                                               that the acoustic half makes of the corpus; it speaks where it is better
  python train.py recipe=runs/NAME/recipe.yaml repeat a run from the start in a new folder

A recipe is a file in recipes/ (or a path), made of parts from configs/. Any key can be set here:

  run=runs/mine                 the run's folder; default runs/NAME
  stages=[prepare,acoustic]     some of prepare, acoustic, vocoder, gta; default the first three
  data.root=/data/LJSpeech-1.1  the corpus; what was recognised is shown, with three of its clips, before anything else
  data.speakers=[p225,s5] data.mic=2  some speakers of vctk, libritts, librispeech; VCTK's other microphone
  data.subsets=[dev-clean] data.gender=F  parts of libritts and librispeech, one gender
  text=characters               another part: configs/text/characters.yaml
  acoustic.attention.name=dynamic_convolution
  trainer.acoustic.max_steps=50000  trainer.vocoder.max_minutes=600
  trainer.vocoder.spoken=8      held-out clips that validation copies, to measure and to hear, spoken_seconds=1 of each
  trainer.gta.max_unaligned=0.2  more clips whose attention is not aligned are an error; default half of them
  shard=3/16                    only prepare, and only this machine's share: the third of sixteen. Machines that share
                                data.cache prepare a corpus together; a run without shard then finds all clips there
  data.max_pause=0.5 data.high_pass=60 data.true_peak=-1 data.reduce_noise=auto  more cleaning of the clips, all off
                                by default: recipes/ and RUN/recipe.yaml say what each does
  data.split_long=true          recordings longer than data.max_seconds are cut at pauses, each piece with its part of
                                the text, and what does not match is left out and listed; English (pocketsphinx)
  trainer.acoustic.align_by=3000  if attention is not aligned by then, training says why and helps, once; 0: never
  trainer.acoustic.guided_attention=aligned  attention is guided along each clip's forced alignment, not the diagonal
  trainer.acoustic.join=0.3 trainer.acoustic.cut=0.5  shares of clips joined to longer ones, cut at their pauses
  trainer.devices=4             GPUs, or processes on CPUs, that share each batch; batch_size stays that of all together
                                (torchrun, SLURM, several machines with trainer.num_nodes: docs/several_machines.md)
  stages=[prepare] data.format=shards data.shard_mb=256  also write the prepared corpus to RUN/data/shards: a few tar
                                files and their index, to be copied or served by any web server
  data.shards=http://host/path  train on such shards, from there or from a folder; needs no corpus, cache or disk
  data.corpus=huggingface data.stream=true data.dataset=OWNER/NAME  train on a data set of the hub while it is read
                                (extra huggingface; data.configuration= data.split=), or data.root= a folder of .parquet
                                or .tar files, or their address: 'http://host/part-{00..63}.tar'; data.text_column=
                                data.audio_column= data.speaker_column= name what is not recognised; statistics,
                                speakers and held-out sentences come from the first data.first_rows=128
  data.window=1000              utterances of a stream that are sorted into batches of similar length
  trainer.acoustic.loader_workers=2  processes that make batches; 0: a thread of a stream does
  init_from=runs/ljspeech       start from the weights of this voice, or of one *.safetensors file: to make a voice of
                                minutes of speech. Symbols and speakers are mapped by name, the mel contract must be the
                                same (audio=...), and a table tells what was copied and what is new

The run's resolved recipe is RUN/recipe.yaml: every key with its value. Watch with: tensorboard --logdir runs"""

COMMANDS_HELP = """\
Text to speech you train yourself.

  tts audit       what is wrong with a corpus, and what training on it will cost: before the first hour
  tts train       train a voice from a recipe      (train.py)
  tts synthesize  speak a text with a trained one  (synthesize.py)
  tts demo        make a corpus, train both halves on it, measure and speak: minutes on two cores
  tts evaluate    how good is a voice, and is it better than another? a page to read and to hear
  tts listen      a blind listening test of voices, in the browser
  tts plot        losses, alignment and failures of a training as pictures
  tts phones      train the phone recogniser that evaluate listens with
  tts download    a corpus, where its licence allows it, checked and unpacked
  tts cache       what is in the cache of prepared clips, whether it is whole, and making room in it
  tts fetch-data  download NLTK's tagger, after asking; it helps to read words that are said in two ways
  tts explain     how a text is read: classes, rules, phones, and what is guessed
  tts export      make a voice to give away from a run
  tts info        what a voice or a run is: speakers, training, licence, checksums
  tts dictate     have another synthesiser speak a corpus, to train beside a small one

`tts COMMAND --help` teaches."""

DEMO_HELP = """\
The whole chain in minutes: a corpus spoken by espeak-ng, both halves trained on it, measured and speaking.

  python -m tts demo [key=value ...]   keys as in `python train.py recipe=demo`"""

INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "train": train,
        "synthesize": synthesize,
        "demo": demo,
        "evaluate": evaluate,
        "listen": listen,
        "plot": plot,
        "phones": phones,
        "cache": cache,
        "fetch-data": fetch_data,
        "download": download,
        "explain": explain,
        "dictate": dictate,
        "export": export,
        "info": info,
        "audit": audit,
    }
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(COMMANDS_HELP)
        return 0
    name, *rest = arguments
    if name not in commands:
        return complain(f"unknown command {name!r}{nearest(name, commands)}; `tts --help` lists them")
    try:
        return commands[name](rest)
    except TTSError as error:
        return complain(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}; check the path, its permissions and the free space")
    except KeyboardInterrupt:
        return complain("interrupted", code=INTERRUPTED)


def train(arguments: Sequence[str]) -> int:
    """`train.py`."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(TRAIN_HELP)
        return 0
    if not arguments:
        list_recipes()
        return 0
    options, overrides = take(arguments, ("recipe", "run", "shard"))
    if "recipe" not in options:
        raise ConfigError("which recipe? python train.py recipe=NAME; `python train.py` lists them")
    from tts.runs import plan_run

    share = Share.parse(options["shard"]) if "shard" in options else None
    plan = plan_run(options["recipe"], overrides, options.get("run", ""))._replace(share=share)
    tell = say if leads() else (lambda line: None)
    tell(f"{'going on with' if plan.resumed else 'run'} {plan.run}; watch with: tensorboard --logdir {plan.run.parent}")
    from tts.training.pipeline import carry_out

    if not carry_out(plan, say):
        return INTERRUPTED
    if (plan.run / "acoustic").is_dir():
        tell(f'speak: python synthesize.py "Hello world." voice={plan.run}')
    return 0


def list_recipes() -> None:
    """A line for each recipe."""
    from tts.config import recipe_summary, yaml_files

    files = yaml_files("recipes")
    width = max(map(len, files))
    print("Recipes (python train.py recipe=NAME; --help tells more):\n")
    for name, file in sorted(files.items()):
        print(f"  {name:{width}}  {recipe_summary(file)}")


def demo(arguments: Sequence[str]) -> int:
    """`tts demo`: train recipe=demo, then measure it and let it speak."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(DEMO_HELP)
        return 0
    options, overrides = take(arguments, ("recipe", "run"))
    from tts.runs import plan_run

    plan = plan_run(options.get("recipe", "demo"), overrides, options.get("run", ""))
    from tts.evaluation.demo import measure_demo
    from tts.training.pipeline import carry_out

    if not carry_out(plan, say):
        return INTERRUPTED
    for line in measure_demo(plan.run, progress_line()):
        say(line)
    return 0
