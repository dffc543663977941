"""Train a voice from a recipe: python train.py recipe=NAME [key=value ...]."""

import sys

from tts.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
