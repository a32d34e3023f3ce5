"""Child process of `profile_steps`: read a pickled job from stdin, write the pickled profile or error to stdout."""

from __future__ import annotations

import pickle
import sys

from benchmark.errors import BenchmarkError
from benchmark.records.schema import StepProfile
from benchmark.trial.outside import load_places
from benchmark.trial.profile import Job, profile_step
from benchmark.trial.profile_child import answering


def main() -> None:
    """Profile one step."""
    with answering() as answer:
        job: Job = pickle.load(sys.stdin.buffer)
        profile: StepProfile | BenchmarkError
        try:
            load_places(job.outside)
            profile = profile_step(job.request, job.how)
        except BenchmarkError as error:
            profile = error
        answer(profile)


if __name__ == "__main__":
    main()
