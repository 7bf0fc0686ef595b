"""What the sidecar sleeps on: signals, ended children, and nothing else."""

from __future__ import annotations

import select
import signal
import socket
import threading
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RENEW_SIGNAL = signal.SIGUSR1


class Wakeup:
    """Sleep that any signal ends; it counts the requests to stop, and those for another Envoy."""

    def __init__(self) -> None:
        self.stops = 0
        self.renewals = 0
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0.0)
        self._writer.settimeout(0.0)

    def listen(self) -> None:
        """From now on signals wake us; only the main thread may ask for that."""
        assert threading.current_thread() is threading.main_thread()
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            # Under nohup the end of the terminal is nothing to us.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._stop)
        signal.signal(RENEW_SIGNAL, self._renew)
        # Without a handler of our own a child's end would not write to the descriptor.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def sleep(self, seconds: float) -> None:
        """Until the time is over or a signal came."""
        if select.select([self._reader], [], [], seconds)[0]:
            try:
                while self._reader.recv(4096):
                    pass
            except BlockingIOError:
                return

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _renew(self, _number: int, _frame: FrameType | None) -> None:
        self.renewals += 1
