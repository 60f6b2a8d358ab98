import threading
from contextlib import closing

import pytest

from viewfinder.data.ahead import ahead


def test_results_come_in_the_order_of_the_items_whoever_is_done_first() -> None:
    others = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            others.wait(10)
        elif item == 2:
            others.set()
        return 10 * item

    assert list(ahead(work, range(9), threads=2)) == [10 * item for item in range(9)]


def test_what_work_raises_comes_in_its_place() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = ahead(work, range(9), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_who_stops_early_leaves_no_thread_and_few_pieces_begun() -> None:
    begun, before = list[int](), threading.active_count()
    with closing(ahead(begun.append, range(1000), threads=2)) as results:
        next(results)
    assert threading.active_count() == before
    assert len(begun) < 10


def test_each_thread_begins_as_it_is_told() -> None:
    names = list[str]()
    list(ahead(str, range(5), threads=1, begin=lambda: names.append(threading.current_thread().name)))
    assert len(names) == 1 and names[0].startswith("ahead")
