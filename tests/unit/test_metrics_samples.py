"""A sheet of lines: changed where something has changed, it reads as if it had been written anew."""

import random

import pytest

from monitor.metrics.samples import INDEX, Sheet

FAMILIES = ("job_state", "job_eta_seconds")


def row(name, value, _was, _row):
    return b'{name="%d"' % name, b"} 1\n", b"" if value[0] is None else b"} %d\n" % value[0]


def shown(values):
    states = "".join(f'milvus_import_job_state{{name="{name}"}} 1\n' for name in values)
    etas = [
        f'milvus_import_job_eta_seconds{{name="{name}"}} {value}\n'
        for name, (value,) in values.items()
        if value is not None
    ]
    return [(INDEX["job_state"], states.encode()), (INDEX["job_eta_seconds"], "".join(etas).encode())]


@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_goes_and_changes_each_has_its_own_lines(seed, hinted):
    chance = random.Random(seed)
    written, values, expected = Sheet(FAMILIES, row), {}, {}
    for _ in range(30):
        before = dict(values)
        for name in range(8):
            if chance.random() < 0.3 or not values:
                values[name] = [chance.choice((None, None, 1, 2))]
            if chance.random() < 0.2 and len(values) > 1:
                values.pop(name, None)
        if chance.random() < 0.2:
            values = dict(chance.sample(list(values.items()), len(values)))
        gone = [name for name in before if name not in values]
        changed = [name for name, value in values.items() if before.get(name) is not value]
        touched = dict.fromkeys([*gone, *changed, *list(values)[:2]]) if hinted else None
        told = written.show(dict(values), touched)
        for name in gone:
            del expected[name]
        expected.update({name: values[name] for name in changed})

        assert [*map(sorted, told)] == [sorted(gone), sorted(changed)]
        assert written.pieces == shown(expected)
        assert written.labels == [b'{name="%d"' % name for name in expected]
        assert written.series == sum(1 + (value is not None) for (value,) in expected.values())


def test_only_what_is_not_the_same_is_rendered_and_told_with_what_stood_there():
    rendered = []

    def told(*of):
        rendered.append(of)
        return of[1].encode(), b"} 1\n"

    written = Sheet(("jobs",), told)
    first, second, third, other = "first", "second", "third", "other"
    written.show({"a": first, "b": second})
    written.show({"b": second, "c": third, "a": other})

    assert rendered == [
        ("a", first, None, []),
        ("b", second, None, []),
        ("a", other, first, [b"first", b"} 1\n"]),
        ("c", third, None, []),
    ]
