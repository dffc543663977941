"""Rules for amounts: money, percentages, temperatures, measures, dimensions."""

import re

from tts.text.rules import DASH, NUMBER, QUANTITY, STREET, Context, Rule, rule
from tts.text.tables import MAGNITUDES, words_of
from tts.text.units import CODES, PER, SHY, SIGNS, UNITS, Currency

_LONG = r"(?P<long>hundred|thousand|million|billion|trillion|quadrillion)"
_SHORT = rf"(?P<short>{'|'.join(sorted(MAGNITUDES, key=len, reverse=True))})"
_SCALE = rf"(?:\s?{_SHORT}(?!\w|\.\w)|(?P<joint>[ -]){_LONG}(?:s|\b))?"
_SIGN = "|".join(re.escape(sign) for sign in sorted(SIGNS, key=len, reverse=True))
_CODE = "|".join(CODES)
# A noun that an amount describes: a five dollar bill.
_DESCRIBED = re.compile(
    r"[ -](?:bill|note|coin|fine|ticket|prize|deal|fee|check|cheque|bet|stamp|question|discount|charge|tip|deposit|"
    r"gift|reward|budget|loan|grant|contract|project|lawsuit|settlement|investment|house|home|mansion|donation|bonus|"
    r"menu|meal|plan|fund|penalty|surplus|deficit|package|program|industry|company|business|market|bond|bail|"
    r"co-pay|copay|raise|increase|cut|purse|price|entry|minimum|word|job|haircut|coupon|voucher|card|range|"
    r"a-[a-z]+)\b"
)
_ARTICLES = words_of("a an the this that his her my our your their its one another each every")


def _scale(match: re.Match[str]) -> str:
    short = match.group("short")
    return MAGNITUDES[short] if short else match.group("long") or ""


def _coins(number: str, currency: Currency, context: Context) -> str | None:
    """Dollars and cents, where the number has two decimals; else None."""
    whole, point, part = number.replace(",", "").partition(".")
    if not currency.cent or not point or len(part) > 2 or len(whole) > 15:
        return None
    n, cents = int(whole or 0), int(part.ljust(2, "0"))
    said = []
    if n or not cents:
        said.append(f"{context.words.cardinal(n)} {currency.one if n == 1 else currency.many}")
    if cents:
        said.append(f"{context.words.cardinal(cents)} {currency.cent if cents == 1 else currency.cents}")
    return " and ".join(said)


def _described(match: re.Match[str], context: Context) -> bool:
    """Whether an amount stands before a noun that it describes, and is said without a plural."""
    if match.group("joint") == "-":
        return True
    following = _DESCRIBED.match(match.string, match.end())
    return following is not None and (context.before() in _ARTICLES or following.group().startswith("-"))


def _amount(match: re.Match[str], currency: Currency, context: Context) -> str:
    number, to, scale = match.group("number"), match.groupdict().get("to"), _scale(match)
    number = re.sub(r"^(\d{1,3}),(\d\d)$", r"\1.\2", number)
    minus = "minus " if match.groupdict().get("minus") or match.groupdict().get("after") else ""
    single = _described(match, context)
    if to:
        many = currency.one if single else currency.many
        return f"{minus}{context.quantity(number)} to {context.quantity(to)} {scale} {many}".replace("  ", " ")
    coins = None if scale else _coins(number, currency, context)
    if coins:
        return minus + coins
    if not scale and re.fullmatch(r"1[1-9]00", number):  # fifteen hundred dollars
        return f"{minus}{context.words.year(int(number))} {currency.one if single else currency.many}"
    only = not scale and number in ("1", "01")
    name = currency.one if only or single else currency.many
    return f"{minus}{context.quantity(number)} {scale} {name}".replace("  ", " ")


def _signed(match: re.Match[str], context: Context) -> str:
    return _amount(match, SIGNS[match.group("sign").replace(".", "")], context) + _per(match, context)


def _coded(match: re.Match[str], context: Context) -> str:
    return _amount(match, CODES[match.group("code")], context)


def _per(match: re.Match[str], context: Context) -> str:
    per = match.groupdict().get("per")
    if not per:
        return ""
    return f" per {UNITS[per].one if per in UNITS else PER.get(per, per)}"


def _cents(match: re.Match[str], context: Context) -> str:
    return f"{context.quantity(match.group(1))} {'cent' if match.group(1) == '1' else 'cents'}"


# Units -----------------------------------------------------------------------------------------------------------

_PART = r"\d{1,2}/\d{1,3}|[½¼¾⅓⅔⅛⅜⅝⅞]"  # less than one of a unit
_POWERS = {"²": "square", "2": "square", "³": "cubic", "3": "cubic"}
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_PER = "|".join(re.escape(unit) for unit in sorted({*UNITS, *PER}, key=len, reverse=True))
_MARK_NEXT = re.compile(
    r"\s*(?:[,;:!?)\]\"]|\.(?!\w)|\Z|-(?!\w)|/|(?:and|or|by|of|x|per|at|from|to|in|wide|long|tall|high|deep)\b)"
)


