"""Units and currencies: what is written after or before a number, and how one and many of it are called."""

from typing import NamedTuple


class Unit(NamedTuple):
    """How a unit is called."""

    one: str
    many: str


class Currency(NamedTuple):
    """How an amount of money is called."""

    one: str
    many: str
    cent: str  # one hundredth; empty where nobody counts in it
    cents: str


def _regular(**names: str) -> dict[str, Unit]:
    return {written: Unit(name, f"{name}s") for written, name in names.items()}


def _same(**names: str) -> dict[str, Unit]:
    return {written: Unit(name, name) for written, name in names.items()}


UNITS: dict[str, Unit] = {
    **_regular(km="kilometer", m="meter", cm="centimeter", mm="millimeter", nm="nanometer", dm="decimeter"),
    **_regular(
        mi="mile", yd="yard", yds="yard", kg="kilogram", kgs="kilogram", g="gram", mg="milligram", mcg="microgram"
    ),
    **_regular(lb="pound", lbs="pound", oz="ounce", l="liter", L="liter", ml="milliliter", mL="milliliter"),
    **_regular(
        dl="deciliter", dL="deciliter", cl="centiliter", gal="gallon", qt="quart", tbsp="tablespoon", tsp="teaspoon"
    ),
    **_regular(h="hour", hr="hour", hrs="hour", min="minute", mins="minute", s="second", sec="second", secs="second"),
    **_regular(
        ms="millisecond", ns="nanosecond", yr="year", yrs="year", wk="week", wks="week", mo="month", mos="month"
    ),
    **_regular(KB="kilobyte", kB="kilobyte", MB="megabyte", GB="gigabyte", TB="terabyte", PB="petabyte"),
    **_regular(Kb="kilobit", Mb="megabit", Gb="gigabit", KiB="kibibyte", MiB="mebibyte", GiB="gibibyte"),
    **_regular(W="watt", kW="kilowatt", MW="megawatt", GW="gigawatt", mW="milliwatt", kWh="kilowatt hour"),
    **_regular(MWh="megawatt hour", V="volt", kV="kilovolt", mV="millivolt", mA="milliamp", mAh="milliamp hour"),
    **_regular(J="joule", kJ="kilojoule", cal="calorie", kcal="kilocalorie", N="newton", Pa="pascal", kPa="kilopascal"),
    **_regular(hPa="hectopascal", MPa="megapascal", dB="decibel", px="pixel", ha="hectare", ac="acre", MP="megapixel"),
    **_regular(mol="mole", amp="amp", amps="amp", doz="dozen", pt="pint", pts="point", t="metric ton", cc="C.C."),
    **_same(
        Hz="hertz", kHz="kilohertz", MHz="megahertz", GHz="gigahertz", THz="terahertz", psi="P.S.I.", hp="horsepower"
    ),
    **_same(
        rpm="R.P.M.", fps="frames per second", dpi="dots per inch", ppm="parts per million", ppb="parts per billion"
    ),
    **_same(bps="bits per second", kbps="kilobits per second", Kbps="kilobits per second", Mbps="megabits per second"),
    **_same(Gbps="gigabits per second", BTU="B.T.U.", bpm="beats per minute", K="kelvin"),
    "in": Unit("inch", "inches"),
    "ft": Unit("foot", "feet"),
    "mph": Unit("mile per hour", "miles per hour"),
    "kph": Unit("kilometer per hour", "kilometers per hour"),
    "kmh": Unit("kilometer per hour", "kilometers per hour"),
    "mpg": Unit("mile per gallon", "miles per gallon"),
    "mi/h": Unit("mile per hour", "miles per hour"),
    "µm": Unit("micrometer", "micrometers"),
    "µg": Unit("microgram", "micrograms"),
    "µs": Unit("microsecond", "microseconds"),
    "Ω": Unit("ohm", "ohms"),
    "kΩ": Unit("kilohm", "kilohms"),
    "sq ft": Unit("square foot", "square feet"),
    "sq. ft.": Unit("square foot", "square feet"),
    "sq mi": Unit("square mile", "square miles"),
    "sq. mi.": Unit("square mile", "square miles"),
    "sq m": Unit("square meter", "square meters"),
    "sq. km": Unit("square kilometer", "square kilometers"),
    "sq. m": Unit("square meter", "square meters"),
    "Nm": Unit("newton meter", "newton meters"),
    "atm": Unit("atmosphere", "atmospheres"),
    "sq km": Unit("square kilometer", "square kilometers"),
    "cu ft": Unit("cubic foot", "cubic feet"),
    "cu. ft.": Unit("cubic foot", "cubic feet"),
    "fl oz": Unit("fluid ounce", "fluid ounces"),
    "fl. oz.": Unit("fluid ounce", "fluid ounces"),
}
# Too easily something else: a unit only where it has a point, or stands right behind the number or before a mark.
SHY = frozenset(
    {"in", "s", "h", "g", "t", "l", "L", "m", "N", "J", "V", "K", "W", "ac", "mo", "pt", "amp", "ms", "cal"}
)
# "per" what, where it is no unit of the table.
PER = {
    **{"d": "day", "day": "day", "week": "week", "month": "month", "year": "year", "hour": "hour", "person": "person"},
    **{"night": "night", "minute": "minute", "second": "second", "kg": "kilogram", "capita": "capita"},
}
_DOLLARS = {
    **{"": "", "US": "US", "U.S.": "US", "C": "Canadian", "CA": "Canadian", "CAD": "Canadian", "A": "Australian"},
    **{"AU": "Australian", "NZ": "New Zealand", "HK": "Hong Kong", "S": "Singapore", "NT": "Taiwan"},
    **{"TT": "Trinidad and Tobago", "BZ": "Belize", "J": "Jamaican"},
}


