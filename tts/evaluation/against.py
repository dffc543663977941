"""Which of two voices is better: paired differences on the same sentences, and a word for it."""

from collections.abc import Mapping, Sequence

from tts.evaluation.measures import LEAST, LEVEL, Difference, Estimate, Measure, Part, difference
from tts.evaluation.report import Comparison

Parts = Mapping[str, Mapping[str, Part]]  # by measure, then by the sentence's id

DECIDING = ("failures", "wer", "cer", "per", "mcd_db")  # and every MOS predictor
MOS = "mos_"
RECOGNIZED = {"wer": ("wer", "cer"), "per": ("per",)}  # a recogniser's error rate -> what it decides
DEAF = 0.3  # of the recordings' own words or phones misheard: this recogniser does not understand the speaker


def deaf_to(recordings: Mapping[str, Estimate]) -> list[str]:
    """Measures of recognisers that do not understand even the recordings, and so can tell nothing of a voice."""
    rates = [rate for rate in RECOGNIZED if rate in recordings and recordings[rate].value > DEAF]
    return [name for rate in rates for name in RECOGNIZED[rate]]


def compare(
    ours: Parts, theirs: Parts, measures: Sequence[Measure], against: str, deaf: Sequence[str] = ()
) -> Comparison:
    """Differences in every measure that both have.

    The verdict looks at what a listener notices: DECIDING and MOS predictors, without what is `deaf`. It is "better" if
    one of them is and none is worse, and "worse" the other way round; each must be so sure that all of them together
    err in one comparison in twenty at most (Bonferroni).
    """
    differences: dict[str, Difference] = {}
    for measure in measures:
        if shared := _shared(ours, theirs, measure):
            mine, other = ([parts[measure.name][name] for name in shared] for parts in (ours, theirs))
            differences[measure.name] = difference(measure, mine, other)
    titles = {measure.name: measure.title for measure in measures if _decides(measure, deaf)}
    deciding = {name: found for name, found in differences.items() if name in titles}
    sure = {name: found for name, found in deciding.items() if found.p <= (1 - LEVEL) / len(deciding)}
    better, worse = (
        [titles[name] for name, found in sure.items() if found.verdict == verdict] for verdict in ("better", "worse")
    )
    return Comparison(against, *_verdict(better, worse, len(deciding)), differences)


def _decides(measure: Measure, deaf: Sequence[str]) -> bool:
    return measure.name not in deaf and (measure.name in DECIDING or measure.name.startswith(MOS))


def _shared(ours: Parts, theirs: Parts, measure: Measure) -> list[str]:
    """Sentences that both were measured on, if there are enough."""
    other = theirs.get(measure.name, {})
    shared = [name for name in ours.get(measure.name, {}) if name in other]
    return shared if len(shared) >= LEAST else []


def _verdict(better: list[str], worse: list[str], n_deciding: int) -> tuple[str, str]:
    if better and worse:
        return "cannot tell", f"better in {', '.join(better)}, but worse in {', '.join(worse)}"
    if better:
        return "better", f"better in {', '.join(better)}, and worse in nothing that decides"
    if worse:
        return "worse", f"worse in {', '.join(worse)}, and better in nothing that decides"
    if not n_deciding:
        return "cannot tell", "nothing that decides was measured of both"
    together = f"where {n_deciding} measures decide together" if n_deciding > 1 else "in the measure that decides"
    return "cannot tell", f"no difference is sure enough {together}; more sentences tell smaller ones"
