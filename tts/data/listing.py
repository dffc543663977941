"""The utterances of a corpus, read from it once and kept in a temporary file: memory holds one of them at a time."""

import hashlib
import pickle
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tts.atomic import write_failure
from tts.batch import Utterance
from tts.data.manifest import name_some, write_text
from tts.errors import DataError
from tts.settings import DataConfig

MISSING = "missing_clips.txt"


class Listing:
    """What a corpus lists. Iterating gives the utterances whose audio file is there, in order.

    Raises:
        DataError: if nothing is listed, ids repeat, or clips are missing and may not be.
    """

    def __init__(self, utterances: Iterable[Utterance], data: DataConfig, folder: Path):
        """folder: for the temporary file, and for the list of missing clips."""
        self.n_listed = 0
        self.missing: list[str] = []  # ids
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the listing
        try:
            hashes = self._read(utterances)
            self._check_repeated(hashes, data)
            self._check_missing(data, folder)
        except OSError as error:
            self.close()
            raise DataError(write_failure(folder, error)) from None
        except BaseException:
            self.close()
            raise

    def _read(self, utterances: Iterable[Utterance]) -> NDArray[np.uint64]:
        """Hashes of all ids."""
        hashes = array("Q")
        for utterance in utterances:
            self.n_listed += 1
            hashes.append(_hash(utterance.id))
            if utterance.audio_path.exists():
                pickle.dump(utterance, self._file)
            else:
                self.missing.append(utterance.id)
        self._file.flush()
        return np.array(hashes)

    @property
    def n_present(self) -> int:
        """Utterances whose audio file is there."""
        return self.n_listed - len(self.missing)

    def __iter__(self) -> Iterator[Utterance]:
        self._file.seek(0)
        for _ in range(self.n_present):
            yield pickle.load(self._file)

    def close(self) -> None:
        """Let go of the temporary file."""
        self._file.close()

    def _check_repeated(self, hashes: NDArray[np.uint64], data: DataConfig) -> None:
        if not self.n_listed:
            raise DataError(
                f"the corpus {data.corpus!r} at {data.root!r} lists no clips; check data.root and its metadata"
            )
        seen, counts = np.unique(hashes, return_counts=True)
        if twice := set(seen[counts > 1].tolist()):
            ids = [*(utterance.id for utterance in self), *self.missing]
            repeated = list(dict.fromkeys(id_ for id_ in ids if _hash(id_) in twice))
            raise DataError(f"{len(repeated)} ids are listed more than once: {name_some(repeated)}; make them differ")

    def _check_missing(self, data: DataConfig, folder: Path) -> None:
        """Write down which clips are missing, at once: the page of the report comes last."""
        missing = self.missing
        write_text(folder / MISSING, "".join(f"{id_}\n" for id_ in missing))
        if not missing:
            return
        if not self.n_present:
            raise DataError(
                f"none of the {self.n_listed} clips listed is there, e.g. {missing[0]}; check data.root={data.root}"
            )
        if not data.allow_missing:
            raise DataError(
                f"{len(missing)} of {self.n_listed} clips listed are missing: {name_some(missing, 3)} "
                f"(all in {folder / MISSING}); get them, or go on without them: data.allow_missing=true"
            )


def _hash(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "big")
