import signal

from viewfinder.training.stopping import asked_to_stop


def test_the_first_request_is_answered_and_the_next_one_ends_it_at_once() -> None:
    answers = list[str]()
    before, ended = signal.getsignal(signal.SIGINT), False
    try:
        with asked_to_stop(lambda: answers.append("heard"), patient=False) as asked:
            assert not asked()
            signal.raise_signal(signal.SIGINT)
            assert asked() and answers == ["heard"]
            signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        ended = True
    assert ended and signal.getsignal(signal.SIGINT) is before


def test_an_answer_that_fails_ends_nothing() -> None:
    """As where standard error is a pipe that nobody reads any more."""

    def answer() -> None:
        raise SystemExit(1)

    with asked_to_stop(answer, patient=True) as asked:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        assert asked()
