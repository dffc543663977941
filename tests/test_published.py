"""VCTK, LibriTTS and LibriSpeech as their archives unpack, of real speech where it is there, and always of tones."""

import importlib
import json
import re
from collections import Counter

import pytest
import soundfile
import torch

from tests.layouts import NO_REAL, real_is_there, two_speakers, write_librispeech, write_libritts, write_vctk
from tests.toy import SMALL, steps
from tts.cli import main
from tts.config import component_names, load_recipe
from tts.corpora import librispeech, libritts, vctk
from tts.errors import ConfigError, DataError
from tts.settings import DataConfig
from tts.synthesis import Synthesizer

needs_real = pytest.mark.skipif(not real_is_there(), reason=NO_REAL)
KINDS = ["tones", pytest.param("real", marks=needs_real)]


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def in_vctk(kind, tmp_path_factory):
    return write_vctk(tmp_path_factory.mktemp("vctk") / "VCTK-Corpus-0.92", kind)


@pytest.fixture(scope="module")
def in_libritts(kind, tmp_path_factory):
    return write_libritts(tmp_path_factory.mktemp("libritts") / "LibriTTS", kind)


@pytest.fixture(scope="module")
def in_librispeech(kind, tmp_path_factory):
    return write_librispeech(tmp_path_factory.mktemp("librispeech") / "LibriSpeech", kind)


def listed(corpus, root, **settings):
    return list(corpus.read(corpus.Config(root=str(root), **settings)))


def lacking(found):
    return {u.id: u.lacks for u in found if u.lacks}


def test_every_corpus_reads_and_says_what_it_recognised():
    for name in component_names("tts.corpora"):
        corpus = importlib.import_module(f"tts.corpora.{name}")
        assert issubclass(corpus.Config, DataConfig) and corpus.Config().corpus == name
        assert callable(corpus.read) and callable(corpus.recognised)


# VCTK


def test_vctk_reads_the_chosen_microphone(in_vctk, kind):
    first, second = two_speakers(kind)
    for mic in (1, 2):
        found = listed(vctk, in_vctk, mic=mic)
        usable = {u.id: u for u in found if not u.lacks}
        assert all(u.audio_path == in_vctk / f"wav48_silence_trimmed/{u.speaker}/{u.id}_mic{mic}.flac" for u in found)
        assert Counter(u.speaker for u in usable.values()) == {
            "p225": 8,
            "s5": 8,
            "p362": 1,
            **({"p280": 1} if mic == 1 else {}),
        }
        assert [usable[f"s5_{n:03}"].text for n in range(1, 9)] == [said.text for said in second]
        assert usable["p225_003"].text == first[2].text
    assert "VCTK 0.92, microphone 2" in vctk.recognised(vctk.Config(root=str(in_vctk), mic=2))


def test_vctk_tells_what_it_lacks(in_vctk):
    assert lacking(listed(vctk, in_vctk)) == {
        **{"p315_001": "no text", "p315_002": "no text", "p362_002": "no recording of microphone 1"}
    }
    nothing = "no recording of microphone 2"
    assert lacking(listed(vctk, in_vctk, mic=2)) == {
        **{"p315_001": f"no text and {nothing}", "p315_002": f"no text and {nothing}"},
        **{"p280_001": nothing, "p362_002": nothing},
    }


def test_vctk_a_recording_that_should_be_there_is_missing_not_lacking(in_vctk):
    path = in_vctk / "wav48_silence_trimmed" / "p225" / "p225_002_mic1.flac"
    aside = path.rename(path.with_suffix(".aside"))
    try:
        (gone,) = [u for u in listed(vctk, in_vctk) if not u.lacks and not u.audio_path.exists()]
        assert gone.audio_path == path
    finally:
        aside.rename(path)


def test_vctk_speakers_by_name(in_vctk):
    assert {u.speaker for u in listed(vctk, in_vctk, speakers=["s5", "p362"])} == {"p362", "s5"}
    with pytest.raises(
        DataError, match=r"data\.speakers: there is no 'p226'; did you mean p225\? \(there is: p225, p280"
    ):
        listed(vctk, in_vctk, speakers=["p226"])


def test_vctk_elsewhere(in_vctk, tmp_path):
    for wrong in (in_vctk.parent, in_vctk / "txt", in_vctk / "txt" / "p225"):
        with pytest.raises(DataError, match=re.escape(f"did you mean data.root={in_vctk} ?")):
            listed(vctk, wrong)
    with pytest.raises(DataError, match=r"data\.root is not set; .*`python -m tts download vctk`"):
        listed(vctk, "")
    (tmp_path / "wav48").mkdir()
    with pytest.raises(DataError, match="wav48/ is of an older version of VCTK"):
        listed(vctk, tmp_path)


def test_vctk_has_two_microphones():
    assert load_recipe("vctk", ["data.mic=2"]).data.mic == 2
    with pytest.raises(ConfigError, match=r"data\.mic=3 should be one of 1, 2"):
        load_recipe("vctk", ["data.mic=3"])


# LibriTTS


