"""What commands print with `--json`, as pydantic models: `SCHEMAS[COMMAND].model_json_schema()` is the JSON Schema."""

from __future__ import annotations

from types import GenericAlias
from typing import Any

from pydantic import BaseModel, Field

from benchmark.api.checkpoint import Converted, Fetched
from benchmark.api.cite import Citations
from benchmark.api.data import DatasetState
from benchmark.api.prepare import PreparedDataset, PreparedFolder
from benchmark.api.schemas.base import Output, either, list_of, mapping_of, model_of
from benchmark.api.schemas.data import Statistics
from benchmark.api.schemas.models import (
    CheckedPart,
    Exported,
    NewFile,
    ParameterRow,
    Prediction,
    Pretrained,
    VerifiedCheckpoint,
)
from benchmark.api.schemas.results import Board, CellProvenance, Cleaned, Report, Submitted
from benchmark.api.schemas.trials import Plan, Run, Search, Status
from benchmark.records.floor import Floor
from benchmark.records.merge import Merged
from benchmark.records.schema import SharingProfile, StepProfile
from benchmark.report.claims.ledger import Judged
from benchmark.submissions.review import Reviewed
from benchmark.tools.data.speed import Speed
from benchmark.tools.data.verify import Verification
from benchmark.tools.doctor import Finding
from benchmark.tools.parity.case import Outcome

__all__ = ["SCHEMAS", "Output"]

SCHEMAS: dict[str, type[BaseModel]] = {
    "plan": Plan,
    "status": Status,
    "run": Run,
    "report": Report,
    "board": Board,
    "claims": list_of(
        model_of(Judged, as_expected=(bool, Field(description="False if it was judged, and not as the paper says")))
    ),
    "explain": list_of(CellProvenance),
    "cite": model_of(Citations),
    "params": list_of(ParameterRow),
    "search": Search,
    "check": mapping_of(GenericAlias(list, (CheckedPart,))),
    "floor": list_of(Floor),
    "profile": list_of(StepProfile | SharingProfile),
    "merge": model_of(Merged),
    "submit": Submitted,
    "check-submission": model_of(Reviewed),
    "clean": Cleaned,
    "doctor": list_of(model_of(Finding)),
    "parity": list_of(model_of(Outcome, passed=(bool, Field(description="whether nothing is wrong")))),
    "export": Exported,
    "predict": list_of(Prediction),
    "new method": NewFile,
    "new slurm": NewFile,
    "new store": NewFile,
    "pretrain": Pretrained,
    "list": mapping_of(dict[str, Any]),
    "show": mapping_of(Any),
    "data list": mapping_of(model_of(DatasetState)),
    "data prepare": either(*map(model_of, (PreparedDataset, PreparedFolder))),
    "data synthesize": model_of(PreparedDataset),
    "data verify": model_of(Verification),
    "data stats": Statistics,
    "data describe": mapping_of(Any),
    "data speed": list_of(
        model_of(
            Speed,
            gain_mixed=(float, Field(description="times faster than the reference, mixed clips")),
            gain_unmixed=(float, Field(description="times faster than the reference, unmixed clips")),
        )
    ),
    "checkpoint inspect": mapping_of(Any),
    "checkpoint verify": VerifiedCheckpoint,
    "checkpoint convert": model_of(Converted),
    "checkpoint fetch": list_of(model_of(Fetched)),
}
