"""MCP 2026-07-28 as `mcp-types` has it: what we emit is held against models that we did not write."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import _v2026_07_28 as models  # the era's own models; the public map is by method only
from pydantic import BaseModel, TypeAdapter


def agree(data: bytes, kind: Any) -> Any:
    """`data` as the oracle's model; it must know every member, at every level, and keep it as it is.

    The models ignore members that they do not know, so a misspelt one would pass a mere validation.
    """
    model = TypeAdapter(kind).validate_json(data)
    assert isinstance(model, BaseModel)
    assert model.model_dump(mode="json", by_alias=True, exclude_unset=True) == json.loads(data)
    return model


__all__ = ["agree", "models"]
