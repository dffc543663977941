"""`tts explain`: the table, the JSON that programs read, the summary of a script."""

import json

import pytest

from tts.cli import main

TEXT = "Dr. Smith paid $3.50 on 5/6; I read Zorblax."


def run(capsys, *arguments):
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def test_the_table_names_class_rule_phones_and_marks_guesses(capsys):
    shown = run(capsys, TEXT).splitlines()
    assert shown[0].split() == ["token", "class", "spoken", "rule", "phones", "source", "sure"]
    money = next(line for line in shown if line.startswith("$3.50"))
    for part in ("money", "three dollars and fifty cents", "amount of money", "TH R IY1 | D AA1 L ER0 Z", "cmudict"):
        assert part in money
    assert next(line for line in shown if line.startswith("Zorblax")).split()[-2:] == ["g2p*", "guess"]
    assert "Doctor Smith paid three dollars and fifty cents on May sixth; I read Zorblax." in shown
    assert shown[-1] == "guessed: Zorblax"


def test_json_has_the_whole_text_and_every_token_with_its_place(capsys):
    said = json.loads(run(capsys, "--json", TEXT))
    assert set(said) == {"spoken", "phones", "tokens"}
    assert said["spoken"] == "Doctor Smith paid three dollars and fifty cents on May sixth; I read Zorblax."
    assert said["phones"].startswith("D AA1 K T ER0 | S M IH1 TH | P EY1 D | TH R IY1 |")
    for token in said["tokens"]:
        assert set(token) == {"text", "start", "end", "class", "spoken", "rule", "phones", "source"}
        assert TEXT[token["start"] : token["end"]] == token["text"]
    assert [token["class"] for token in said["tokens"]] == [
        *(
            "abbreviation",
            "word",
            "word",
            "money",
            "word",
            "date",
            "punctuation",
            "word",
            "word",
            "word",
            "punctuation",
        ),
    ]
    date = said["tokens"][5]
    assert (date["text"], date["spoken"], date["source"]) == ("5/6", "May sixth", "cmudict")


def test_what_cannot_be_spoken_is_explained_too(capsys):
    said = json.loads(run(capsys, "--json", "👍 日本"))
    assert [(token["class"], token["spoken"]) for token in said["tokens"]] == [("emoji", ""), ("skipped", "")]
    assert run(capsys, "ok 日本 мир").splitlines()[-2:] == ["left out: 日本", "transliterated: мир"]


def test_a_script_is_summed_up(tmp_path, capsys):
    script = tmp_path / "script.txt"
    script.write_text("Zorblax met Zorblax.\n\nQuizzle paid $5 👍.\n\n日本\n", encoding="utf-8")
    said = json.loads(run(capsys, str(script), "--json"))
    assert said["sentences"] == 2 and said["words"] == 7
    assert said["guessed"]["Zorblax"] == 2 and next(iter(said["guessed"])) == "Zorblax"
    assert said["skipped"] == {"👍": 1, "日本": 1} and said["kinds"]["money"] == 1
    shown = run(capsys, str(script))
    assert "2 sentences, 7 words" in shown and "      2  Zorblax" in shown and "cannot be read" in shown


def test_options_change_the_reading_and_wrong_ones_are_named(tmp_path, capsys):
    assert "the fifth of June" in run(capsys, "on 5/6", "text.style=uk")
    lexicon = tmp_path / "words.tsv"
    lexicon.write_text("zorblax\tZ AO1 R\n", encoding="utf-8")
    assert json.loads(run(capsys, "--json", "Zorblax", f"text.lexicon={lexicon}"))["phones"] == "Z AO1 R"
    assert main(["explain", "x", "text.style=french"]) == 2
    assert "text.style=french should be one of us, uk" in capsys.readouterr().err
    assert main(["explain", "x", "--jsn"]) == 2
    assert "unknown option '--jsn'; did you mean --json?" in capsys.readouterr().err


def test_explaining_starts_without_torch():
    import subprocess
    import sys

    code = "import sys; from tts.cli import main; main(['explain', 'Dr. Lee, 42.']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_voice_explains_as_it_reads(capsys):
    from pathlib import Path

    voice = Path(__file__).parents[1] / "checkpoints" / "kathleen"
    if not voice.is_dir():
        pytest.skip("the shipped voice is not here")
    assert "May sixth" in run(capsys, "on 5/6", f"voice={voice}")
