"""Text to speech you train yourself: text -> phonemes -> Tacotron 2 -> WaveNet -> waveform."""
