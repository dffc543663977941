"""Files, mels, loudness, trimming, companding."""
