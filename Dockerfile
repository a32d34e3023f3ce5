# syntax=docker/dockerfile:1
# The suite in a container; docs/how-to/containers.md says how to use it.
#   docker build --build-arg DEVICE=cpu -t aat-benchmark:cpu .      about 2 GB
#   docker build -t aat-benchmark:cuda .                            about 10 GB; needs a driver for CUDA 13 on the host
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
# cuda: torch's wheels of the package index, which bring CUDA; cpu: torch's wheels without it, of the same version
ARG DEVICE=cuda
# which extras of pyproject.toml, such as [search,mlflow]
ARG EXTRAS=[search,peft,export]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
# before the suite itself, so that an edit of the suite downloads nothing again
RUN grep -E '^torch(audio)?==' constraints.txt > torch.txt \
    && case "$DEVICE" in \
      cuda) pip install -r torch.txt -c constraints.txt ;; \
      cpu) pip install -r torch.txt --no-deps --index-url https://download.pytorch.org/whl/cpu ;; \
      *) echo "DEVICE=$DEVICE: expected cuda or cpu" >&2; exit 2 ;; \
    esac
COPY paper_tables paper_tables
COPY baselines baselines
COPY benchmark benchmark
RUN pip install ".${EXTRAS}" -c constraints.txt

FROM python:${PYTHON}-slim-bookworm
# torch.compile calls a C++ compiler
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
# Any user id may run it (docker run --user): all can write into the home, the caches and the working folder. USER is
# what Python takes for the name of an id that has none.
RUN useradd --create-home --uid 1000 aat \
    && mkdir -p /cache/audio /checkpoints /data /work \
    && chmod 1777 /home/aat /cache /cache/audio /checkpoints /work
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/aat \
    USER=aat \
    XDG_CACHE_HOME=/cache \
    AAT_BENCHMARK_DATA=/data \
    AAT_BENCHMARK_CHECKPOINTS=/checkpoints \
    AAT_BENCHMARK_CACHE=/cache/audio \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
USER 1000
WORKDIR /work
# SIGTERM (docker stop) ends a run gently: allow an epoch, docker stop --time 600
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "benchmark"]
CMD ["--help"]
