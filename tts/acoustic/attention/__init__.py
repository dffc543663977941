"""Every file is one attention."""