def _dollar(kind: str) -> Currency:
    kind = {"": "", "US": "U.S. "}.get(kind, f"{kind} ")
    return Currency(f"{kind}dollar", f"{kind}dollars", "cent", "cents")


SIGNS: dict[str, Currency] = {
    **{f"{prefix}$": _dollar(kind) for prefix, kind in _DOLLARS.items()},
    "R$": Currency("Brazilian real", "Brazilian reais", "centavo", "centavos"),
    "MX$": Currency("Mexican peso", "Mexican pesos", "centavo", "centavos"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "€": Currency("euro", "euros", "cent", "cents"),
    "¥": Currency("yen", "yen", "", ""),
    "Rs.": Currency("rupee", "rupees", "paisa", "paise"),
    "Rs": Currency("rupee", "rupees", "paisa", "paise"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "₽": Currency("ruble", "rubles", "kopeck", "kopecks"),
    "₩": Currency("won", "won", "", ""),
    "₪": Currency("shekel", "shekels", "agora", "agorot"),
    "₫": Currency("dong", "dong", "", ""),
    "₴": Currency("hryvnia", "hryvnias", "kopiyka", "kopiykas"),
    "₦": Currency("naira", "naira", "kobo", "kobo"),
    "₱": Currency("peso", "pesos", "centavo", "centavos"),
    "฿": Currency("baht", "baht", "satang", "satang"),
    "₺": Currency("lira", "lira", "kurus", "kurus"),
    "₡": Currency("colon", "colones", "centimo", "centimos"),
    "₲": Currency("guarani", "guaranies", "", ""),
    "₵": Currency("cedi", "cedis", "pesewa", "pesewas"),
    "₸": Currency("tenge", "tenge", "", ""),
    "₿": Currency("bitcoin", "bitcoins", "", ""),
}
CODES: dict[str, Currency] = {
    "USD": _dollar("US"),
    "CAD": _dollar("Canadian"),
    "AUD": _dollar("Australian"),
    "NZD": _dollar("New Zealand"),
    "HKD": _dollar("Hong Kong"),
    "SGD": _dollar("Singapore"),
    "GBP": Currency("British pound", "British pounds", "penny", "pence"),
    "EUR": SIGNS["€"],
    "JPY": Currency("Japanese yen", "Japanese yen", "", ""),
    "CNY": Currency("Chinese yuan", "Chinese yuan", "fen", "fen"),
    "RMB": Currency("renminbi", "renminbi", "fen", "fen"),
    "INR": Currency("Indian rupee", "Indian rupees", "paisa", "paise"),
    "CHF": Currency("Swiss franc", "Swiss francs", "centime", "centimes"),
    "SEK": Currency("Swedish krona", "Swedish kronor", "ore", "ore"),
    "NOK": Currency("Norwegian krone", "Norwegian kroner", "ore", "ore"),
    "DKK": Currency("Danish krone", "Danish kroner", "ore", "ore"),
    "PLN": Currency("Polish zloty", "Polish zlotys", "grosz", "groszy"),
    "CZK": Currency("Czech koruna", "Czech korunas", "haler", "halers"),
    "RUB": Currency("Russian ruble", "Russian rubles", "kopeck", "kopecks"),
    "BRL": SIGNS["R$"],
    "MXN": SIGNS["MX$"],
    "ZAR": Currency("South African rand", "South African rand", "cent", "cents"),
    "KRW": Currency("Korean won", "Korean won", "", ""),
    "TRY": Currency("Turkish lira", "Turkish lira", "kurus", "kurus"),
    "THB": Currency("Thai baht", "Thai baht", "satang", "satang"),
    "ILS": Currency("Israeli shekel", "Israeli shekels", "agora", "agorot"),
    "BTC": SIGNS["₿"],
}
