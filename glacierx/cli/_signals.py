"""Ctrl-C and a request to end: soon, and with nothing half-written."""

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from glacierx.errors import INTERRUPTED, TERMINATED

PATIENCE_S = 1.5

_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Ended(SystemExit):
    """A signal asked this process to end."""


def end_on_signals() -> None:
    """Have SIGINT and SIGTERM end this process within two seconds.

    An exception lets the work clean up; Python raises it when the call that runs in the main
    thread returns, which can take long. A thread ends the process if that takes too long.
    """
    for number in _CODES:
        # Whoever started this process in the background may have it ignore Ctrl-C.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(told, tell), daemon=True).start()


def end_now(code: Any) -> None:
    """End without what libraries would do and say about files that were cut short."""
    with suppress(OSError):  # Nobody may be left to read it.
        os.write(2, b"Interrupted: no half-written file is left.\n")
        sys.stdout.flush()
    os._exit(code)


def _end(number: int, frame: Any) -> None:
    raise Ended(_CODES[signal.Signals(number)])


def _watch(told: socket.socket, tell: socket.socket) -> None:
    """Wait for a signal, then end the process. *tell* is held so that it stays open."""
    while (number := told.recv(1)[0]) not in _CODES:
        pass
    time.sleep(PATIENCE_S)
    # Who has not imported it writes nothing, and need not wait for it when it starts.
    staging = sys.modules.get("glacierx.scene.staging")
    if staging is not None:
        staging.abandon()
    end_now(_CODES[signal.Signals(number)])
