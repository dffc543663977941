"""`tts audit`: what is wrong with a corpus, and what training on it will cost, before the first hour of training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tts.arguments import say, take, true_or_false, whole_number
from tts.errors import ConfigError

AUDIT_HELP = """\
What is wrong with a corpus, and what training on it will cost: to be asked before the first hour of training.

  python -m tts audit recipe=NAME [key=value ...]   any key of the recipe, as train.py takes them: data.root=...
  python -m tts audit recipe=runs/NAME              of a run

  out=FOLDER     default RUN/audit: audit.html, to read and to hear, and audit.json, for programs
  aligned=1000   at most so many clips are aligned, evenly spread over the corpus; default all, 0: none
  cost=false     do not measure memory and time of training

The corpus is prepared as training prepares it, and training finds the clips in the cache. Then it is checked for

  texts and sound   transcripts that are not what is spoken: each is laid along its sound by forced alignment, and fits
                    hardly better than the text of another clip would. Needs pip install -e ".[evaluate]"; English.
                    On two real corpora each of 30 shuffled texts was found, without a false alarm, three times over.
                    A wrong word or two in a long text is not found. It takes 0.02 s for a second of speech, once
  text lengths      a line lost in the metadata, after which every text has slipped
  rate of speech    clips spoken much faster or slower than the others: half a text, or more than the text
  clipping noise pauses      samples at full scale; speech less than 25 dB above the noise; pauses of more than 1 s
  same sound        one recording twice, perhaps with two texts
  unknown words     whose pronunciation is guessed: put them into text.lexicon
  symbols speakers  what is there too rarely to be learned
  cost              memory of the longest batch and hours of an epoch, from a few steps on this machine

✗ is to be mended before training, ? is worth a look, ✓ is as it should be. What was aligned once stays in the cache, so
a second audit takes seconds. Exit code 1 if there is anything to mend."""

NAMES = ("recipe", "run", "out", "aligned", "cost")


def audit(arguments: Sequence[str]) -> int:
    """`tts audit`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(AUDIT_HELP)
        return 0
    options, overrides = take(arguments, NAMES)
    if "recipe" not in options:
        raise ConfigError("which recipe? python -m tts audit recipe=NAME; `python train.py` lists them")
    aligned = whole_number(options["aligned"], "aligned") if "aligned" in options else None
    costs = true_or_false(options.get("cost", "true"), "cost")
    from tts.data.aligning import require_aligner
    from tts.runs import plan_run

    plan = plan_run(options["recipe"], overrides, options.get("run", ""))
    if aligned != 0:
        require_aligner()
    out = Path(options.get("out", plan.run / "audit"))
    # What training would refuse is what an audit is to tell of.
    recipe = replace(plan.recipe, data=replace(plan.recipe.data, max_bad_share=1.0, allow_missing=True))
    from tts.data.prepare import prepare
    from tts.data.preview import read_corpus, set_aside
    from tts.data.report import read_report
    from tts.evaluation.audit import build_audit, listen, summary, write_audit
    from tts.evaluation.audit_page import write_page
    from tts.text.frontend import Frontend
    from tts.training.cost import measure_cost

    utterances = set_aside(read_corpus(recipe.data, say), out / "data", say)
    prepared = prepare(recipe, out, utterances, Frontend(recipe.text))
    heard = listen(prepared, recipe, aligned)
    if costs:
        say("cost: a few steps of training, to measure their memory and time")
    cost = measure_cost(recipe, out) if costs else None
    found = build_audit(recipe, Path(options["recipe"]).stem, prepared, read_report(out), heard, cost)
    write_audit(found, out)
    page = write_page(found, prepared, heard, out)
    summary(found, say)
    say(f"{page}: to read and to hear")
    return int(any(finding.verdict == "bad" for finding in found.findings))
