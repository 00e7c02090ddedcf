"""Completion of the arguments of prompts and of the variables of templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from longreach.actor.call import Completed
from longreach.actor.context import Context
from longreach.actor.options import kind_of
from longreach.actor.spec import HandlerSpec, Named
from longreach.errors import DeclarationError, InvalidResult
from longreach.wire.completion import CompleteResult, Completion, argument_of, first_values
from longreach.wire.schema import inspect_handler

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending


class CompletionSpec(HandlerSpec):
    """A function that completes one argument.

    Attributes:
        of: what has the argument: a prompt or a template, and its name.
    """

    def __init__(
        self,
        owner: Named,
        of: tuple[Literal["prompt", "template"], str],
        argument: str,
        function: Callable[..., Any],
    ) -> None:
        name = argument_of(*of, argument)
        schema = inspect_handler(function, context_type=Context, has_result_schema=False)
        parameters = [parameter.name for parameter in schema.parameters]
        if not 1 <= len(parameters) <= 2:
            raise DeclarationError(
                f"{name}: its completion takes the text so far and, if it likes, the dict of the arguments "
                f"that are settled: (value) or (value, arguments), not ({', '.join(parameters)})"
            )
        kind = kind_of(function, process=False, is_method=False)
        super().__init__(owner, "completion", name, function, kind)
        self.of = of
        self.context_parameter = schema.context_parameter
        self._parameters = parameters

    def read(self, call: Call) -> dict[str, Any]:
        """The text so far, and the settled arguments where the function wants them."""
        params: Any = call.params
        return dict(zip(self._parameters, (params.argument.value, params.context.arguments), strict=False))

    def completed(self, value: Any, call: Call) -> Ending:
        """The values to choose from."""
        return Completed(to_completion(value))


def to_completion(value: Any) -> CompleteResult:
    """The result for what a completion's function returned: texts, a `Completion`, or None for nothing.

    Raises:
        InvalidResult: it is none of them.
    """
    if isinstance(value, CompleteResult):
        return value
    if isinstance(value, Completion):
        return CompleteResult(value)
    if isinstance(value, str):
        raise InvalidResult("a completion returns a list of texts, not one text")
    values: list[Any] = list(value) if isinstance(value, Iterable) else [] if value is None else [value]
    if not all(isinstance(one, str) for one in values):
        raise InvalidResult("a completion returns a list of texts, and nothing else in it")
    return CompleteResult(first_values(values))
