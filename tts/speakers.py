"""The table of speakers: the names of a corpus, sorted; a name's place is its id in the voice trained on it."""

from collections.abc import Sequence

from tts.errors import ConfigError, nearest

ONE_SPEAKER = ("",)  # the table of a corpus that names none
LISTED = 20  # names that a message repeats


def speaker_id(name: str, speakers: Sequence[str]) -> int:
    """The place of a name; the first where none is asked for.

    Raises:
        ConfigError: if the voice has no such speaker; the message lists those it has.
    """
    if not name:
        return 0
    if name in speakers:
        return speakers.index(name)
    if tuple(speakers) == ONE_SPEAKER:
        raise ConfigError(f"speaker={name}: this voice has one speaker, without a name; leave speaker= out")
    raise ConfigError(f"speaker={name}: this voice has {list_speakers(speakers)}{nearest(name, speakers)}")


def list_speakers(speakers: Sequence[str]) -> str:
    """Names for a message, in the order of the table."""
    more = f" and {len(speakers) - LISTED} more" if len(speakers) > LISTED else ""
    return ", ".join(name or "one without a name" for name in speakers[:LISTED]) + more
