"""Every file is one corpus: a folder on disk becomes utterances."""
