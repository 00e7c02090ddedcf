"""From a Python signature to JSON Schema, and from JSON arguments to Python ones and back."""

from longreach.wire.schema.arguments import InvalidArguments, Problem
from longreach.wire.schema.handler import HandlerSchema, Parameter
from longreach.wire.schema.signature import inspect_handler
from longreach.wire.schema.texts import decode_texts

__all__ = ["HandlerSchema", "InvalidArguments", "Parameter", "Problem", "decode_texts", "inspect_handler"]
