"""The jobs of a list, counted on from the list before: the same as if all of them had been counted."""

import random
from collections import Counter

import pytest

from monitor.jobs import Job, JobState, Observation, StallLimits, diff
from monitor.metrics.listed import Listed

STATES = (JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED)


def job(chance, job_id):
    return Job(job_id, chance.choice("xy"), chance.choice(STATES), database=chance.choice(("", "d")))


def counted(jobs):
    """Count the plain way."""
    listed = [one for one in jobs.values() if one.missing_since is None]
    return Counter((one.job.database, one.job.collection, one.job.state) for one in listed)


@pytest.mark.parametrize("seed", range(30))
def test_counting_on_gives_what_counting_all_gives(seed):
    chance = random.Random(seed)
    listed, jobs, picture = Listed(), {}, None
    for now in range(1000, 1900, 30):
        for job_id in map(str, range(12)):
            if chance.random() < 0.3:
                jobs[job_id] = job(chance, job_id)
            elif chance.random() < 0.2:
                jobs.pop(job_id, None)
        missing = [job_id for job_id in (picture.jobs.unfinished if picture else ()) if job_id not in jobs]
        gone = frozenset(job_id for job_id in missing if chance.random() < 0.5)
        seen = Observation(dict(jobs), gone=gone, asked=gone, answered=gone)
        difference = diff(picture, seen, float(now), StallLimits())
        touched = None
        if picture is not None and chance.random() < 0.9:
            touched = {*[one.job.job_id for one in difference.changed], *difference.removed}
        picture = difference.picture
        listed.count(picture.jobs, touched)

        assert listed.counts == counted(picture.jobs)
