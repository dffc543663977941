"""Every file is one acoustic model."""
