"""Pictures of many sentences, on all cores."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tts.errors import TTSError
from tts.parallel import WorkerDiedError, n_cores, unordered
from tts.progress import progress_bar
from tts.training.figures import save_figure, sentence_figure

DPI = 80  # a report holds a hundred pictures


class Drawing(NamedTuple):
    """A sentence to be drawn."""

    alignment: Tensor  # (T_text, T_mel)
    mel: Tensor  # (n_mels, T_mel)
    symbols: Sequence[str]
    title: str
    path: Path  # of the PNG


def draw_all(drawings: Sequence[Drawing], workers: int = 0) -> None:
    """Draw mel and alignment of each sentence; workers: processes, 0 for one a core."""
    for folder in {drawing.path.parent for drawing in drawings}:
        folder.mkdir(parents=True, exist_ok=True)
    with progress_bar(len(drawings), "pictures", " sentences") as bar:
        if (workers or n_cores()) == 1:
            for drawing in drawings:
                _draw(drawing)
                bar.update()
            return
        try:
            for _ in unordered(_draw, ((None, drawing) for drawing in drawings), workers or n_cores()):
                bar.update()
        except WorkerDiedError:
            raise TTSError(
                "a process that drew was killed, perhaps for lack of memory; run again with workers=1"
            ) from None


def _draw(drawing: Drawing) -> None:
    save_figure(sentence_figure(drawing.alignment, drawing.mel, drawing.symbols, drawing.title), drawing.path, dpi=DPI)
