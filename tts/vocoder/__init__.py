"""Every file is one vocoder."""