def _measure(match: re.Match[str], context: Context) -> str | None:
    number, to, written = match.group("number"), match.groupdict().get("to"), match.group("unit")
    glued = match.group("gap") == ""
    end = match.end()
    if written in SHY and not glued and not match.group("per"):
        dotted = match.group().endswith(".")
        if (
            written == "in"
            and not dotted
            and not re.match(
                r"\s*(?:[,;)\]]|\.(?!\w)|\Z|(?:x|by|tall|wide|long|high|deep|thick)\b)", match.string[end : end + 8]
            )
        ):
            return None
        if (
            not dotted
            and written not in ("m", "g", "W", "K", "V", "s", "L")
            and not _MARK_NEXT.match(match.string, end)
        ):
            return None
    if glued and written in ("s", "t", "N", "J", "K", "pt") and not (written == "s" and "." in number):
        return None
    if glued and written == "m" and re.fullmatch(r"\d{1,2}\s?h(?:rs?)?", context.before()):  # 2h 30m
        written = "min"
    unit = UNITS[written]
    power = match.group("power")
    before = f"{_POWERS[power]} " if power else ""
    alone = not to and (number == "1" or re.fullmatch(_PART, number) is not None)
    describes = context.before() in ("a", "an") and re.match(r"\s[a-z]{3,}", match.string[end : end + 5]) is not None
    hyphened = describes or match.group("gap") == "-" or re.match(r"-[A-Za-z]", match.string[end : end + 2]) is not None
    name = unit.one if alone or hyphened else unit.many
    scale = f" {match.group('long')}" if match.group("long") else ""
    said = context.quantity(number) + (f" to {context.quantity(to)}" if to else "")
    minus = "minus " if match.group("minus") else ""
    ending = {"²": " squared", "³": " cubed"}.get(match.group("squared") or "", "")
    return f"{minus}{said}{scale} {before}{name}{_per(match, context)}{ending}"


def _feet(match: re.Match[str], context: Context) -> str | None:
    feet, inches = match.group(1), match.group(2)
    said = f"{context.words.whole(feet)} {'foot' if feet == '1' else 'feet'}"
    return f"{said} {context.quantity(inches)}" + ("" if not inches else " inch" if inches == "1" else " inches")


def _only_feet(match: re.Match[str], context: Context) -> str | None:
    if re.search(r"(?<!\w)'(?=\w)[^']*\Z", match.string[max(0, match.start() - 200) : match.start()]):
        return None  # a closing quote
    return f"{context.words.whole(match.group(1))} {'foot' if match.group(1) == '1' else 'feet'}"


def _only_inches(match: re.Match[str], context: Context) -> str | None:
    if match.string.count('"', max(0, match.start() - 500), match.start()) % 2:
        return None  # a closing quote
    number = match.group(1)
    return f"{context.quantity(number)} {'inch' if number == '1' or re.fullmatch(_PART, number) else 'inches'}"


def _degrees(match: re.Match[str], context: Context) -> str:
    number, to, scale = match.group("number"), match.group("to"), match.group("scale")
    minus = "minus " if match.group("minus") else ""
    said = minus + context.quantity(number) + (f" to {context.quantity(to)}" if to else "")
    name = {
        "C": " Celsius",
        "F": " Fahrenheit",
        "K": " Kelvin",
        "N": " north",
        "S": " south",
        "E": " east",
        "W": " west",
    }
    shape = re.match(
        r"\s(?:angle|turn|rotation|view|bend|arc|heat|weather)\b", match.string[match.end() : match.end() + 10]
    )
    return f"{said} {'degree' if shape or (number == '1' and not to) else 'degrees'}{name.get(scale or '', '')}"


def _glued_degrees(match: re.Match[str], context: Context) -> str | None:
    minus = "minus " if match.group(1) else ""
    scale = "Celsius" if match.group(3) == "C" else "Fahrenheit"
    return f"{minus}{context.quantity(match.group(2))} degrees {scale}"


def _percent(match: re.Match[str], context: Context) -> str:
    number, to = match.group("number"), match.group("to")
    sign = {"-": "minus ", "−": "minus ", "+": "plus ", "±": "plus or minus ", "~": "about "}.get(
        match.group("minus") or "", ""
    )
    word = "percent" if match.group("sign") == "%" else "per mille"
    said = context.quantity(number) + (f" to {context.quantity(to)}" if to else "")
    return f"{sign}{said} {word}"


def _dimensions(match: re.Match[str], context: Context) -> str:
    said = " by ".join(_side(part, context) for part in re.split(r"\s?[x×]\s?", match.group("sides")))
    unit = match.group("unit")
    return f"{said} {UNITS[unit].many}" if unit else said


def _side(written: str, context: Context) -> str:
    in_pairs = re.fullmatch(r"1[0-9]\d\d|2[01][1-9]\d", written) is not None
    return context.words.pairs(written) if in_pairs else context.quantity(written)


