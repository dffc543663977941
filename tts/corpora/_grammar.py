"""A small grammar of everyday English: sentences for a corpus that is spoken on the spot.

A context-free grammar without recursion: a rule is a tuple of alternatives, `{slot}` in an alternative stands for
another rule, and every choice is uniform. Statements are in the past or the future where they
can be, which spares agreement between subject and verb. No word is spelled like another that sounds different ("read",
"live", "close"), so that the sentence alone tells how it is said.
"""

import random
import re
from collections.abc import Iterator

_WORDS = {
    "name": """Anna Peter Maria Daniel Emma Thomas Laura Oliver Julia Simon Helen Martin Alice David Sarah Victor Nina
        Robert Clara Felix Grace Henry Irene Jacob Kate Lucas Megan Nathan Paula Rachel Samuel Walter Edward Diana
        Philip Rosa""",
    "relative": "mother father sister brother uncle aunt cousin grandmother grandfather daughter friend neighbor",
    "job": """teacher doctor farmer baker painter sailor singer driver nurse lawyer gardener butcher carpenter dentist
        engineer fisherman librarian mayor pilot plumber shepherd tailor waiter writer guard judge""",
    "group": "children students tourists workers twins soldiers villagers musicians travelers guests hunters",
    "food": "bread cheese soup rice butter honey chicken salad pasta chocolate yogurt ham cake porridge fish",
    "taste": "fresh warm sweet salty spicy delicious cold hot bitter",
    "fruits": """apples pears plums cherries grapes lemons oranges peaches tomatoes potatoes carrots onions beans
        mushrooms pumpkins""",
    "ate": "ate cooked ordered tasted shared served",
    "bought": "bought sold counted",
    "number": """two three four five six seven eight nine ten eleven twelve thirteen fifteen sixteen twenty thirty forty
        fifty sixty ninety""",
    "thing": """key letter book lamp clock basket bottle ladder hammer blanket umbrella ticket camera suitcase pencil
        mirror candle wallet knife spoon kettle bucket map ring hat coat scarf jacket pillow drum flag shovel""",
    "look": """red blue green yellow black white brown purple silver golden small big large tiny heavy old new broken
        wooden plastic dirty clean expensive cheap empty""",
    "found": "found lost dropped forgot noticed hid cleaned borrowed painted repaired washed needed",
    "find": "find lose drop forget notice hide clean borrow paint repair wash need",
    "mend": "find clean paint repair wash hide",
    "room": "kitchen garden garage cellar attic bedroom library office hallway barn tent forest",
    "landmark": """bridge church station museum fountain river lake castle hospital school bakery windmill lighthouse
        harbor factory theater market hotel stadium airport""",
    "furniture": "table bed sofa bench chair desk piano stairs",
    "walked": "walked ran hurried wandered cycled marched strolled rushed traveled",
    "how": "slowly quickly quietly happily carefully proudly calmly bravely nervously silently gladly",
    "toward": "to toward past around",
    "beside": "near behind beside by",
    "animal": """cat dog rabbit horse goat donkey squirrel mouse fox pigeon eagle owl turtle frog duck tiger lion
        elephant monkey camel""",
    "nature": "lazy wild gentle clever hungry gray friendly fat young brave noisy shy",
    "rested": "slept rested waited jumped played danced hid",
    "chased": "chased followed watched frightened ignored missed",
    "field": "field meadow valley island village street beach hill mountain",
    "felt": "tired thirsty angry happy sad nervous lonely curious surprised sleepy busy sick worried pleased jealous",
    "visit": "visit photograph reach enter describe remember explore",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "city": """London Paris Boston Chicago Dallas Denver Berlin Rome Madrid Dublin Moscow Tokyo Sydney Cairo Venice
        Vienna""",
    "vehicle": "train bus ferry plane truck taxi",
    "subject": "story film concert lesson speech journey answer plan question game joke song painting",
    "quality": "boring exciting strange simple difficult wonderful terrible important beautiful famous funny quiet",
    "instrument": "violin guitar trumpet flute cello organ",
    "often": "always often never usually rarely sometimes",
    "part": "morning evening afternoon",
    "weather": "cloudy sunny windy foggy icy dry rainy",
    "meal": "lunch dinner breakfast supper",
    "season": "summer winter spring autumn",
    "tool": "brush rope stick net towel sponge",
    "made": "laugh cry smile think sing",
    "subjects": "history music chemistry physics French German math geography",
    "sport": "tennis football chess hockey golf baseball cards",
}

_PHRASES = {
    "person": ("{name}", "{name}", "my {relative}", "the {job}", "her {relative}", "the young {job}", "our {relative}"),
    "people": ("the {group}", "{name} and {name}", "my parents", "our neighbors", "they"),
    "anyone": ("{person}", "{people}"),
    "outdoors": ("in {city}", "across the {field}", "on the {field}", "{beside} the {landmark}"),
    "place": (
        "in the {room}",
        "{beside} the {landmark}",
        "under the {furniture}",
        "in {city}",
        "across the {field}",
        "on the {field}",
    ),
    "inside": ("in the {room}", "under the {furniture}", "behind the {furniture}", "{beside} the {landmark}"),
    "when": ("yesterday", "last night", "on {weekday}", "in {month}", "this {part}", "last {season}", "before {meal}"),
    "later": ("tomorrow", "next week", "on {weekday}", "in {month}", "next {season}", "after {meal}", "tonight"),
    "opening": (
        "yesterday",
        "after {meal}",
        "before {meal}",
        "last {season}",
        "one {part}",
        "at midnight",
        "{number} weeks ago",
        "in {month}",
        "after the storm",
        "suddenly",
    ),
    "object": ("the {look} {thing}", "a {look} {thing}", "the {thing}", "his {thing}", "{number} {look} coins"),
}

