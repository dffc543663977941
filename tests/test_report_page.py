"""The report's page: everything within one file, everything escaped, and it plays in a browser."""

import base64
import html
import io
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
import torch

from tts.audio.files import Recording, write_wave
from tts.errors import AudioError
from tts.evaluation.measures import Difference, Estimate, Measure
from tts.evaluation.page import write_page
from tts.evaluation.page_figures import marked, mp3, number, whiskers
from tts.evaluation.report import (
    Comparison,
    FailureRow,
    GateResult,
    Report,
    SentenceResult,
    SpokenSentence,
    System,
    write_json,
)
from tts.training.figures import mel_figure, save_figure

RATE = 22050
WER = Measure("wer", "word errors", "share", "lower", "ratio", "Words that a recogniser heard otherwise.")
MCD = Measure("mcd", "mel-cepstral distance", "dB", "lower", "mean", "Distance to the recording, aligned in time.")
RATIO = Measure("duration", "length against the recording", "ratio", "one", "ratio", "Above 1 is slower.")
MOS = Measure("mos", "predicted opinion", "1 to 5", "higher", "mean", "What listeners would say, as a model guesses.")
MEASURES = [WER, MCD, RATIO, MOS]
TITLES = {
    "voice": "the voice",
    "real": "real recordings",
    "vocoder_copy": "copy synthesis",
    "griffin_lim": "Griffin-Lim",
}
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    'She said "no" & left, as if 3 < 4 </script><script>alert(1)</script>.',
    "It was 1985, and Dr. Smith had $5.20 left.",
    "He reads the reed's red reeds; she's read them too.",
    "Wait!",
]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def voiced(seconds: float, pitch: float) -> torch.Tensor:
    """(T_wave,) a hum in syllables."""
    t = torch.arange(round(seconds * RATE)) / RATE
    hum = sum(torch.sin(2 * math.pi * pitch * k * t) / k for k in range(1, 9))
    return 0.2 * hum * torch.sin(math.pi * 3 * t).square()


def spoken(folder, name: str, system: str, wave: torch.Tensor, values: dict[str, float], heard: str) -> SpokenSentence:
    path = f"audio/{system}/{name}.wav"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    write_wave(folder / path, wave, RATE)
    return SpokenSentence(path, values, {"heard": heard})


def sentence(folder, index: int) -> SentenceResult:
    """The second and the fourth failed; the fifth is a hard one, spoken by the voice alone."""
    text, hard = TEXTS[index % len(TEXTS)], index % len(TEXTS) == 4
    systems = ["voice"] if hard else list(TITLES)
    heard = text.lower().replace("lazy", "crazy") if index else "the brown fox jumps over the lazy dog again"
    result = {
        system: spoken(
            folder,
            f"s{index}",
            system,
            voiced(1.0 + 0.2 * place + 0.1 * index, 110 + 30 * place),
            {"wer": 0.11 * place, "mcd": 6.2 - place, "duration": 1.04, "mos": 3.9} if not hard else {"wer": 0.0},
            heard,
        )
        for place, system in enumerate(systems)
    }
    failures = ["repeated: the", "stalled for 1.2 s"] if index % 2 else []
    kind = "one word" if hard else "held out"
    return SentenceResult(f"LJ-{index:03}", text, kind, "DH AH0 · K W IH1 K", failures, result, "figures/one.png")


