"""`tts fetch-data`: brings the data of NLTK's tagger, after it has asked."""

import sys
from collections.abc import Sequence

from tts.arguments import refuse_unknown, say, take, true_or_false
from tts.errors import ConfigError

FETCH_HELP = """\
Download what makes reading better, after asking: the data of NLTK's part-of-speech tagger, which helps to tell words
apart that are said in two ways (I read it, to read it). Besides it and `tts download`, which brings corpora, only a
recipe of a data set on the Hugging Face hub downloads anything.

  python -m tts fetch-data            asks first
  python -m tts fetch-data yes=true   does not ask

The data (about 2 MB) goes to NLTK's own place, usually ~/nltk_data. Without it our own rules do the work."""

QUESTION = "Download NLTK's tagger (about 2 MB, from raw.githubusercontent.com) to NLTK's folder? [y/N] "


def fetch_data(arguments: Sequence[str]) -> int:
    """`tts fetch-data`."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(FETCH_HELP)
        return 0
    options, rest = take(arguments, ("yes",))
    refuse_unknown(rest, ("yes",))
    agreed = true_or_false(options.get("yes", "false"), "yes")
    from tts.text.tagger import fetch_tagger, find_tagger

    found = find_tagger()
    if found is not None:
        say(f"{found}: is there already")
        return 0
    if not agreed and not sys.stdin.isatty():
        raise ConfigError("fetch-data asks before it downloads, and nobody can answer here; yes=true is an answer")
    if not agreed and input(QUESTION).strip().lower() not in ("y", "yes"):
        say("nothing was downloaded")
        return 0
    say(f"{fetch_tagger()}: downloaded; the tagger is used from now on")
    return 0
