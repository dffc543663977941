"""Abbreviations, names and acronyms: what the rules look up. A row is what is written and what it is read as."""


def words_of(text: str) -> frozenset[str]:
    """The words of a row."""
    return frozenset(text.split())


# With or without a point, before a name.
TITLES = {
    **{"Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Messrs": "Messieurs", "Prof": "Professor", "Drs": "Doctors"},
    **{"Mx": "Mix", "Mmes": "Mesdames", "Profs": "Professors"},
}
# With a point, before a capital.
RANKS = {
    **{"Rev": "Reverend", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant"},
    **{"Sgt": "Sergeant", "Maj": "Major", "Cpl": "Corporal", "Gov": "Governor", "Sen": "Senator", "Hon": "Honorable"},
    **{"Rep": "Representative", "Pres": "President", "Supt": "Superintendent", "Insp": "Inspector", "Mt": "Mount"},
    **{"Ft": "Fort", "Cmdr": "Commander", "Adm": "Admiral", "Pvt": "Private", "Pfc": "Private First Class"},
    **{"Fr": "Father", "Br": "Brother", "Det": "Detective", "Amb": "Ambassador", "Sens": "Senators"},
    **{"Reps": "Representatives", "Gens": "Generals", "Atty": "Attorney", "Treas": "Treasurer", "Secy": "Secretary"},
    **{"Mts": "Mounts", "Pt": "Point", "Ste": "Sainte", "Brig": "Brigadier", "Cdr": "Commander", "Ens": "Ensign"},
    **{"Mme": "Madame", "Mlle": "Mademoiselle", "Rt": "Right", "Sgts": "Sergeants", "Supts": "Superintendents"},
    **{"Dir": "Director", "Cllr": "Councillor", "Asst": "Assistant"},
}
# With a point, anywhere.
ANYWHERE = {
    **{"etc": "et cetera", "vs": "versus", "viz": "namely", "approx": "approximately", "dept": "department"},
    **{"cf": "compare", "al": "al", "ibid": "ibid", "esp": "especially", "incl": "including", "excl": "excluding"},
    **{"misc": "miscellaneous", "max": "maximum", "est": "established", "temp": "temperature", "tel": "telephone"},
    **{"ext": "extension", "govt": "government", "intl": "international", "natl": "national", "avg": "average"},
    **{"dept": "department", "appt": "appointment", "apt": "apartment", "assn": "association", "bldg": "building"},
    **{"mgr": "manager", "mfg": "manufacturing", "orig": "original", "prev": "previous", "qty": "quantity"},
    **{"ca": "circa", "resp": "respectively", "tbsp": "tablespoon", "tsp": "teaspoon", "min": "minimum"},
    **{"lb": "pound", "lbs": "pounds", "oz": "ounces", "hrs": "hours", "mins": "minutes", "yrs": "years"},
    **{"Jr": "Junior", "Sr": "Senior", "Esq": "Esquire", "Inc": "Incorporated", "Ltd": "Limited", "Co": "Company"},
    **{"Corp": "Corporation", "Bros": "Brothers", "Dept": "Department", "Ave": "Avenue", "Blvd": "Boulevard"},
    **{"Rd": "Road", "Hwy": "Highway", "Ln": "Lane", "Pl": "Place", "Sq": "Square", "Ct": "Court", "Pkwy": "Parkway"},
    **{"Expy": "Expressway", "Fwy": "Freeway", "Rte": "Route", "Terr": "Terrace", "Cir": "Circle", "Tpke": "Turnpike"},
    **{"Bldg": "Building", "Apt": "Apartment", "Ste": "Suite", "Rm": "Room", "Fl": "Floor", "Assn": "Association"},
    **{"Univ": "University", "Inst": "Institute", "Acad": "Academy", "Mfg": "Manufacturing", "Intl": "International"},
    **{"Govt": "Government", "Natl": "National", "Dist": "District", "Div": "Division", "Tel": "Telephone"},
    **{"Ext": "Extension", "Est": "Established", "Approx": "Approximately", "Vs": "Versus", "Etc": "et cetera"},
    **{"Cf": "Compare", "Ca": "Circa", "Attn": "Attention", "Ctr": "Center", "Hosp": "Hospital", "Pres": "President"},
    **{"Calif": "California", "Fla": "Florida", "Mass": "Massachusetts", "Conn": "Connecticut", "Ariz": "Arizona"},
    **{"Tenn": "Tennessee", "Wash": "Washington", "Okla": "Oklahoma", "Minn": "Minnesota", "Colo": "Colorado"},
    **{"Mich": "Michigan", "Wis": "Wisconsin", "Penn": "Pennsylvania", "Ill": "Illinois", "Tex": "Texas"},
    **{"Ala": "Alabama", "Ark": "Arkansas", "Ky": "Kentucky", "Neb": "Nebraska", "Nev": "Nevada", "Ont": "Ontario"},
}
# The point of these may be missing.
POINTLESS = words_of(
    "Jr Sr Ltd Inc Corp Blvd Ave Rd Hwy Pkwy vs etc approx dept Dept Apt Ln Rte Bldg Attn Intl govt Govt"
)
# With a point, before a number.
NUMBERED = {
    **{"no": "number", "nos": "numbers", "vol": "volume", "vols": "volumes", "p": "page", "pp": "pages"},
    **{"ch": "chapter", "chs": "chapters", "fig": "figure", "figs": "figures", "sec": "section", "art": "article"},
    **{"eq": "equation", "par": "paragraph", "para": "paragraph", "pt": "part", "ed": "edition", "ex": "example"},
    **{"ver": "version", "v": "verse", "vv": "verses", "app": "appendix", "sect": "section", "ln": "line"},
    **{
        "c": "circa",
        "tab": "table",
        "exp": "experiment",
        "rm": "room",
        "apt": "apartment",
        "ste": "suite",
        "bk": "book",
    },
}
# Letters with points that are read as words.
DOTTED_WORDS = {
    **{"e.g.": "for example", "i.e.": "that is", "a.k.a.": "A.K.A.", "n.b.": "N.B.", "w.r.t.": "with respect to"},
    **{
        "ph.d.": "P.H.D.",
        "ph.d": "P.H.D.",
        "ph.ds": "P.H.D.s",
        "ph.ds.": "P.H.D.s",
        "p.s.": "P.S.",
        "b.sc.": "B.S.C.",
        "m.sc.": "M.S.C.",
    },
}
# Letters in both cases that are spelled.
UNDOTTED = {
    **{"PhD": "P.H.D.", "PhDs": "P.H.D.s", "MSc": "M.S.C.", "BSc": "B.S.C.", "pH": "P.H.", "mRNA": "M.R.N.A."},
    **{"iOS": "I.O.S.", "tRNA": "T.R.N.A.", "LaTeX": "lay tech", "eBay": "E. bay", "macOS": "mac O.S."},
    **{"WWI": "World War One", "WWII": "World War Two", "WW1": "World War One", "WW2": "World War Two"},
}
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
MONTH_NAMES = {
    **{month: month for month in MONTHS},
    **{month[:3]: month for month in MONTHS},
    "Sept": "September",
}
WEEKDAYS = {
    **{"Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday"},
    **{"Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday"},
}
# After a comma, as in "Dallas, TX".
STATES = {
    **{"AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado"},
    **{"CT": "Connecticut", "DE": "Delaware", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho"},
    **{"IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana"},
    **{"ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota"},
    **{"MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada"},
    **{"NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina"},
    **{"ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania"},
    **{"RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas"},
    **{"UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia"},
    **{"WI": "Wisconsin", "WY": "Wyoming", "DC": "D.C."},
}
STREETS = words_of(
    "Street St Avenue Ave Road Rd Boulevard Blvd Drive Dr Lane Ln Court Ct Place Pl Way Highway Hwy Parkway Pkwy "
    "Square Sq Terrace Circle Broadway Alley Plaza Row"
)
# Kings, queens and popes, whose numerals are ordinals.
REGNAL = words_of(
    "Henry Charles George James Edward Louis William Richard Elizabeth Mary Philip Frederick John Paul Pius Napoleon "
    "Leo Alexander Nicholas Catherine Gregory Benedict Innocent Ptolemy Peter Ferdinand Francis Wilhelm Clement Urban "
    "Boniface Sixtus Julius Darius Xerxes Cyrus Ramses Ramesses Thutmose Amenhotep Leopold Albert Alfonso Carlos Juan "
    "Ivan Christian Gustav Harald Haakon Olaf Otto Rudolf Victoria Margaret Isabella Anne Cleopatra Edmund Harold "
    "Robert Malcolm Sigismund Matthias Maximilian Franz Joseph Pedro Umberto Emmanuel Selim Suleiman Mehmed Murad "
    "Akihito Rama Nebuchadnezzar Stephen Adrian Celestine Martin Eugene Felipe Willem Beatrix Sancho Afonso "
    "Antiochus Artaxerxes"
)
# What numerals count.
COUNTED = words_of(
    "War Wars Part Parts Chapter Chapters Volume Volumes Book Books Act Scene Section Article Title Type Phase Class "
    "Appendix Bowl Episode Season Level Grade Stage Table Figure Plate Mark Division Group Schedule Exhibit Unit "
    "Amendment Canto Psalm Sonata Symphony Olympiad Games Apollo Gemini Saturn Vatican Fantasy Tier Factor Corps "
    "Category Zone Region Quarter Round Step Roman Numeral numeral chapter part volume book act scene section article "
    "page pages type phase class stage grade level appendix table figure"
)
# Read as words though CMUdict does not have them, or has them spelled.
ACRONYMS = words_of(
    "NASA NATO UNESCO UNICEF OPEC AIDS SCUBA LASER RADAR SONAR NAFTA OSHA FEMA NOAA FIFA UEFA ASCII GIF JPEG PIN SIM "
    "RAM ROM LAN WAN VAT ZIP SWAT DARE MADD PETA ASEAN AWOL POTUS SCOTUS FLOTUS COVID SARS MERS HIPAA ERISA YOLO FOMO "
    "JSON YAML BRICS LASIK CUDA RAID FAFSA ASIC POSIX CAPTCHA NIMBY "
    "DOS BASIC COBOL FORTRAN UNIX LINUX NVIDIA IKEA LEGO QANTAS NASDAQ NASCAR MENSA "
    "INTERPOL EBITDA TED BAFTA PRISM CAD BIOS WASP SOHO MIDI PEMDAS ROFL CRISPR ELISA OCHA ICANN MOMA NORAD "
    "SALT START GUI TASER SAM PAC CERN DRAM SRAM NAND TOEFL NICU JAVA NAVY ARMY RICO FICA GAAP COBRA"
)
# Spelled though they look like words, or the dictionary has them as words.
INITIALISMS = words_of(
    "US UK EU UN UV IT AI TV PC CD DVD ID OK DIY FAQ CEO CFO CTO COO HR PR VIP FBI CIA NSA IRS DNA RNA GPS CPU GPU USB "
    "URL HTML PDF ATM IQ LA DC NY AM PM AC IP OS UI UX ER IRA IPO LED ESP ISP MIT NBA NFL MLB NHL BBC CNN NBC ABC CBS "
    "HBO ESPN MTV PBS NPR IBM HP GM GE BMW UPS API SDK IDE SQL XML CSS PHP AWS ADHD PTSD HIV EPA FDA CDC WHO IMF WTO "
    "GDP APR ETA ASAP RSVP FYI BTW LOL OMG TBA TBD ACT SAT GPA PE MBA MRI ICU EKG ECG IVF STD BLT PB KFC NYC SUV RV EV "
    "MPG MPH AP UPI ACLU NRA AARP AAA UFO ESL EST PST CST MST EDT PDT CDT MDT GMT UTC BC AD CE BCE NE NW SE SW RIP "
    "IOU MVP POW MIA AOL USA USSR UAE KGB SOS TNT PTA DUI DOA APA MLA CIO ROI IBS HOA LLC LLP NGO HD UHD HDMI HDTV "
    "SSD HDD ISBN DJ MC EMT IED ATV BBQ PTO WASD IOC CNC LCD ALS TSA DEA ATF DMV DOJ DOD "
    "PS PO PIR AKA OEM ISO IEEE ANSI USDA CBO GAO GOP DNC RNC NAACP ROTC LGBT LGBTQ UCLA USC NYU LSU SMU UNC MRSA"
)
# Said in full when written with a slash.
SLASHED = {"w/o": "without", "b/c": "because", "c/o": "care of", "n/a": "N.A.", "w/": "with", "and/or": "and or"}
# What is no unit, but short for one when it follows a number without a space.
MAGNITUDES = {
    **{"k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "mm": "million"},
    **{"MM": "million", "bn": "billion", "b": "billion", "B": "billion", "Bn": "billion", "tn": "trillion"},
    **{"T": "trillion", "tr": "trillion"},
}
