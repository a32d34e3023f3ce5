"""Child process of `profile_steps`: read a pickled job from stdin, write the pickled profile or error to stdout."""

from __future__ import annotations

import os
import pickle
import sys

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import load_externals
from benchmark.records.schema import StepProfile
from benchmark.trial.profile import Job, profile_step


def main() -> None:
    """Profile one step."""
    answer_stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a method prints must not mix with the answer
    job: Job = pickle.load(sys.stdin.buffer)
    answer: StepProfile | BenchmarkError
    try:
        load_externals(job.methods)
        answer = profile_step(job.request, job.how)
    except BenchmarkError as error:
        answer = error
    with answer_stream:
        pickle.dump(answer, answer_stream)


if __name__ == "__main__":
    main()
