"""`HandlerSchema`: what a handler takes and gives back, as JSON Schema and as codecs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from longreach.errors import InvalidResult
from longreach.wire.schema.arguments import read_each
from longreach.wire.schema.result import ResultShape
from longreach.wire.values import decode_hook, encode, is_pydantic

_asdict = msgspec.structs.asdict
_wrapped = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ALWAYS_FIT = (str, int, bool)
"""A value of exactly this annotated type fits; one of any other type may hold what does not."""


class Parameter(NamedTuple):
    """One parameter of a handler.

    Attributes:
        name: as in the signature, and as callers pass it.
        kind: whether it can be passed by position, too.
        annotation: its type, with all metadata as `msgspec.Meta`.
        default: `inspect.Parameter.empty` without one.
        description: from the docstring.
        make_default: makes the default where the annotation states it, and the function has none.
    """

    name: str
    kind: inspect._ParameterKind
    annotation: Any
    default: Any
    description: str | None
    make_default: Callable[[], Any] | None = None

    @property
    def required(self) -> bool:
        """Whether callers must pass it."""
        return self.default is inspect.Parameter.empty


def _revealed(value: Any) -> Any:
    """What is sent for an argument: a secret of pydantic would otherwise arrive as a row of stars."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


class HandlerSchema:
    """What a handler takes and gives back.

    JSON types are not coerced: ``"3"`` is no integer and ``true`` neither, but ``3`` is a number and ``3.0``
    an integer, as JSON Schema has it. Where JSON texts are taken, ``"3"`` is read as the JSON that it holds
    if it fits in no other way. Models of pydantic follow pydantic's rules inside.

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
        result: ResultShape,
        description: str | None,
        parameters: tuple[Parameter, ...],
        context_parameter: str | None,
        arguments_type: type[msgspec.Struct],
        signature: inspect.Signature,
        json_texts: bool = False,
    ) -> None:
        self.input_schema = input_schema
        self.output_schema = result.schema
        self.wraps_result = result.wraps
        self.returns = result.returns
        self.description = description
        self.parameters = parameters
        self.context_parameter = context_parameter
        self._decode = msgspec.json.Decoder(arguments_type, dec_hook=decode_hook).decode
        self._name_set = frozenset(parameter.name for parameter in parameters)
        self._required = frozenset(parameter.name for parameter in parameters if parameter.required)
        self._all_required = len(self._required) == len(parameters)
        self._stated = {p.name: p.make_default for p in parameters if p.make_default is not None}
        self._result_type = result.kind
        self._writer = result.writer
        self._rewrites = result.rewrites
        self._result: msgspec.json.Decoder[Any] = msgspec.json.Decoder(result.kind, dec_hook=decode_hook)
        self._signature = signature
        self._json_texts = json_texts

    def decode_arguments(self, raw: bytes | msgspec.Raw) -> dict[str, Any]:
        """The keyword arguments that `raw`, a JSON object, stands for.

        What is left out is left to the function's own defaults; those that annotations state are filled in.
        Nothing at all, and ``null``, are an empty object.

        Raises:
            InvalidArguments: they do not fit; the text names each one.
        """
        try:
            arguments = self._decode(raw)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - checks of the user's own types raise what they like
            values = read_each(
                raw, self.decoders, self._required, self.input_schema, json_texts=self._json_texts
            )
            return self._completed(values)
        values = _asdict(arguments)
        if self._all_required:
            return values
        given = {name: value for name, value in values.items() if value is not UNSET}
        return self._completed(given) if self._stated else given

    def _completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """`values`, with the defaults that annotations state."""
        for name, make in self._stated.items():
            if name not in values:
                values[name] = make()
        return values

    def encode_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The JSON object for a call of the function with these arguments.

        Raises:
            TypeError: the function does not take them, or one of them has no JSON form.
        """
        if args or not self._required <= kwargs.keys() <= self._name_set:
            kwargs = self._signature.bind(*args, **kwargs).arguments
        try:
            return encode({name: _revealed(value) for name, value in kwargs.items()})
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(self._unwritable(kwargs) or str(error)) from error

    def structured(self, value: Any) -> bytes | None:
        """The structured result for `value`, JSON; None where the handler has none.

        Raises:
            InvalidResult: `value` does not fit the return annotation.
        """
        if self.output_schema is None:
            return None
        try:
            data = self._written(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidResult(f"the result does not fit the return annotation: {error}") from error
        return b'{"result":%s}' % data if self.wraps_result else data

    def _written(self, value: Any) -> bytes:
        """The JSON of a result that fits; of a subclass of what is promised, only what is promised."""
        kind = type(value)
        if kind is self._result_type and (kind in _ALWAYS_FIT or is_pydantic(kind)):
            return encode(value)
        if self._writer is not None:
            return self._writer.write(value)
        data = encode(value)
        checked = self._result.decode(data)
        return encode(checked) if self._rewrites else data

    def decode_result(self, structured: bytes | msgspec.Raw | None, text: str | None) -> Any:
        """The value that a result stands for, as the return annotation has it.

        Where the annotation promises no data, this is the text, or the structured content as it came.

        Args:
            structured: the JSON of the structured content; None, or nothing, where there is none.
            text: the text of the content.

        Raises:
            InvalidResult: it stands for none.
        """
        if self.returns == "none":
            return None
        if self.returns == "text" or (self.returns != "data" and not structured):
            return text or ""
        if not structured:
            raise InvalidResult("the result has no structured content, which the return annotation promises")
        try:
            if self.wraps_result:
                structured = _wrapped.decode(structured)["result"]
            return self._result.decode(structured)
        except KeyError:
            raise InvalidResult("the structured content does not hold the key 'result'") from None
        except (ValueError, RecursionError) as error:
            raise InvalidResult(f"the result does not fit the return annotation: {error}") from error

    @cached_property
    def decoders(self) -> dict[str, msgspec.json.Decoder[Any]]:
        """One for each parameter: built at the first wrong arguments, which most handlers never see."""
        return {
            parameter.name: msgspec.json.Decoder(parameter.annotation, dec_hook=decode_hook)
            for parameter in self.parameters
        }

    def _unwritable(self, arguments: Mapping[str, Any]) -> str | None:
        """Which of `arguments` has no JSON form, and why; None if each one has."""
        for name, value in arguments.items():
            try:
                encode(value)
            except (TypeError, ValueError, RecursionError) as error:
                return f"argument {name!r} cannot be written as JSON: {error}"
        return None
