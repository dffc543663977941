"""Rules for what is written for machines: addresses of the web and of e-mail, file names, hashtags, mentions."""

import re

from tts.text.rules import Context, Rule, rule, spelled
from tts.text.tables import words_of
from tts.text.vocabulary import is_word

_ENDINGS = (
    "com|org|net|edu|gov|mil|int|io|co|ai|app|dev|info|biz|tv|me|us|uk|ca|de|fr|eu|jp|au|nz|in|ch|nl|se|no|es|it|ru|cn|"
    "br|xyz|online|site|store|blog|tech|ly|gg|fm|be|at|dk|fi|pl|ie|nyc|museum|example|test|local"
)
_FILES = (
    "pdf|jpe?g|png|gif|svg|txt|py|js|ts|html?|css|exe|zip|tar|gz|docx?|xlsx?|pptx?|csv|tsv|json|mp3|mp4|wav|flac|mov|avi|"
    "md|xml|ya?ml|toml|sh|cpp|java|rb|php|sql|log|ini|cfg|bat|dll|iso|dmg|apk|ipynb|tex|bmp|webp|psd"
)
_SAID_FILES = words_of("zip log tar java doc bat toml gif wav yaml json tex")  # endings that are said as words
_SIGNS = {
    **{".": "dot", "/": "slash", "-": "dash", "_": "underscore", ":": "colon", "@": "at", "?": "question mark"},
    **{
        "=": "equals",
        "&": "and",
        "#": "hash",
        "%": "percent",
        "+": "plus",
        "~": "tilde",
        ",": "comma",
        ";": "semicolon",
    },
    **{"!": "exclamation point", "*": "asterisk", "$": "dollar", "'": "apostrophe", "(": "parenthesis", "|": "bar"},
    **{")": "parenthesis", "[": "bracket", "]": "bracket", "\\": "backslash", "^": "caret", "·": "dot", "–": "dash"},
}
_SPELLED = words_of("edu uk us tv ai io fm")
_WORDS = words_of("com org net gov mil info biz app dev co me")  # endings that are said as words
_CAMEL = re.compile(r"[A-Z]{2,}(?=[A-Z][a-z]|\d|\b|_|s\b)|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")


def _piece(piece: str, context: Context) -> str:
    """A run of letters, as a word or spelled."""
    lower = piece.lower()
    if lower in _SPELLED:
        return spelled(piece.upper())
    if lower in _WORDS or (
        is_word(lower) and (len(piece) > 2 or lower in ("my", "go", "we", "it", "to", "is", "in", "at"))
    ):
        return lower if not (piece.isupper() and len(piece) > 1 and len(piece) <= 3) else spelled(piece.upper())
    vowels = re.search(r"[aeiouy]", lower)
    return lower if vowels and len(piece) > 3 else spelled(piece.upper())


def _address(written: str, context: Context) -> str:
    """Names, numbers and signs, one after the other."""
    said = []
    for part in re.findall(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]", written):
        if part.isdecimal():
            said.append(
                context.words.whole(part)
                if len(part) < 3
                else context.words.digits(part)
                if len(part) != 4
                else context.words.pairs(part)
            )
        elif part[0].isalpha():
            said.append(_piece(part, context))
        elif part in _SIGNS:
            said.append(_SIGNS[part])
    return " ".join(said)


def _url(match: re.Match[str], context: Context) -> str:
    return _address(match.group(), context)


def _split_name(written: str, context: Context) -> str:
    """A name without spaces as words: `ThrowbackThursday2020`."""
    said = []
    for part in _CAMEL.findall(written.replace("_", " ")):
        if part.isdecimal():
            said.append(context.words.year(int(part)) if len(part) == 4 else context.words.whole(part))
        elif part.isupper() and 1 < len(part) <= 5 and not (len(part) > 3 and is_word(part.lower())):
            said.append(spelled(part))
        elif len(part) == 1 and part not in "aAI":
            said.append(spelled(part.upper()))
        else:
            said.append(part.lower() if not part.isascii() else part)
    return " ".join(said)


def _hashtag(match: re.Match[str], context: Context) -> str | None:
    said = _split_name(match.group(1), context)
    return f"hashtag {said}" if said.isascii() and said else None


def _mention(match: re.Match[str], context: Context) -> str | None:
    said = (
        _address(match.group(1), context)
        if "_" in match.group(1) or "." in match.group(1)
        else _split_name(match.group(1), context)
    )
    return f"at {said}" if said.isascii() and said else None


def _file(match: re.Match[str], context: Context) -> str | None:
    ending = match.group(2).lower()
    said = ending if ending in _SAID_FILES else spelled(ending.upper())
    return f"{_address(match.group(1), context)} dot {said}"


_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})"
_CLEAN_END = r"(?<![.,;:!?'\")\]])"
WEB: tuple[Rule, ...] = (
    rule(
        "e-mail address",
        "email",
        rf"[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}@(?:{_NAME}\.){{1,6}}[A-Za-z]{{2,12}}(?!\w)",
        _url,
    ),
    rule("web address", "url", rf"(?:https?|ftp)://[!#-;=?-z|~]{{1,2000}}{_CLEAN_END}", _url, any_case=True),
    rule("web address", "url", rf"www\.[!#-;=?-z|~]{{1,2000}}{_CLEAN_END}", _url, any_case=True),
    rule("file name", "url", rf"([A-Za-z0-9][A-Za-z0-9_-]{{0,60}})\.({_FILES})(?![\w/]|\.\w)", _file, "likely"),
    rule(
        "web address",
        "url",
        rf"(?:{_NAME}\.){{1,6}}(?:{_ENDINGS})(?![\w-]|\.\w)(?::\d{{1,5}})?(?:/[!#-;=?-z|~]{{0,2000}}{_CLEAN_END})?",
        _url,
    ),
)
TAGS: tuple[Rule, ...] = (
    rule("hashtag", "hashtag", r"#([^\W\d]\w{0,100})", _hashtag),
    rule("mention", "mention", r"@([A-Za-z_][\w.]{0,60}(?<!\.))", _mention),
    rule(
        "ending of web addresses",
        "url",
        r"\.(com|org|net|NET|edu|gov|io)(?!\w)",
        lambda match, context: f"dot {_piece(match.group(1).lower(), context)}",
    ),
)
