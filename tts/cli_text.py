"""`tts explain`: how a text is read, for people and for programs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tts.arguments import take
from tts.errors import ConfigError, nearest

if TYPE_CHECKING:
    from tts.text.frontend import Frontend

EXPLAIN_HELP = """\
How a text is read: each token with its class, what it is read as and by which rule, its phones and their source.

  python -m tts explain "Dr. Smith paid $3.50 on 5/6; I read it."
  python -m tts explain "text" --json         for programs: spoken, phones, tokens with their places in the text
  python -m tts explain script.txt [--json]   a whole script summed up: words whose pronunciation is guessed, by count
  echo "text" | python -m tts explain -

  voice=runs/NAME        read as this voice does: its settings, lexicon and symbols
  text.style=uk          numbers and dates the British way; default us
  text.days=cardinal     "May 5" is "May five"; default ordinal, "May fifth"
  text.emoji=name        emoji by name; default skip, and say so
  text.unreadable=error  what no rule reads is an error; default skip, and say so
  text.lexicon=FILE      your words

A star marks words whose pronunciation only the model guessed. "sure" tells rules that are certain from those that judge
by the words around (likely), and from guesses."""

_KEYS = {f"text.{name}": name for name in ("units", "style", "days", "emoji", "unreadable", "lexicon")}


def explain(arguments: Sequence[str]) -> int:
    """`tts explain`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(EXPLAIN_HELP)
        return 0
    options, texts = take([a for a in arguments if a != "--json"], ("voice", *_KEYS))
    as_program = "--json" in arguments
    for text in texts:
        if text.startswith("--") and text[2:3].isalpha():
            raise ConfigError(f"unknown option {text!r}{nearest(text, ('--json',))}; --help lists them")
    from tts import explain as explaining

    frontend = _frontend(options)
    path = Path(texts[0]) if len(texts) == 1 and _is_file(texts[0]) else None
    if path:
        summary = explaining.summarize(frontend, _read(path))
        print(_json(explaining.summary_json(summary)) if as_program else explaining.summary_text(summary))
        return 0
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if list(texts) == ["-"] else " ".join(texts)
    encoded, tokens = explaining.explain(frontend, text)
    if as_program:
        print(_json(explaining.as_json(encoded, tokens)))
        return 0
    print(explaining.as_table(tokens))
    print(f"\n{encoded.normalized}")
    for said, words in (
        ("guessed", encoded.guessed),
        ("left out", encoded.skipped),
        ("transliterated", encoded.transliterated),
    ):
        if words:
            print(f"{said}: {', '.join(words)}")
    return 0


def _is_file(text: str) -> bool:
    """Whether a text names a file: most texts could not."""
    try:
        return len(text) < 500 and "\n" not in text and "\0" not in text and Path(text).is_file()
    except OSError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; convert it first") from None


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1)


def _frontend(options: dict[str, str]) -> "Frontend":
    """The default frontend, or that of a voice, with the options over it."""
    from dataclasses import replace

    from tts.settings import TextConfig
    from tts.text.frontend import Frontend

    cfg, symbols = TextConfig(), None
    if "voice" in options:
        from tts.checkpoint import find_half, read_half
        from tts.text.lexicon import with_kept_lexicon

        voice = Path(options["voice"])
        path = find_half(voice, "acoustic")
        if path is None:
            raise ConfigError(f"voice={voice} holds no trained acoustic model")
        half = read_half(path, "acoustic")
        cfg, symbols = with_kept_lexicon(half.recipe.text, voice), half.symbols
    given = {_KEYS[key]: value for key, value in options.items() if key in _KEYS}
    _check_choices(given)
    return Frontend(replace(cfg, **given), symbols=symbols)  # type: ignore[arg-type]


def _check_choices(given: dict[str, str]) -> None:
    from typing import get_args, get_type_hints

    from tts.settings import TextConfig

    for name, value in given.items():
        choices = get_args(get_type_hints(TextConfig)[name])
        if choices and value not in choices:
            raise ConfigError(f"text.{name}={value} should be one of {', '.join(choices)}{nearest(value, choices)}")
