"""The errors of Hugging Face's hub in one line each: what was asked for, what is wrong, what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from huggingface_hub import constants, errors

from benchmark.errors import BenchmarkError, MissingInputError

LONGEST = 300  # characters of a reason
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What the hub is asked for.

    Attributes:
        text: as the user wrote it.
        repo: OWNER/NAME.
        revision: a branch, a tag or a commit.
        kind: `repository` or `dataset`.
        if_unknown: what else the user may have meant, if there is no such repository.
        if_unreachable: what still works without the hub.
    """

    text: str
    repo: str
    revision: str
    kind: str = "repository"
    if_unknown: str = ""
    if_unreachable: str = ""

    @property
    def page(self) -> str:
        """Address of the repository's page."""
        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.repo}"


@contextmanager
def hub_errors(asked: Asked) -> Iterator[None]:
    """Turn what the hub's client raises into errors of one line; other errors are left as they are.

    Args:
        asked: what the hub is asked for.

    Raises:
        MissingInputError: the hub cannot be reached, does not answer, or must not be asked.
        BenchmarkError: there is no such repository or revision, or it is not open to this user.
    """
    hub, kind, unreachable = constants.ENDPOINT, asked.kind, ""
    try:
        yield
    except errors.OfflineModeIsEnabled:
        unreachable = "the hub is not asked because HF_HUB_OFFLINE is set"
    except errors.GatedRepoError:
        raise BenchmarkError(
            f"{asked.text}: access is restricted: accept the conditions at {asked.page}, then {LOG_IN}"
        ) from None
    except errors.RevisionNotFoundError:
        raise BenchmarkError(f"{asked.text}: the {kind} has no revision '{asked.revision}'") from None
    except errors.RepositoryNotFoundError:
        private = f"{hub} has no {kind} {asked.repo}, or it is private: then {LOG_IN}"
        raise BenchmarkError(f"{asked.text}: {private}{asked.if_unknown}") from None
    except errors.HfHubHTTPError as error:
        unreachable = f"{hub} answers with status {error.response.status_code}"
    # no network, or a server that is down
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        logger.debug("%s: the hub cannot be asked", asked.text, exc_info=True)
        unreachable = f"{hub} cannot be reached ({innermost(error)})"
    if unreachable:
        raise MissingInputError(f"{asked.text}: {unreachable}{asked.if_unreachable}")


def innermost(error: BaseException) -> str:
    """Return the innermost cause of an error in one line: its kind and message."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text[:LONGEST]}"
