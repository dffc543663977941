"""Text to symbols: normalise, pronounce, encode."""
