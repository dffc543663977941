"""Numbers in words, by num2words: cardinals, ordinals, years, decimals, fractions, codes; the US way or the UK's."""

import functools
import re
from typing import Literal

LONGEST = 15  # digits; longer runs are codes, read digit by digit

_ROMAN = re.compile(r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
# The parts of a whole that are said as fractions; others are said with "over".
_PARTS = frozenset((*range(2, 13), 16, 20, 32, 40, 50, 60, 64, 100, 128, 256, 1000))


@functools.lru_cache(maxsize=1 << 14)
def _num2words(n: int, to: Literal["cardinal", "ordinal"]) -> str:
    from num2words import num2words

    return str(num2words(n, to=to)).replace(",", "")


class NumberWords:
    """Numbers as they are said.

    Args:
        style: "us" says `one hundred five`, "uk" `one hundred and five`.
    """

    def __init__(self, style: Literal["us", "uk"]):
        self.style = style

    def _styled(self, words: str) -> str:
        return words if self.style == "uk" else words.replace(" and ", " ")

    def cardinal(self, n: int) -> str:
        """1105 is `one thousand one hundred five`."""
        return self._styled(_num2words(n, "cardinal"))

    def ordinal(self, n: int) -> str:
        """121 is `one hundred twenty-first`."""
        return self._styled(_num2words(n, "ordinal"))

    def digits(self, digits: str) -> str:
        """Digit by digit: `907` is `nine zero seven`; what is no digit is left out."""
        return " ".join(_num2words(int(digit), "cardinal") for digit in digits if digit.isdecimal())

    def year(self, year: int) -> str:
        """A year as it is said: `nineteen oh five`, `two thousand five`, `twenty ten`."""
        century, rest = divmod(year, 100)
        if not 1000 < year < 10000 or (century % 10 == 0 and rest < 10):
            return self.cardinal(year)
        return self.pairs(str(year))

    def pairs(self, digits: str) -> str:
        """Numbers of rooms and houses: `605` is `six oh five`, `1026` is `ten twenty-six`, `300` is `three hundred`."""
        if len(digits) not in (3, 4) or digits[0] == "0" or digits.endswith("000"):
            return self.digits(digits) if len(digits) > 4 or digits[0] == "0" else self.cardinal(int(digits))
        first, rest = self.cardinal(int(digits[:-2])), int(digits[-2:])
        if rest == 0:
            return f"{first} hundred"
        return f"{first} {'oh ' if rest < 10 else ''}{self.cardinal(rest)}"

    def whole(self, digits: str) -> str:
        """A run of digits, commas allowed; one that begins with a zero, or is too long, is said digit by digit."""
        digits = digits.replace(",", "")
        if len(digits) > LONGEST or (len(digits) > 1 and digits[0] == "0"):
            return self.digits(digits)
        return self.cardinal(int(digits))

    def decimal(self, written: str) -> str:
        """`3.14` is `three point one four`, `.5` is `point five`; also a whole number."""
        whole, point, fraction = written.partition(".")
        if not point:
            return self.whole(whole)
        return f"{self.whole(whole) if whole else ''} point {self.digits(fraction)}".strip()

    def fraction(self, above: int, below: int) -> str:
        """`1/2` is `one half`, `3/4` `three quarters`, `7/13` `seven over thirteen`."""
        if below not in _PARTS:
            return f"{self.cardinal(above)} over {self.cardinal(below)}"
        part = {2: "half", 4: "quarter"}.get(below) or self.ordinal(below)
        many = "halves" if below == 2 else f"{part}s"
        return f"{self.cardinal(above)} {part if above == 1 else many}"

    def mixed_fraction(self, whole: str, above: int, below: int) -> str:
        """`2 1/2` is `two and a half`."""
        said = self.fraction(above, below)
        if above == 1 and below in _PARTS:
            said = f"{'an' if said.startswith(('one eighth', 'one eleventh')) else 'a'} {said.partition(' ')[2]}"
        return f"{self.whole(whole)} and {said}"

    def decade(self, century: str, tens: str) -> str:
        """`1980s` is `nineteen eighties`; the century may be empty."""
        if tens == "00":
            said = f"{century}00"
            words = self.cardinal(int(said)) if century in ("10", "20") else f"{self.cardinal(int(century))} hundred"
            return plural(words)
        words = plural("ten" if tens == "10" else self.cardinal(int(tens)))
        return f"{self.cardinal(int(century))} {words}" if century else words


def plural(words: str) -> str:
    """Of a number's last word: `eighties`, `sixes`, `hundreds`."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return words + ("es" if words.endswith(("x", "s", "ch", "sh")) else "s")


def roman(numeral: str) -> int:
    """The value of a roman numeral up to 399 in capitals; 0 for what is none, such as IIII."""
    if not _ROMAN.fullmatch(numeral):
        return 0
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def is_fraction(above: int, below: int) -> bool:
    """Whether `above/below` is more likely a part of a whole than anything else."""
    return below in _PARTS and 0 < above < below
