"""What every test of the whole service uses."""

import signal

import pytest

from tandem import Stack

TEST_S = 120  # the longest a test may take, whatever hangs


def pytest_configure(config):
    config.addinivalue_line("markers", "takes(seconds): needs longer than "
                            "usual")
    # Asked to end, it stops what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(autouse=True)
def end_in_time(request):
    """A test that hangs fails, and its stack is stopped."""
    marker = request.node.get_closest_marker("takes")
    seconds = marker.args[0] if marker else TEST_S

    def too_late(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def stack(request):
    """One stack for a file, as its STACK says."""
    failed_before = request.session.testsfailed
    with Stack(**getattr(request.module, "STACK", {})) as stack:
        yield stack
        if request.session.testsfailed > failed_before:
            stack.tell_logs()
