"""How good is a voice."""
