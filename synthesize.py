"""Speak a text with a trained voice: python synthesize.py "text" [voice=runs/x] [out=hello.wav] [seed=0]."""

import sys

from tts.cli import main

if __name__ == "__main__":
    sys.exit(main(["synthesize", *sys.argv[1:]]))
