"""The only importer of lightning: one task, callbacks, figures, fit."""
