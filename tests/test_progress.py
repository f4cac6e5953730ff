"""Progress: lines where there is no terminal."""

from datastill import progress


def test_the_time_that_is_left_is_told_by_the_pace_after_the_first_step(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    show = progress._lines("learning\x1b[2J", 100, "steps")
    for now, done in ((25, 1), (31, 3), (45, 10), (62, 20)):  # the first step took 25 seconds, the others about two
        clock[0] = now
        show(done, "loss 1")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "3 of 100 steps, loss 1, about 5 min left",
        "20 of 100 steps, loss 1, about 3 min left",
    ]
    assert "\x1b" not in lines[0]


def test_nothing_is_shown_to_those_who_do_not_want_it(capsys):
    with progress.rows_bar("rows", 10, False) as watch:
        assert watch is None
    assert capsys.readouterr() == ("", "")