def test_libritts_texts_from_files_and_tables(in_libritts, kind):
    found = listed(libritts, in_libritts, subsets=["dev-clean"])
    assert [u.speaker for u in found] == ["84"] * 4 + ["1272"] * 4  # as numbers
    assert lacking(found) == {"84_121_000001_000000": "no text"}
    _, second = two_speakers(kind, 4)
    assert [u.text for u in found[:4]] == [second[0].text, "", second[2].text, second[3].text]
    assert all(soundfile.info(u.audio_path).samplerate == 24000 for u in found)
    original = listed(libritts, in_libritts, subsets=["dev-clean"], text="original")
    assert [u.text for u in original[:4]] == [f"“{second[0].text}”", "", f"“{second[2].text}”", f"“{second[3].text}”"]


def test_libritts_subsets_readers_and_gender(in_libritts):
    def readers(**settings):
        return sorted({u.speaker for u in listed(libritts, in_libritts, **settings)})

    assert readers() == ["103", "1272", "84"]
    assert readers(subsets=["train-clean-100"]) == ["103"]
    assert readers(gender="F") == ["103", "84"] and readers(gender="F", subsets=["dev-clean"]) == ["84"]
    assert readers(speakers=["1272"]) == ["1272"]
    with pytest.raises(DataError, match=r"there is no '85' \(there is: 103, 84, 1272\)"):
        readers(speakers=["85"])
    with pytest.raises(ConfigError, match="there is no 'train-clean-10'; did you mean train-clean-100"):
        readers(subsets=["train-clean-10"])
    with pytest.raises(
        DataError, match=r"no test-other/ in .*download libritts test-other`.*=\[train-clean-100,dev-clean\]"
    ):
        readers(subsets=["test-other"])
    said = libritts.recognised(libritts.Config(root=str(in_libritts)))
    assert "normalized texts of train-clean-100, dev-clean" in said


def test_libritts_elsewhere(in_libritts, tmp_path):
    for wrong in (in_libritts.parent, in_libritts / "dev-clean", in_libritts / "dev-clean" / "84"):
        with pytest.raises(DataError, match=re.escape(f"did you mean data.root={in_libritts} ?")):
            listed(libritts, wrong)
    with pytest.raises(DataError, match="python -m tts download libritts dev-clean"):
        listed(libritts, tmp_path)


# LibriSpeech


def test_librispeech_texts_become_lower_case(in_librispeech, kind):
    found = listed(librispeech, in_librispeech)
    assert lacking(found) == {"84-121-0003": "no text"}
    first, _ = two_speakers(kind, 4)
    for u, said in zip([u for u in found if u.speaker == "1272"], first, strict=True):
        assert u.text == "".join(c for c in said.text.lower() if c.isalpha() or c in " '") and u.text.islower()
        assert u.audio_path.is_file()
    assert {u.speaker for u in listed(librispeech, in_librispeech, gender="M")} == {"1272"}
    (in_librispeech / "SPEAKERS.TXT").rename(in_librispeech / "aside")
    try:
        with pytest.raises(DataError, match=r"data\.gender needs the table of readers, speakers\.tsv or SPEAKERS"):
            listed(librispeech, in_librispeech, gender="M")
    finally:
        (in_librispeech / "aside").rename(in_librispeech / "SPEAKERS.TXT")


@pytest.mark.parametrize("name", ["libritts", "librispeech"])
def test_they_prepare_by_their_recipes(name, in_libritts, in_librispeech, tmp_path, capsys):
    root = {"libritts": in_libritts, "librispeech": in_librispeech}[name]
    settings = [f"data.root={root}", f"data.cache={tmp_path / 'cache'}", "data.subsets=[dev-clean]", "data.workers=1"]
    assert main(["train", f"recipe={name}", *settings, f"run={tmp_path / 'run'}", "stages=[prepare]"]) == 0
    out = capsys.readouterr().out
    assert "7 clips of 2 speakers" in out and "1 of 8 clips: no text of 84 (1)" in out
    statistics = json.loads((tmp_path / "run" / "data" / "statistics.json").read_text())
    assert statistics["speakers"] == ["1272", "84"]


@pytest.mark.slow
def test_the_vctk_recipe_trains_a_voice_of_two_speakers(tmp_path, capsys):
    root, run = write_vctk(tmp_path / "corpus", "real" if real_is_there() else "tones"), tmp_path / "run"
    arguments = [f"data.root={root}", f"data.cache={tmp_path / 'cache'}", "data.speakers=[p225,s5,p315]", *SMALL]
    assert main(["train", "recipe=vctk", *arguments, *steps(3), f"run={run}", "stages=[prepare,acoustic]"]) == 0
    out = capsys.readouterr().out
    assert f"vctk: VCTK 0.92, microphone 1, in {root}: 16 clips of 2 speakers" in out
    assert "2 of 18 clips: no text of p315 (2)" in out
    synthesizer = Synthesizer.load(run)
    assert synthesizer.speakers == ("p225", "s5")
    spoken = [synthesizer.speak("One.", speaker=speaker).wave for speaker in synthesizer.speakers]
    assert all(len(wave) > 0 and bool(torch.isfinite(wave).all()) for wave in spoken)
    assert len(spoken[0]) != len(spoken[1]) or not torch.equal(spoken[0], spoken[1])
