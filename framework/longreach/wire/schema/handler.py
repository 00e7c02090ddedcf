"""`HandlerSchema`: what a handler takes and gives back, as JSON Schema and as codecs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET

from longreach.errors import InvalidResult
from longreach.wire.schema.arguments import InvalidArguments, explain
from longreach.wire.schema.hooks import decode_hook, encode_hook

Returns = Literal["none", "text", "content", "data", "any"]
"""What a handler gives back: nothing, text, content blocks, typed data, or what it likes."""


class Parameter(NamedTuple):
    """One parameter of a handler."""

    name: str
    annotation: Any
    required: bool
    description: str | None


class HandlerSchema:
    """What a handler takes and gives back.

    Attributes:
        input_schema: JSON Schema 2020-12 of the arguments, an object.
        output_schema: of the structured result; None where there is none.
        wraps_result: whether the structured result is ``{"result": value}``, because the value is no object.
        returns: what kind of thing the handler gives back.
        description: from the docstring.
        parameters: those that callers pass.
        context_parameter: the one that the framework passes; None without one.
    """

    def __init__(
        self,
        *,
        input_schema: dict[str, Any],
        output_schema: dict[str, Any] | None,
        wraps_result: bool,
        returns: Returns,
        description: str | None,
        parameters: tuple[Parameter, ...],
        context_parameter: str | None,
        arguments_type: type[msgspec.Struct],
        result_type: Any,
        signature: inspect.Signature,
    ) -> None:
        self.input_schema = input_schema
        self.output_schema = output_schema
        self.wraps_result = wraps_result
        self.returns: Returns = returns
        self.description = description
        self.parameters = parameters
        self.context_parameter = context_parameter
        self._arguments: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            arguments_type, dec_hook=decode_hook
        )
        self._names = tuple(parameter.name for parameter in parameters)
        self._all_required = all(parameter.required for parameter in parameters)
        self._result_type = result_type
        self._result: msgspec.json.Decoder[Any] = msgspec.json.Decoder(result_type, dec_hook=decode_hook)
        self._encoder = msgspec.json.Encoder(enc_hook=encode_hook)
        self._signature = signature

    def decode_arguments(self, raw: bytes | msgspec.Raw) -> dict[str, Any]:
        """The keyword arguments that `raw`, a JSON object, stands for.

        Raises:
            InvalidArguments: they do not fit; the text names each one.
        """
        try:
            arguments = self._arguments.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise self._explain(raw, str(error)) from None
        if self._all_required:
            return {name: getattr(arguments, name) for name in self._names}
        return {name: value for name in self._names if (value := getattr(arguments, name)) is not UNSET}

    def encode_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The JSON object for a call of the function with these arguments.

        Raises:
            TypeError: the function does not take them.
        """
        bound = self._signature.bind(*args, **kwargs).arguments
        return self._encoder.encode(bound)

    def structured(self, value: Any) -> bytes | None:
        """The structured result for `value`, JSON; None where the handler has none.

        Raises:
            InvalidResult: `value` does not fit the return annotation.
        """
        if self.output_schema is None:
            return None
        try:
            data = self._encoder.encode(value)
            if type(value) is not self._result_type:
                self._result.decode(data)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise InvalidResult(f"the result does not fit the return annotation: {error}") from error
        return b'{"result":%s}' % data if self.wraps_result else data

    def decode_result(self, structured: bytes | msgspec.Raw | None, text: str | None) -> Any:
        """The value that a result stands for, as the return annotation has it.

        Raises:
            InvalidResult: it stands for none.
        """
        if self.returns == "none":
            return None
        if self.returns == "text":
            return text or ""
        if structured is None:
            raise InvalidResult("the result has no structured content, which the return annotation promises")
        try:
            if self.wraps_result:
                structured = msgspec.json.decode(structured, type=dict[str, msgspec.Raw])["result"]
            return self._result.decode(structured)
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            raise InvalidResult(f"the result does not fit the return annotation: {error}") from error

    def _explain(self, raw: bytes | msgspec.Raw, whole: str) -> InvalidArguments:
        decoders: dict[str, msgspec.json.Decoder[Any]] = {
            parameter.name: msgspec.json.Decoder(parameter.annotation, dec_hook=decode_hook)
            for parameter in self.parameters
        }
        required = frozenset(p.name for p in self.parameters if p.required)
        return explain(raw, decoders, required, whole)