_STATEMENTS = (
    "{person} {ate} some {taste} {food}",
    "{person} {ate} some {food} {when}",
    "{person} {bought} {number} {fruits} at the market",
    "{anyone} {bought} {fruits}, {fruits}, and {fruits}",
    "{anyone} {found} {object} {when}",
    "{anyone} {found} {object} {inside}",
    "{anyone} {walked} {how} {toward} the {landmark}",
    "{people} {walked} {toward} the {landmark} {when}",
    "the {nature} {animal} {rested} {place}",
    "the {animal} {rested} {how} {beside} the {landmark}",
    "the {nature} {animal} {chased} the {nature} {animal}",
    "{opening}, the {animal} {chased} a {nature} {animal}",
    "{opening}, {anyone} {found} {object}",
    "{opening}, {anyone} {walked} {toward} the {landmark}",
    "{opening}, it snowed in {city}",
    "it rained all {part} {outdoors}",
    "it was {weather} and cold in {city} {when}",
    "the {food} was {taste} and {taste}",
    "the {fruits} were {taste} but cheap",
    "{person} was {felt} and {felt}",
    "{people} were {felt} after the {subject}",
    "{person} was {felt} because the {thing} was gone",
    "{anyone} will {visit} the {landmark} {later}",
    "{anyone} will {find} the {thing} {later}",
    "{opening}, {person} was very {felt}",
    "the {thing} costs {number} dollars",
    "the {look} {thing} is mine",
    "the {vehicle} leaves at {number}",
    "the {vehicle} from {city} to {city} was late",
    "it takes {number} minutes to reach the {landmark}",
    "the {landmark} is {number} miles from {city}",
    "{number} {group} waited {inside}",
    "{name} {often} plays {sport} with {name}",
    "{name} plays the {instrument} every {part}",
    "{person} {often} eats {fruits} for {meal}",
    "the {subject} was {quality}, but {people} enjoyed it",
    "the {subject} was long and {quality}",
    "nobody understood the {quality} {subject}",
    "the {quality} {subject} made us {made}",
    "{name} studies {subjects} and {subjects}",
    "if it rains, we will stay in the {room}",
    "when the bell rang, {people} went home",
    "{person} cut the {food} with a {look} knife",
    "{person} {found} the {tool} and the {tool}",
    "yes, {people} arrived {when}",
    "no, the {thing} is still {inside}",
    "thank you, {name}, for the {quality} {subject}",
    "I saw {number} birds above the {field}",
    "we heard a {quality} {subject} {when}",
    "{person} gave {name} a {look} {thing}",
    "{person} picked some {fruits} and carried the {tool}",
    "everybody likes {taste} {food}",
    "the {weather} {season} surprised {people}",
)

_QUESTIONS = (
    "did {anyone} {find} the {look} {thing}",
    "did you {visit} the {landmark} {when}",
    "where is the {look} {thing}",
    "where did {person} {find} the {thing}",
    "why was {person} so {felt}",
    "why is the {room} so {look}",
    "how many {fruits} did {person} buy",
    "who {found} the {look} {thing} {when}",
    "when does the {vehicle} to {city} leave",
    "have you seen my {look} {thing}",
    "would you like some {taste} {food}",
    "is there any {food} {inside}",
    "can {person} play the {instrument}",
    "was the {subject} {quality} or {quality}",
    "is it {weather} in {city}",
    "{name}, where is your {relative}",
    "will {people} {visit} {city} {later}",
    "do you prefer {subjects} or {subjects}",
)

_EXCLAMATIONS = (
    "what a {quality} {subject}",
    "what a {nature} {animal}",
    "look at that {nature} {animal}",
    "please {mend} the {thing}, {name}",
    "do not {mend} the {look} {thing}",
    "hurry, the {vehicle} is leaving",
    "good {part}, {name}",
    "how {quality} the {field} is",
    "we won the {subject}",
    "bring me the {tool}, please",
    "never {visit} the {landmark} at night",
    "happy birthday, {name}",
)

RULES: dict[str, tuple[str, ...]] = {
    **{slot: tuple(words.split()) for slot, words in _WORDS.items()},
    **_PHRASES,
    "statement": _STATEMENTS,
    "question": _QUESTIONS,
    "exclamation": _EXCLAMATIONS,
}
# Two statements for each question or exclamation, roughly as people talk.
_KINDS = (("statement", "."),) * 5 + (("question", "?"),) * 2 + (("exclamation", "!"),)
_MAY_REPEAT = {"the", "a", "an", "and", "in", "my", "our", "to", "was", "so"}
MIN_WORDS, MAX_WORDS = 3, 10


def sentences(seed: int) -> Iterator[str]:
    """Different sentences of three to ten words, without end; the same ones for the same seed."""
    rng = random.Random(seed)
    seen = set()
    while True:
        kind, mark = rng.choice(_KINDS)
        text = _expand(kind, rng)
        words = re.findall(r"[a-z']+", text.lower())
        content = [word for word in words if word not in _MAY_REPEAT]
        if MIN_WORDS <= len(words) <= MAX_WORDS and len(set(content)) == len(content) and text not in seen:
            seen.add(text)
            yield text[0].upper() + text[1:] + mark


def vocabulary() -> set[str]:
    """Every word that a sentence can hold, in lower case."""
    text = " ".join(alternative for alternatives in RULES.values() for alternative in alternatives)
    return set(re.findall(r"[a-z']+", re.sub(r"{\w+}", " ", text).lower())) | {"an"}


def _expand(rule: str, rng: random.Random) -> str:
    """One sentence or phrase of a rule, with its articles agreeing."""
    chosen = rng.choice(RULES[rule])
    text = re.sub(r"{(\w+)}", lambda slot: _expand(slot[1], rng), chosen)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
