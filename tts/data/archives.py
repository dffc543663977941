"""Corpora that may be downloaded freely: where from, how large, under which licence, and their published checksums.

SHA-256 and sizes are those that torchaudio and TensorFlow Datasets both state; OpenSLR publishes MD5 for LibriTTS-R,
and its exact sizes only where the archives lie.
"""

from typing import NamedTuple

OPENSLR = "https://www.openslr.org/resources"


class Archive(NamedTuple):
    """One file to download."""

    url: str
    size: int  # bytes
    digest: str  # algorithm:hexadecimal
    holds: str  # the folder that is there once it was unpacked
    inside: str = ""  # the folder into which it has to be unpacked; empty: it brings its own
    exact: bool = True  # whether the size is known to the byte, rather than about


class Collection(NamedTuple):
    """A corpus: one archive, named like it, or several parts."""

    what: str
    licence: str
    recipe: str
    root: str  # folder of the corpus
    archives: dict[str, Archive]


_LIBRITTS = {
    "dev-clean": (1291469655, "da0864e1bd26debed35da8a869dd5c04dfc27682921936de7cff9c8a254dbe1a"),
    "dev-other": (924804676, "d413eda26f3a152ac7c9cf3658ef85504dfb1b625296e5fa83727f5186cca79c"),
    "test-clean": (1230670113, "234ea5b25859102a87024a4b9b86641f5b5aaaf1197335c95090cde04fe9a4f5"),
    "test-other": (964502297, "33a5342094f3bba7ccc2e0500b9e72d558f72eb99328ac8debe1d9080402f10d"),
    "train-clean-100": (7723686890, "c5608bf1ef74bb621935382b8399c5cdd51cd3ee47cec51f00f885a64c6c7f6b"),
    "train-clean-360": (27504073644, "ce7cff44dcac46009d18379f37ef36551123a1dc4e5c8e4eb73ae57260de4886"),
    "train-other-500": (44565031479, "e35f7e34deeb2e2bdfe4403d88c8fdd5fbf64865cae41f027a185a6965f0a5df"),
}
_LIBRISPEECH = {
    "dev-clean": (337926286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": (314305928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
    "test-clean": (346663984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    "test-other": (328757843, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
    "train-clean-100": (6387309499, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
    "train-clean-360": (23049477885, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
    "train-other-500": (30593501606, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
}
_LIBRITTS_R = {
    "dev-clean": (1300, "2c1f5312914890634cc2d15783032ff3"),
    "dev-other": (1000, "62d3a80ad8a282b6f31b3904f0507e4f"),
    "test-clean": (1300, "4d373d453eb96c0691e598061bbafab7"),
    "test-other": (1000, "dbc0959d8bdb6d52200595cabc9995ae"),
    "train-clean-100": (8100, "6df668d8f5f33e70876bfa33862ad02b"),
    "train-clean-360": (28000, "382eb3e64394b3da6a559f864339b22c"),
    "train-other-500": (46000, "a37a8e9f4fe79d20601639bf23d1add8"),
}

COLLECTIONS = {
    "ljspeech": Collection(
        "one speaker, 24 hours",
        "public domain",
        "ljspeech",
        "LJSpeech-1.1",
        {
            "ljspeech": Archive(
                "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
                2748572632,
                "sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
                "LJSpeech-1.1",
            )
        },
    ),
    "vctk": Collection(
        "VCTK 0.92, 110 speakers, 44 hours",
        "CC BY 4.0",
        "vctk",
        "VCTK-Corpus-0.92",
        {
            "vctk": Archive(
                "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",
                11747302977,
                "sha256:f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
                "VCTK-Corpus-0.92",
                inside="VCTK-Corpus-0.92",
            )
        },
    ),
    "libritts": Collection(
        "2,456 readers, 585 hours in all",
        "CC BY 4.0",
        "libritts",
        "LibriTTS",
        {
            name: Archive(f"{OPENSLR}/60/{name}.tar.gz", size, f"sha256:{digest}", f"LibriTTS/{name}")
            for name, (size, digest) in _LIBRITTS.items()
        },
    ),
    "libritts_r": Collection(
        "LibriTTS with its sound restored",
        "CC BY 4.0",
        "libritts",
        "LibriTTS_R",
        {
            name: Archive(
                f"{OPENSLR}/141/{name.replace('-', '_')}.tar.gz",
                megabytes * 10**6,
                f"md5:{digest}",
                f"LibriTTS_R/{name}",
                exact=False,
            )
            for name, (megabytes, digest) in _LIBRITTS_R.items()
        },
    ),
    "librispeech": Collection(
        "2,484 readers, 982 hours in all, 16 kHz, texts without marks",
        "CC BY 4.0",
        "librispeech",
        "LibriSpeech",
        {
            name: Archive(f"{OPENSLR}/12/{name}.tar.gz", size, f"sha256:{digest}", f"LibriSpeech/{name}")
            for name, (size, digest) in _LIBRISPEECH.items()
        },
    ),
}
