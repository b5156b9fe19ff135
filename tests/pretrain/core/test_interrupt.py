"""What a signal does: a mark while someone listens, a stop at once otherwise."""

import os
import signal
import threading

import pytest

from pretrain.core import distributed, interrupt


def test_the_first_signal_only_leaves_a_mark_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with interrupt.listening("stopping\n"):
        assert interrupt.asked() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.asked() == distributed.agreed_stop() == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)  # the same request, passed on by a launcher
        assert interrupt.asked() == signal.SIGTERM
    assert interrupt.asked() is None
    assert capfd.readouterr().err == "stopping\n"


def test_a_second_signal_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "TOGETHER", -1.0)
    with interrupt.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(interrupt.Stopped) as stop:
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.value.code == 130


def test_where_nobody_listens_a_signal_stops_at_once_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interrupt.at_once():
        with interrupt.listening():
            pass
        with pytest.raises(interrupt.Stopped) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 143
    assert not isinstance(stop.value, Exception)  # so that nobody's `except Exception` holds it up
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_exit_code_is_the_conventional_one() -> None:
    assert [interrupt.Interrupted(each, "step 1").code for each in interrupt.SIGNALS] == [130, 143]


def test_a_thread_that_may_not_handle_signals_works_without() -> None:
    seen = []

    def work() -> None:
        with interrupt.listening():
            seen.append(interrupt.asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


def test_an_exit_code_says_by_which_signal_a_process_was_stopped() -> None:
    assert [interrupt.signal_of(interrupt.exit_code(each)) for each in interrupt.SIGNALS] == list(interrupt.SIGNALS)
    assert [interrupt.signal_of(code) for code in (0, 1, 2, 137)] == [None] * 4
