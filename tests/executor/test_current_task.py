import threading

import pytest

from minispark.executor.current_task import current_task_context, set_current
from tests.executor.test_task_context import make_context


@pytest.mark.scenario("HIS-006", "TaskContext")
def test_user_code_finds_the_context_of_its_thread() -> None:
    context, seen = make_context(), list[object]()
    set_current(context)
    try:
        thread = threading.Thread(target=lambda: seen.append(current_task_context()))
        thread.start()
        thread.join()
        assert current_task_context() is context
        assert seen == [None]
    finally:
        set_current(None)
    assert current_task_context() is None
