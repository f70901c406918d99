"""SIGINT, SIGTERM and SIGHUP raise an exception, so that cleanup runs. They are held back between creating something and
registering its cleanup, and during the cleanup itself."""
import contextlib
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """pytest ends its session on a KeyboardInterrupt; a SystemExit would only fail one test."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


depth, waiting = 0, None


def handle(number, _):
    global waiting
    if depth:
        waiting = waiting or number
    else:
        raise Interrupted(number)


def is_main():
    return threading.current_thread() is threading.main_thread()


def take_over():
    """From now on the signals raise Interrupted, except those handled or ignored by others (nohup)."""
    if is_main():
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, handle)


def ignore():
    """For the very end of the process: only cleanup is left."""
    if is_main():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def held():
    """Signals that arrive inside take effect afterwards. They only ever reach the main thread; in others this does nothing."""
    global depth, waiting
    if not is_main():
        yield
        return
    depth += 1
    try:
        yield
    finally:
        depth -= 1
        if not depth and waiting:
            number, waiting = waiting, None
            raise Interrupted(number)
