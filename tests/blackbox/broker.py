"""Apache Kafka as one process on loopback, by `tests/kafka/run.sh`: it ends with the tests, however they end.

`TRADEWIND_TEST_KAFKA` (host:port) names a broker to use instead, which is then never killed.
"""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile

from postgres import free_port
from waiting import eventually

EXISTING = os.environ.get("TRADEWIND_TEST_KAFKA")
RUN = pathlib.Path(__file__).parents[1] / "kafka" / "run.sh"
# Two seconds on an idle machine.
START_WITHIN = 120.0


class Broker:
    def __init__(self, folder=None, ports=None):
        """In `folder` it goes on with what is there, and stays when it ends; without one it is gone with the session."""
        self.address, self.process, self._folder = EXISTING, None, None
        if folder or not EXISTING:
            if not folder:
                self._folder = tempfile.TemporaryDirectory(prefix="tradewind-kafka-")
            self.folder = folder or pathlib.Path(self._folder.name)
            self.folder.mkdir(exist_ok=True)
            self.ports = ports or (free_port(), free_port())
            self.address = f"127.0.0.1:{self.ports[0]}"
            self.start()

    @property
    def is_own(self):
        return not EXISTING

    def start(self):
        """Starts it, or starts it again with the same address and data."""
        (self.folder / "pid").unlink(missing_ok=True)
        ports = [str(port) for port in self.ports]
        self.process = subprocess.Popen(
            [RUN, self.folder, *ports, "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(self._answers, within=START_WITHIN, every=0.2, saying="Kafka answers")

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"Kafka ended: {(self.folder / 'kafka.log').read_text(errors='replace')}")
        # It listens only once it is ready to answer.
        try:
            socket.create_connection(("127.0.0.1", self.ports[0]), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self):
        os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        self._ended()

    def close(self):
        if self.process:
            self._ended()
            if self._folder:
                self._folder.cleanup()

    def _ended(self):
        """Whoever holds its standard input lets go: its wrapper ends it, and itself."""
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