def fake_report(folder, n: int = 5) -> Report:
    """A report as an evaluation would make it, its clips and pictures in FOLDER."""
    (folder / "figures").mkdir(parents=True)
    mel = torch.randn(20, 60, generator=torch.Generator().manual_seed(0))
    save_figure(mel_figure({"voice": mel, "recording": mel - 1}), folder / "figures/one.png")
    estimates = {
        "wer": Estimate(0.123, 0.098, 0.151, 50),
        "mcd": Estimate(6.21, 6.02, 6.44, 50),
        "duration": Estimate(1.04, 1.01, 1.07, 50),
        "mos": Estimate(3.4, None, None, 1),
    }
    real = {"wer": Estimate(0.031, 0.02, 0.045, 50), "mos": Estimate(4.4, 4.2, 4.5, 50)}
    copy = {"wer": Estimate(0.04, 0.027, 0.058, 50), "mcd": Estimate(3.1, 3.0, 3.25, 50)}
    systems = [
        System("voice", "the voice", estimates),
        System("real", "real recordings", real),
        System("vocoder_copy", "copy synthesis", copy),
        System("griffin_lim", "Griffin-Lim", {"wer": Estimate(0.062, 0.04, 0.09, 50)}),
    ]
    counts = {"stop": 0, "skip": 1, "repeat": 2, "stall": 0, "babble": 1}
    return Report(
        voice="runs/ljspeech <b>",
        command="python -m tts evaluate voice=runs/ljspeech against=runs/old 'gate=[wer<0.15]'",
        created="2025-05-04T10:00:00Z",
        summary=["A recogniser misheard 12.3 % of the words; of the recordings, 3.1 %.", "4 of 70 sentences failed."],
        facts={"acoustic": "best.safetensors, step 90000, sha256 0f3a9c", "data": "LJSpeech, 13100 clips"},
        measures=MEASURES,
        systems=systems,
        failures=[
            FailureRow("held out", 50, counts, 6, 2),
            FailureRow("hard", 20, {**counts, "stop": 1}, 5, 3),
            FailureRow("1-5 words", 9, dict.fromkeys(counts, 0), 0, 0),
        ],
        sentences=[sentence(folder, index) for index in range(n)],
        cost={"rtf": 0.42, "seconds_of_evaluation": 321.5},
        missing={"pesq": "the package pesq is not installed: pip install pesq"},
        comparison=Comparison(
            "runs/old",
            "better",
            "word errors fell, nothing got worse",
            {
                "wer": Difference(-0.04, -0.06, -0.02, 50, 0.01, "better"),
                "mcd": Difference(0.1, -0.1, 0.3, 50, 0.01, "cannot tell"),
            },
        ),
        gate=[GateResult("wer<0.15", 0.123, True), GateResult("pesq>2", None, False)],
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_page(fake_report(folder), folder)
    return folder / "report.html"


def test_the_page_needs_nothing_else(page):
    text = page.read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(addresses) > 20
    assert {address.split(":")[0] if address.startswith("data:") else address[0] for address in addresses} == {
        "data",
        "#",
    }
    assert "http" not in re.sub(r'base64,[^"]*', "", text).replace("http-equiv", "")
    assert "@import" not in text and "url(" not in text


def test_texts_are_text_and_never_markup(page):
    text = page.read_text()
    assert text.count("<script>") == 1 and text.count("</script>") == 1
    assert html.escape(TEXTS[1], quote=True) in text
    assert "<h1>runs/ljspeech &lt;b&gt;</h1>" in text and "<b>runs" not in text


def test_everything_found_is_told(page):
    text = html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r'base64,[^"]*', "", page.read_text())))
    for wanted in (
        "A recogniser misheard 12.3 % of the words",
        "better than runs/old",
        "✗ pesq>2: not measured",
        "9.8 … 15.1",
        "↓ lower is better",
        "−4.00",
        "repeated: the",
        "pip install pesq",
        "real-time factor",
        "sha256 0f3a9c",
        "gate=[wer<0.15]",
        "too few to tell",
    ):
        assert wanted in text, wanted


def test_sentences_keep_their_order_and_say_what_they_are(page):
    flags = re.findall(r'id="sentence-(\d)" data-all="yes" data-failed="(\w+)" data-hard="(\w+)"', page.read_text())
    assert flags == [("1", "no", "no"), ("2", "yes", "no"), ("3", "no", "no"), ("4", "yes", "no"), ("5", "no", "yes")]


def test_clips_are_mp3_of_the_same_length(page, tmp_path):
    uris = re.findall(r'src="data:audio/mpeg;base64,([^"]*)"', page.read_text())
    assert len(uris) == 4 * 4 + 1
    (tmp_path / "clip.mp3").write_bytes(base64.b64decode(uris[0]))
    assert soundfile.info(tmp_path / "clip.mp3").frames == RATE


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 40000, 44100, 48000, 96000])
def test_a_second_of_sound_costs_eight_kilobytes_at_every_rate(rate):
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, 4 * rate).astype(np.float32))
    content = mp3(Recording(noise, rate))
    info = soundfile.info(io.BytesIO(content))
    assert info.duration == pytest.approx(4, abs=0.001)
    assert 7500 < len(content) / 4 < 8600


