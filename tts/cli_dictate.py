"""`tts dictate`: another synthesiser speaks a corpus."""

from collections.abc import Sequence
from pathlib import Path

from tts.arguments import refuse_unknown, say, take, whole_number
from tts.errors import ConfigError

DICTATE_HELP = """\
Have another synthesiser speak a corpus, to train beside a small one: a voice of an hour of recordings has heard few
words, and learns how the others go from a second speaker that may say anything.

  python -m tts dictate texts=LJSpeech-1.1/metadata.csv out=data/joint/slt command="flite -voice slt -t {text} -o {out}"
  python -m tts dictate texts=short out=data/joint/slt command="flite -voice slt -t {text} -o {out}"

  texts=FILE     `id|text` on each line, in LJSpeech's format; texts=short are 887 that come along: words alone,
                 letters, numbers, repeated words, long sentences, so that the voice does not fail at what no corpus has
  out=FOLDER     gets wavs/ and metadata.csv; name it like the speaker, beside the folders of the others
  command="..."  {text} and {out} stand for a text and its WAV; without {text} the text comes on standard input
  n=1700         how many sentences, drawn by seed=0
  shortest=20 longest=85  characters of a text (texts=short: all). Texts with digits, abbreviations or capitals are
                 passed over, since another synthesiser may read them otherwise than we do

Then train with all of them (data.corpus=own data.root=data/joint) and speak with speaker=NAME. Mind the licence of what
the other synthesiser makes. What is spoken already stays: a stopped one goes on, and several lists of texts may be
spoken into one folder."""

NAMES = ("texts", "out", "command", "n", "seed", "shortest", "longest")


def dictate(arguments: Sequence[str]) -> int:
    """`tts dictate`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(DICTATE_HELP)
        return 0
    options, rest = take(arguments, NAMES)
    refuse_unknown(rest, NAMES)
    for name in ("texts", "out", "command"):
        if not options.get(name):
            raise ConfigError(f"dictate needs {name}=; --help teaches")
    short = options["texts"] == "short"
    lengths = {"shortest": "1", "longest": "1000"} if short else {"shortest": "20", "longest": "85"}
    given = {"n": "1700", "seed": "0"} | lengths | options
    n, seed, shortest, longest = (whole_number(given[name], name) for name in ("n", "seed", "shortest", "longest"))
    from tts.corpora._dictation import SHORT, plain_sentences
    from tts.corpora._dictation import dictate as speak_all
    from tts.corpora._metadata import read_metadata
    from tts.speaking_command import check_command

    check_command(options["command"])
    entries = plain_sentences(read_metadata(SHORT if short else Path(options["texts"])), shortest, longest, n, seed)
    for reason in speak_all(entries, options["command"], Path(options["out"])):
        say(f"left out: {reason}")
    say(f"{options['out']}: {len(entries)} sentences")
    return 0
