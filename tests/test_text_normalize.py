"""Normalisation steps, by example."""

import re

import pytest

from tts.errors import ConfigError
from tts.settings import TextConfig
from tts.text.normalize import (
    STEPS,
    check_steps,
    expand_abbreviations,
    expand_currency,
    expand_numbers,
    normalize,
    plain_punctuation,
)

CASES = """
1905 | nineteen oh five
2005 | two thousand five
2010 | twenty ten
in 1984, | in nineteen eighty-four,
1026 Main | ten twenty-six Main
£1200 | one thousand two hundred pounds
the 1800s | the eighteen hundreds
the 1980s | the nineteen eighties
the 2000s | the two thousands
the '60s | the sixties
of '64 | of sixty-four
1st 2nd 3rd 21st 101st | first second third twenty-first one hundred first
the 14th June | the fourteenth June
3.14 | three point one four
.5 | point five
1,234,567 | one million two hundred thirty-four thousand five hundred sixty-seven
629 | six hundred twenty-nine
2875 | two thousand eight hundred seventy-five
1/2 3/4 2/3 | one half three quarters two thirds
5 1/2 | five and a half
3½ cups | three and a half cups
9/11 | nine eleven
24/7 | twenty-four seven
11/22/63 | eleven twenty-two sixty-three
2024-01-15 | twenty twenty-four zero one fifteen
555-1234 | five five five, one two three four
3:30 | three thirty
3:05 | three oh five
3:00 | three o'clock
15:00 | fifteen hundred
12:00 p.m. | twelve p.m.
3 PM | three p.m.
7:30pm | seven thirty p.m.
3:1 | three to one
50% | fifty percent
10.5 % | ten point five percent
-5 | minus five
it is -5°C | it is minus five degrees Celsius
1°F | one degree Fahrenheit
10-15 | ten to fifteen
1914–18 | nineteen fourteen to eighteen
5-year-old | five-year-old
Henry VIII | Henry the eighth
Charles II. in the | Charles the second in the
George I think | George I think
World War II | World War two
Chapter IV | Chapter four
Part X5 | Part X five
B52 | B fifty-two
rifle C2766 | rifle C two seven six six
007 | zero zero seven
1234567890123456 | one two three four five six seven eight nine zero one two three four five six
box 2915 | box two nine one five
v1.2.3 | v one point two point three
٣ apples | three apples
10⁵ | ten to the power of five
x² and m³ | x squared and m cubed
$3.50 | three dollars, fifty cents
$0.50 | fifty cents
$1.01 | one dollar, one cent
$1,500.75 | one thousand five hundred dollars, seventy-five cents
$2 million | two million dollars
$2.5m | two point five million dollars
$3.125 | three point one two five dollars
-$5 | minus five dollars
$5-10 | five dollars to ten
£2 £0.01 | two pounds one penny
€5 and 5€ | five euros and five euros
1¢ 50¢ | one cent fifty cents
the $ sign | the dollar sign
Dr. Lee of Oak Dr. | Doctor Lee of Oak Drive.
St. Paul, Main St. is | Saint Paul, Main Street is
Mr. & Mrs. Smith | Mister and Missus Smith
Mr Lee, Prof. Ray | Mister Lee, Professor Ray
No. 5, nos. 3 | Number five, numbers three
He said no. Five | He said no. Five
Vol. II | Vol. II
Smith & Co., Inc. | Smith and Company, Incorporated.
etc. and etc. | et cetera and et cetera.
e.g. this, i.e. that | for example this, that is that
Jan. 5, 1999 | January five, nineteen ninety-nine
pp. 3-4 | pages three to four
the U.S. in 1 km | the U.S. in one kilometer
60 km/h, 10 lbs. | sixty kilometers per hour, ten pounds.
R&D and/or AT&T | R and D and or A.T. and T.
a + b = c | a plus b equals c
me@example.com | me at example dot com
#5 #tag C# | number five hashtag tag C sharp
cat/dog | cat slash dog
“Hi”—it’s… | "Hi" - it's...
naïve Führer Æsop | naive Fuhrer Aesop
ﬁve ｆｕｌｌ | five full
a -- b | a - b
AD 79 | A.D. seventy-nine
{AH0 5} 5{B}5 {Dr. $3} | {AH0 5} five {B} five {Dr. $3}
"""
CASES = [tuple(part.strip() for part in line.rsplit("|", 1)) for line in CASES.strip().splitlines()]


def test_there_are_enough_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize(("text", "expected"), [case for case in CASES if case[0] != "Vol. II"])
def test_default_steps(text, expected):
    assert normalize(text, TextConfig().steps) == expected


@pytest.mark.parametrize(("text", "_"), CASES)
def test_no_digit_is_left(text, _):
    outside = re.sub(r"\{[^{}]*\}", "", normalize(text, TextConfig().steps))
    assert not re.search(r"\d", outside)


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        (plain_punctuation, "‘a’ – b", "'a' - b"),
        (expand_abbreviations, "Capt. Fritz", "Captain Fritz"),
        (expand_currency, "$2 and 2", "two dollars and 2"),
        (expand_numbers, "2 at 40%", "two at forty percent"),
    ],
)
def test_each_step_alone(step, text, expected):
    assert step(text) == expected
    assert step("{“2% &” Dr. $3}") == "{“2% &” Dr. $3}"


def test_default_steps_are_known_and_others_are_not():
    check_steps(TextConfig().steps)
    assert set(TextConfig().steps) == set(STEPS)
    with pytest.raises(ConfigError, match="did you mean 'expand_currency'"):
        check_steps(["expand_curency"])


@pytest.mark.parametrize(
    "text", ["King Henry IIII died.", "Chapter XXXX begins.", "Type VX gas.", "The clock says Roman IIII now."]
)
def test_what_only_looks_like_a_roman_numeral_stays(text):
    assert normalize(text, ["expand_numbers"]) == text