def _times(match: re.Match[str], context: Context) -> str:
    return f"{context.quantity(match.group(1))} times"


def _scaled(match: re.Match[str], context: Context) -> str | None:
    short = match.group(2)
    if short == "B" and context.before() in _NUMBERED_PLACES:
        return None
    if STREET.match(match.string, match.end(2)):  # 221B Baker Street
        return None
    raced = short == "K" and match.group(1) in ("5", "10") and context.before() in ("a", "the")
    if (
        raced
        or match.group() in ("3M", "4K", "8K", "2K")
        or (short == "K" and match.group(1) in ("1", "5", "10") and _RACE.match(match.string, match.end()))
    ):
        return None
    return f"{context.quantity(match.group(1))} {MAGNITUDES[short]}{'' if not match.group(3) else ' plus'}"


_NUMBERED_PLACES = words_of("# apt apartment unit suite room seat gate exhibit platform section row flat grade")
_RACE = re.compile(r"\s(?:run|race|walk)\b")
_TO = rf"(?:{DASH}(?P<to>{QUANTITY}))?"
_MINUS = r"(?P<minus>[-−])?"

_PRICE = rf"(?:\d{{1,3}},\d\d(?![\d,.])|{NUMBER})"  # also with a comma before the cents
MONEY: tuple[Rule, ...] = (
    rule(
        "amount of money",
        "money",
        rf"(?P<minus>[-−]\s?)?(?P<sign>{_SIGN}|U\.S\.\$)\s?(?P<after>-)?(?P<number>{_PRICE})"
        rf"(?:{DASH}(?:{_SIGN})?(?P<to>{NUMBER})(?![\d-]))?{_SCALE}(?:\s?/\s?(?P<per>{_PER}|[a-z]+)\b)?(?!\d)",
        _signed,
    ),
    rule("money by its code", "money", rf"(?P<minus>-)?(?P<code>{_CODE})\s?(?P<number>{_PRICE}){_SCALE}(?!\d)", _coded),
    rule("money by its code", "money", rf"(?P<number>{_PRICE}){_SCALE}\s?(?P<code>{_CODE})\b", _coded),
    rule("amount of money", "money", rf"(?P<number>{_PRICE}){_SCALE}\s?(?P<sign>[$£€¥₹₽₩₪₴₺])(?!\w|\s?\d)", _signed),
    rule("cents", "money", rf"({NUMBER})\s?¢", _cents),
)
AMOUNTS: tuple[Rule, ...] = (
    rule("percentage", "percent", rf"(?P<minus>[-−+±~])?(?P<number>{QUANTITY})\s?%?{_TO}\s?(?P<sign>[%‰])", _percent),
    rule(
        "degrees",
        "temperature",
        rf"{_MINUS}(?P<number>{QUANTITY})(?:\s?°)?{_TO}\s?°(?:\s?(?P<scale>[CFKNSEW])(?!\w))?",
        _degrees,
    ),
    rule(
        "degrees without a sign",
        "temperature",
        r"([-−])?(\d{2,3}(?:\.\d+)?)\s?([CF])(?![\w-])(?!\.\w)",
        _glued_degrees,
        "likely",
    ),
    rule("feet and inches", "measure", r"(\d+)\s?'\s?(\d{1,2}(?:\.\d+|½|¼|¾)?)\s?(?:\"|'')", _feet),
    rule("feet and inches", "measure", r"(\d+)'(\d{1,2})(?![\w'])", _feet, "likely"),
    rule(
        "dimensions",
        "measure",
        rf"(?P<sides>{NUMBER}(?:\s?[x×]\s?{NUMBER}){{1,4}})(?:\s?(?P<unit>{_UNIT})\b)?(?!\w|\s?=)",
        _dimensions,
    ),
    rule(
        "number and unit",
        "measure",
        rf"{_MINUS}(?P<number>{QUANTITY}){_TO}(?:\s(?P<long>million|billion|thousand|hundred|trillion))?(?P<gap>\s?|-)"
        rf"(?P<unit>{_UNIT})(?P<power>[²³]|[23](?!\w))?(?:/(?P<per>{_PER})(?![A-Za-z\d])(?P<squared>[²³])?)?(?!\w|'\w|[²³])(?:\.(?=\s+[a-z\d]|[,;:)])|(?<=in)\.)?",
        _measure,
    ),
    rule("feet", "measure", r"(\d+)'(?=[\s,.;]|\Z)", _only_feet, "likely"),
    rule("inches", "measure", rf"({QUANTITY})\"(?!\w)", _only_inches, "likely"),
    rule("times", "measure", rf"({NUMBER})[x×](?!\w)", _times),
    rule("number with a magnitude", "cardinal", rf"({NUMBER})\s?(k|K|M|B|bn|mn|tn)(?!\w|\.\w)(\+)?", _scaled, "likely"),
)
