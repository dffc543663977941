"""Work spread over processes, which end with their parent and leave Ctrl-C to it; and loops that want one thread."""

import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ContextDecorator, contextmanager, suppress
from typing import Any, TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

KEPT_BYTES, LARGEST_KEPT = 1 << 28, 1 << 25  # that a process may keep of what it has freed, in all and of one piece
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names
AHEAD = 4  # jobs a process that may wait for it
IN_ORDER_AHEAD = 32  # and where one that takes long holds up those after it


class WorkerDiedError(Exception):
    """A process was killed, perhaps for lack of memory."""


class OneThread(ContextDecorator):
    """Torch on one CPU thread for a while: `@OneThread()`.

    A loop of small products that each wait for the one before gains nothing from a second thread, and where another
    program keeps a core busy it loses everything: threads that wait for each other thousands of times a second made a
    decode 180 times and a WaveNet 300 times slower on two cores of which one was in use.
    """

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        torch.set_num_threads(self._before)


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def unordered(
    function: Callable[[Any], Result],
    jobs: Iterable[tuple[Job, Any]],
    n_workers: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Generator[tuple[Job, Result], None, None]:
    """`function(argument)` for each (job, argument), in processes, as they finish.

    No process is started before there is something to do.

    Args:
        function: of a module's top level, as is `initializer`, which every process calls once.

    Raises:
        WorkerDiedError: if a process was killed.
    """
    waiting: dict[Future[Result], Job] = {}
    with _pool(n_workers, initializer, initargs) as pool:
        for job, argument in jobs:
            waiting[_submit(pool, function, argument)] = job
            if len(waiting) >= AHEAD * n_workers:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)


def in_order(
    function: Callable[[Any], Result], jobs: Iterable[tuple[Job, Any]], n_workers: int
) -> Generator[tuple[Job, Result | None], None, None]:
    """`function(argument)` for each (job, argument), in processes, in the order of the jobs.

    Where the argument is None there is nothing to do, and None is the result. Only as many jobs are held in memory as
    keep the processes busy.

    Args:
        function: of a module's top level.

    Raises:
        WorkerDiedError: if a process was killed.
    """
    waiting: deque[tuple[Job, Future[Result] | None]] = deque()
    with _pool(n_workers, _keep_memory) as pool:
        for job, argument in jobs:
            waiting.append((job, None if argument is None else _submit(pool, function, argument)))
            while waiting and (len(waiting) >= IN_ORDER_AHEAD * n_workers or _is_done(waiting[0][1])):
                first, future = waiting.popleft()
                yield first, None if future is None else future.result()
        for first, future in waiting:
            yield first, None if future is None else future.result()


@contextmanager
def _pool(
    n_workers: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Processes for a while; what was not begun at its end is not done. Raises WorkerDiedError if one was killed."""
    # Spawned: a fork of a process whose torch has threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        n_workers, mp_context=context, initializer=_start_worker, initargs=(initializer, initargs)
    )
    try:
        yield pool
    except BrokenProcessPool:
        raise WorkerDiedError from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, function: Callable[[Any], Result], argument: Any) -> Future[Result]:
    # Packed here: the pool's own way would keep a file open for every tensor.
    return pool.submit(_call, function, pickle.dumps(argument))


def _is_done(future: Future[Result] | None) -> bool:
    return future is None or future.done()


def _call(function: Callable[[Any], Result], packed: bytes) -> Result:
    return function(pickle.loads(packed))


def _finished(waiting: dict[Future[Result], Job]) -> Generator[tuple[Job, Result], None, None]:
    """Wait for one or more of the results, and take them out."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


def _start_worker(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    """One thread a process: the processes are the parallelism. Ctrl-C is for the parent to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _keep_memory() -> None:
    """Memory that is freed is kept for the next job: given back, it costs a twelfth of the time to get it again."""
    with suppress(OSError, AttributeError, TypeError):  # other C libraries than glibc have no such switch
        change = ctypes.CDLL(None).mallopt
        change(M_MMAP_THRESHOLD, LARGEST_KEPT)
        change(M_TRIM_THRESHOLD, KEPT_BYTES)


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its processes, and they would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a process that was spawned"
    parent.join()
    os._exit(1)
