"""The International Phonetic Alphabet to ARPAbet, for American English."""

from tts.text.symbols import is_vowel

# Longer ones are looked for first. A vowel gets its stress from the mark before its syllable.
_VOWELS = {
    **{"iː": "IY", "i": "IY", "ɪ": "IH", "eɪ": "EY", "e": "EH", "ɛ": "EH", "æ": "AE", "a": "AA", "ɑː": "AA", "ɑ": "AA"},
    **{"ɒ": "AA", "ɔː": "AO", "ɔ": "AO", "oʊ": "OW", "əʊ": "OW", "o": "OW", "ʊ": "UH", "uː": "UW", "u": "UW"},
    **{"ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɝː": "ER", "ɝ": "ER", "ɚ": "ER", "ɜːr": "ER", "ɜːɹ": "ER", "ɜː": "ER"},
    **{"ɜr": "ER", "ɜɹ": "ER", "ɜ": "ER", "ər": "ER", "əɹ": "ER", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "ɨ": "IH"},
}
_CONSONANTS = {
    **{"p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G", "f": "F", "v": "V", "θ": "TH", "ð": "DH"},
    **{"s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "m": "M", "n": "N", "ŋ": "NG", "l": "L", "ɫ": "L"},
    **{"r": "R", "ɹ": "R", "ɾ": "D", "w": "W", "ʍ": "W", "j": "Y", "tʃ": "CH", "ʧ": "CH", "dʒ": "JH", "ʤ": "JH"},
    **{"l̩": "AH0 L", "n̩": "AH0 N", "m̩": "AH0 M", "ʔ": "T"},
}
_STRESSES = {"ˈ": "1", "'": "1", "ˌ": "2", "ˏ": "2"}
_IGNORED = ".‿ /[]͜͡ʰː"  # syllables, links and what English does not tell apart
_SYMBOLS = {**_VOWELS, **_CONSONANTS}
_LONGEST = max(map(len, _SYMBOLS))


def arpabet_of_ipa(written: str) -> tuple[str, ...]:
    """ARPAbet phones with stress. Where no syllable is marked, the first vowel has the stress.

    Raises:
        ValueError: for a symbol that English does not have, or where there is none at all.
    """
    text = written.replace("͡", "").replace("͜", "").strip()
    phones: list[str] = []
    stress, place = "0", 0
    while place < len(text):
        if text[place] in _STRESSES:
            stress = _STRESSES[text[place]]
        elif text[place] not in _IGNORED:
            lengths = range(min(_LONGEST, len(text) - place), 0, -1)
            found = next((length for length in lengths if text[place : place + length] in _SYMBOLS), 0)
            if not found:
                raise ValueError(f"ph={written!r}: the symbol {text[place]!r} is none of English in IPA")
            symbol = text[place : place + found]
            if symbol in _VOWELS:
                phones.append(_VOWELS[symbol] + stress)
                stress = "0"
            else:
                phones += _CONSONANTS[symbol].split()
            place += found - 1
        place += 1
    if not phones:
        raise ValueError(f"ph={written!r}: no phones")
    return _stressed(phones)


def _stressed(phones: list[str]) -> tuple[str, ...]:
    vowels = [place for place, phone in enumerate(phones) if is_vowel(phone)]
    if vowels and not any(phones[place].endswith("1") for place in vowels):
        phones[vowels[0]] = phones[vowels[0]][:-1] + "1"
    return tuple(phones)
