"""A sheet of lines: changed where something has changed, it reads as if it had been written anew."""

import random

import pytest

from monitor.metrics.samples import Sheet

FAMILIES = (3, 5)


def sheet():
    return Sheet(FAMILIES, lambda item: f"name {item[0]}\n{'' if item[1] is None else f'value {item[1]}'}\n")


def shown(items):
    names = "".join(f"name {name}\n" for name, _ in items)
    values = "".join(f"value {value}\n" for _, value in items if value is not None)
    return [(3, names.encode()), (5, values.encode())]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_goes_moves_and_changes_each_has_its_own_lines(seed):
    chance = random.Random(seed)
    written, values = sheet(), {}
    for _ in range(30):
        for name in range(8):
            if chance.random() < 0.3:
                values[name] = chance.choice((None, None, 1, 2))
            if chance.random() < 0.2:
                values.pop(name, None)
        items = list(values.items())
        if chance.random() < 0.2:
            chance.shuffle(items)
        written.show(items, items)

        assert written.pieces() == shown(items)
        assert written.series == len(items) + sum(value is not None for _, value in items)


def test_only_what_is_new_is_rendered_and_told_with_the_places_of_all():
    rendered = []
    written = Sheet((0,), lambda item: rendered.append(item) or f"{item}\n")
    written.show(["a", "b", "c"], [1, 2, 3])

    assert written.show(["c", "d", "a"], [3, 4, 1]) == (["d"], [2, 3, 0])
    assert rendered == ["a", "b", "c", "d"]
    assert written.pieces() == [(0, b"c\nd\na\n")]
