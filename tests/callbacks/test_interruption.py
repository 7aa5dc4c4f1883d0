import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keras_resnet.callbacks.interruption import PAUSE, Interruption
from keras_resnet.errors import StoppedError

# Inside C code that holds no lock, a minute long, as a step of TensorFlow may be: no handler of Python runs there.
PROGRAM = """
import hashlib, sys
from keras_resnet.callbacks.interruption import Interruption

def say(text):
    print(text, flush=True)
    {say}

with Interruption(say, close=lambda: say("closed")) as interruption, interruption.deferred():
    say("begun")
    hashlib.pbkdf2_hmac("sha256", b"", b"", int(sys.argv[1]))
    say(f"done, asked to stop: {interruption.requested}")
"""


@contextmanager
def process(iterations: int, say: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process of its own, because the signals would end this one."""
    command = [sys.executable, "-c", PROGRAM.replace("{say}", say), str(iterations)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert line(started) == "begun"
            yield started
        finally:
            started.kill()


def line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def test_the_second_ctrl_c_ends_the_process_in_the_middle_of_a_long_step() -> None:
    with process(300_000_000) as started:
        started.send_signal(signal.SIGINT)
        assert line(started) == "stopping after this step, with a checkpoint; another Ctrl-C stops at once"
        time.sleep(2 * PAUSE)
        started.send_signal(signal.SIGINT)

        assert line(started).startswith("stopped at once; the same command, without --overwrite, goes on")
        assert line(started) == "closed"
        assert started.wait(timeout=10) == 130


@pytest.mark.parametrize("wish", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_one_wish_that_arrives_twice_still_waits_for_the_step(wish: signal.Signals) -> None:
    with process(6_000_000) as started:
        for _ in range(2):
            started.send_signal(wish)  # as `timeout` does: to the process, and to its group
            assert line(started).startswith("stopping after this step")

        assert line(started) == "done, asked to stop: True"
        assert started.wait(timeout=10) == 0


def test_a_message_that_cannot_be_written_keeps_nobody_from_stopping() -> None:
    with process(300_000_000, say="if text.startswith('stop'): sys.exit()") as started:
        started.send_signal(signal.SIGINT)
        time.sleep(2 * PAUSE)
        started.send_signal(signal.SIGINT)

        assert started.wait(timeout=10) == 130


def test_a_forked_child_keeps_its_signals_to_itself() -> None:
    program = """
import os, signal, time
from keras_resnet.callbacks.interruption import listening

signal.signal(signal.SIGTERM, lambda *_: None)
heard = []
with listening(heard.append):
    child = os.fork()
    signal.raise_signal(signal.SIGTERM)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(0.2)
print(len(heard))
"""
    # In a fresh process, where no thread of TensorFlow's stands in the way of a fork.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "1", done.stderr


def test_outside_of_deferred_a_signal_raises() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped: the same command"), Interruption():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGINT)

    with Interruption() as interruption, interruption.deferred():
        pass

    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_is_a_wish_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_resnet.callbacks.interruption._stays_ignored", lambda _: False)  # under nohup, too
    with Interruption() as interruption, interruption.deferred():
        signal.raise_signal(signal.SIGHUP)
        assert interruption.requested

    with pytest.raises(StoppedError, match="stopped: the same command"), Interruption():
        signal.raise_signal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption, interruption.deferred():
            signal.raise_signal(signal.SIGHUP)
            assert not interruption.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
