"""Work done ahead of whoever waits for it, in a thread."""

import atexit
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

LOOK_UP = 0.2  # seconds after which a thread that waits looks whether it is still wanted


LEAVE = 5.0  # seconds that a thread has at the end of the program: one that is still in a library then can crash it
_running: dict[threading.Thread, threading.Event] = {}


@atexit.register
def _end_all() -> None:
    """What was begun and never closed, at the end of the program."""
    for unwanted in list(_running.values()):
        unwanted.set()
    for thread in list(_running):
        thread.join(LEAVE)


class _Failure:
    """What went wrong in the thread, on its way to who waits."""

    def __init__(self, error: BaseException):
        self.error = error


class _End:
    """There is no more."""


def ahead(items: Iterable[T], n_items: int) -> Generator[T, None, None]:
    """The same items in the same order; up to `n_items` are made before they are asked for.

    An error comes where the item would have come. Closing this generator ends the thread, and closes `items`.
    """
    waiting: queue.Queue[T | _Failure | _End] = queue.Queue(n_items)
    unwanted = threading.Event()
    thread = threading.Thread(target=_work, args=(items, waiting, unwanted), daemon=True)
    _running[thread] = unwanted
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _Failure):
                raise item.error
            if isinstance(item, _End):
                return
            yield item
    finally:
        unwanted.set()


def _work(items: Iterable[T], waiting: "queue.Queue[T | _Failure | _End]", unwanted: threading.Event) -> None:
    last: T | _Failure | _End = _End()
    try:
        for item in items:
            if not _put(item, waiting, unwanted):
                break
    except BaseException as error:
        last = _Failure(error)
    finally:
        if isinstance(items, Generator):
            items.close()
    _put(last, waiting, unwanted)
    _running.pop(threading.current_thread(), None)


def _put(item: T, waiting: "queue.Queue[T]", unwanted: threading.Event) -> bool:
    """Whether the item found its place before nobody wanted it any more."""
    while not unwanted.is_set():
        try:
            waiting.put(item, timeout=LOOK_UP)
            return True
        except queue.Full:
            pass
    return False
