"""`tts fetch-data`: asks, downloads to NLTK's place, and says clearly what went wrong."""

import sys

import pytest

from tts.cli import main
from tts.text import tagger


class Terminal:
    """A standard input where somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """A user without NLTK's data; what is downloaded is listed, and lands in a folder of theirs."""
    import nltk.downloader

    wanted = []

    def download(self, name, quiet, raise_on_error, print_error_to):
        wanted.append(name)
        (tmp_path / "taggers" / name).mkdir(parents=True)

    monkeypatch.setattr(nltk.downloader.Downloader, "download", download)
    monkeypatch.setattr(tagger, "data_folders", lambda: [tmp_path])
    monkeypatch.setattr(sys, "stdin", Terminal())
    return wanted


def test_it_asks_first(downloads, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert main(["fetch-data"]) == 0
    assert "2 MB" in asked[0] and downloads == [] and "nothing was downloaded" in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["fetch-data"]) == 0
    assert downloads == ["averaged_perceptron_tagger_eng"] and "downloaded" in capsys.readouterr().out
    assert main(["fetch-data"]) == 0
    assert len(downloads) == 1 and "is there already" in capsys.readouterr().out


def test_without_a_terminal_nothing_is_taken_for_a_yes(downloads, monkeypatch, capsys):
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    assert main(["fetch-data"]) == 2
    assert "yes=true is an answer" in capsys.readouterr().err and downloads == []
    assert main(["fetch-data", "yes=true"]) == 0
    assert len(downloads) == 1


def test_without_a_network_it_says_so(downloads, monkeypatch, capsys, tmp_path):
    import nltk.downloader

    def fail(self, name, quiet, raise_on_error, print_error_to):
        print("[nltk_data] noise", file=print_error_to)
        raise ValueError("Error loading it: <urlopen error no host>")

    monkeypatch.setattr(nltk.downloader.Downloader, "download", fail)
    assert main(["fetch-data", "yes=true"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be downloaded (Error loading it: <urlopen error no host>); is there a network?" in line
    assert str(tmp_path) in line


def test_unknown_options_are_refused(capsys):
    assert main(["fetch-data", "all=true"]) == 2
    assert "unknown option 'all=true'" in capsys.readouterr().err
    assert main(["fetch-data", "--help"]) == 0 and "asks first" in capsys.readouterr().out