def test_fifty_sentences_of_four_systems_fit_in_ten_megabytes(tmp_path):
    assert 50 * 4 * 4 * len(mp3(Recording(voiced(4, 120), RATE))) / 4 * 4 / 3 < 10e6


def test_what_was_misheard_is_marked():
    assert marked("The cat, it sat.", "the hat it sat") == 'the <mark title="instead of: cat">hat</mark> it sat'
    assert marked("the cat sat", "the cat") == 'the cat <del title="not heard">sat</del>'
    assert marked("the cat", "the big cat") == 'the <mark title="not in the text">big</mark> cat'
    assert marked("In 1985.", "in nineteen eighty five") == "in nineteen eighty five"
    assert marked("anything", "") == "<del>nothing</del>"


def test_numbers_say_when_there_is_none():
    assert [number(value, "share") for value in (0.1234, None, math.nan, -0.5)] == ["12.3", "–", "–", "−50.0"]
    assert number(-0.00001, "dB", 2) == "0.00"
    assert whiskers([None, Estimate(math.nan, None, None, 0)], ["a", "b"], "dB") == ""


def test_a_drawing_keeps_order_and_scale():
    drawing = whiskers([Estimate(1.0, 0.5, 1.5, 9), None, Estimate(2.0, 1.0, 3.0, 9)], ["a", "b", "c"], "dB")
    first, last = (float(x) for x in re.findall(r'cx="([\d.]+)"', drawing))
    ends = [tuple(map(float, found)) for found in re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)"', drawing)]
    assert first == pytest.approx(sum(ends[0]) / 2, abs=0.2) and last == pytest.approx(sum(ends[1]) / 2, abs=0.2)
    assert ends[1][1] - ends[0][0] > 150  # the drawing is 230 wide
    assert (ends[1][1] - ends[1][0]) == pytest.approx(2 * (ends[0][1] - ends[0][0]), abs=0.3)


def test_an_empty_report_is_a_page_too(tmp_path):
    report = Report("runs/x", "tts evaluate", "now", [], {}, [], [], [], [])
    write_page(report, tmp_path)
    assert "Nothing was measured." in (tmp_path / "report.html").read_text()
    assert "NaN" not in (tmp_path / "report.html").read_text()


def test_a_lost_clip_is_named(tmp_path):
    report = fake_report(tmp_path, n=1)
    (tmp_path / report.sentences[0].spoken["real"].audio).unlink()
    with pytest.raises(AudioError, match=r"real/s0\.wav: there is no such file"):
        write_page(report, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_report_as_json_and_as_page_speak_of_the_same_clips(tmp_path):
    report = fake_report(tmp_path, n=1)
    write_json(report, tmp_path / "report.json")
    assert '"audio": "audio/voice/s0.wav"' in (tmp_path / "report.json").read_text()


PROBE = """
<script>
(async () => {
  const seen = [];
  const track = document.querySelectorAll(".track")[1];
  track.querySelector(".play").click();
  for (let i = 0; i < 100 && !track.dataset.duration; i++) await new Promise((wake) => setTimeout(wake, 50));
  seen.push(Number(track.dataset.duration).toFixed(1), track.classList.contains("playing") ? "plays" : "silent");
  player.currentTime = 0.5;
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "3", bubbles: true }));
  const third = document.querySelectorAll(".track")[2];
  for (let i = 0; i < 100 && !third.dataset.duration; i++) await new Promise((wake) => setTimeout(wake, 50));
  const same = third.classList.contains("chosen") && player.currentTime >= 0.5;
  seen.push(same ? "same place" : `at ${player.currentTime}`);
  document.querySelector('[data-filter="failed"]').click();
  seen.push(document.querySelector(".count").textContent);
  seen.push(performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:")).length);
  document.body.dataset.seen = seen.join("|");
})();
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_plays_it_without_complaint(page, tmp_path):
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    quiet = [
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        "disable-quic",
    ]
    flags = ["headless", "no-sandbox", "disable-gpu", *quiet, f"user-data-dir={tmp_path / 'profile'}", "dump-dom"]
    flags += ["autoplay-policy=no-user-gesture-required", "enable-logging=stderr", "v=0", "virtual-time-budget=9000"]
    done = subprocess.run(
        [CHROMIUM, *(f"--{flag}" for flag in flags), probed.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen, done.stderr
    assert seen[1] == "1.2|plays|same place|2 of 5 shown|0"
