"""Concurrent callers: work spread over threads, and work that goes on in the background while a test looks on."""

import threading
from concurrent.futures import ThreadPoolExecutor


def together(work, inputs, threads=8):
    """Runs `work` on all inputs, `threads` at a time; returns the results in order and raises the first error."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, inputs))


class Repeating:
    """Calls `work(worker, turn)` over and over in threads until the block ends; errors surface there."""

    def __init__(self, work, threads=4):
        self.work, self.errors, self.stopping = work, [], threading.Event()
        self.threads = [threading.Thread(target=self._loop, args=(at,), daemon=True) for at in range(threads)]

    def _loop(self, worker):
        turn = 0
        try:
            while not self.stopping.is_set():
                self.work(worker, turn)
                turn += 1
        except Exception as error:
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=30)
        if self.errors and kind is None:
            raise self.errors[0]
