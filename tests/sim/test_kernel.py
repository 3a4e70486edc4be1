"""The kernel: absolute times, rank among equals, moved deadlines, and nothing at the horizon itself."""

import itertools

from sim.kernel import Kernel


def test_equal_times_go_by_rank_however_they_were_scheduled():
    for order in itertools.permutations(range(4)):
        kernel, heard = Kernel(0.0), []
        for rank in order:
            kernel.at(1.0, rank, lambda _, rank=rank, heard=heard: heard.append(rank))
        kernel.run_to(2.0)
        assert heard == [0, 1, 2, 3]


def test_what_is_due_at_the_horizon_is_left():
    kernel, heard = Kernel(0.0), []
    kernel.at(1.0, 0, lambda deadline: heard.append(deadline.env.now))
    kernel.run_to(1.0)
    assert heard == []
    kernel.run_to(1.5)
    assert heard == [1.0]


def test_a_moved_deadline_fires_once_and_at_its_last_time():
    kernel, heard = Kernel(0.0), []
    deadline = kernel.deadline(0, lambda d: heard.append(d.env.now), 1.0)
    deadline.set(3.0)
    deadline.set(2.0)
    deadline.set(2.0)
    called_off = kernel.deadline(1, lambda d: heard.append("never"), 1.0)
    called_off.set(float("inf"))
    kernel.run_to(10.0)
    assert heard == [2.0]


def test_a_deadline_may_set_itself_again_at_once():
    kernel, heard = Kernel(0.0), []

    def due(deadline):
        heard.append(deadline.env.now)
        if len(heard) < 3:
            deadline.set(deadline.env.now)

    kernel.deadline(0, due, 1.0)
    kernel.run_to(2.0)
    assert heard == [1.0, 1.0, 1.0]


def test_times_are_absolute_and_do_not_round():
    start, when = 1e6 + 0.1, 1e6 + 0.1 + 1e-9
    kernel, heard = Kernel(start), []
    kernel.at(when, 0, lambda deadline: heard.append(deadline.env.now))
    kernel.run_to(when + 1)
    assert heard == [when]


def test_plain_simpy_processes_run_beside_deadlines():
    kernel, heard = Kernel(5.0), []

    def clock():
        while True:
            yield kernel.timeout(1.0)
            heard.append(kernel.now)

    kernel.process(clock())
    kernel.at(6.5, 0, lambda _: heard.append("deadline"))
    kernel.run_to(8.5)
    assert heard == [6.0, "deadline", 7.0, 8.0]
