"""The one place that imports torchaudio, with or without its compiled extension.

Wheels of torchaudio do not say which build of torch they fit: a CUDA build beside a CPU torch fails to load its
extension, and with it the whole import. All that is used here is written in Python, so the extension is then reported
as absent, as torchaudio does itself where it was built without one.
"""

import importlib
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType


@cache
def load_torchaudio() -> ModuleType:
    """The package torchaudio with its submodules (`.functional`, `.models`, ...), imported on first use.

    Raises:
        ModuleNotFoundError: if torchaudio is not installed.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError:
        raise
    except (OSError, ImportError, RuntimeError):  # another build's library; a missing part of it; another CUDA
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _absent_extension()
        return importlib.import_module("torchaudio")


def _absent_extension() -> ModuleType:
    """What `torchaudio._extension` looks like in a torchaudio that was built without one."""
    module = ModuleType("torchaudio._extension", "Stands in for an extension that does not load.")

    def fail_if_no_align(function: Callable[..., object]) -> Callable[..., object]:
        def fail(*_: object) -> None:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's extension, which does not load beside this torch"
            )

        return fail

    vars(module).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=fail_if_no_align
    )
    return module
