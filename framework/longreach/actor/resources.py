"""Resources and templates: from a function to a definition, and from what it returns to contents."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET

from longreach.actor.call import Completed, Failed
from longreach.actor.context import Context
from longreach.actor.options import ResourceOptions, kind_of
from longreach.actor.results import Media
from longreach.actor.spec import HandlerSpec, Named, OfferKind, listed_as
from longreach.errors import DeclarationError, InvalidResult
from longreach.wire import codes
from longreach.wire.mcp import CacheScope, ResourceContents
from longreach.wire.resources import ReadResourceResult, Resource, ResourceTemplate
from longreach.wire.schema import HandlerSchema, decode_texts, inspect_handler
from longreach.wire.schema.arguments import shortened
from longreach.wire.uritemplates import UriTemplate, is_uri, parse_template
from longreach.wire.values import encode

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending

_TEXT, _BYTES, _JSON = "text/plain", "application/octet-stream", "application/json"


class Caching(NamedTuple):
    """How long, and for whom, what is read may be kept."""

    ttl_ms: int
    scope: CacheScope


class ResourceSpec(HandlerSpec):
    """A declared resource, or the template of many.

    Attributes:
        definition: what MCP says of it.
        schema: from the template's variables to the function's arguments.
        template: None for a single resource.
    """

    def __init__(
        self,
        owner: Named,
        definition: Resource | ResourceTemplate,
        schema: HandlerSchema,
        function: Callable[..., Any],
        *,
        template: UriTemplate | None,
        caching: Caching,
        **run: Any,
    ) -> None:
        self.listed = listed_as(definition)
        offered: OfferKind = "resource" if template is None else "template"
        super().__init__(owner, offered, self.listed.name, function, **run)
        self.definition = definition
        self.schema = schema
        self.template = template
        self.context_parameter = schema.context_parameter
        self._caching = caching
        self._mime_type = None if definition.mime_type is UNSET else definition.mime_type

    def matches(self, uri: str) -> bool:
        """Whether `uri` is one of this template."""
        return self.template is not None and self.template.match(uri) is not None

    def read(self, call: Call) -> dict[str, Any]:
        """The template's variables, as the function's signature has them."""
        if self.template is None:
            return {}
        return decode_texts(self.schema, self.template.match(call.params.uri) or {})

    def refused(self, problem: str, call: Call) -> Ending:
        """What does not fit the function's types is the URI of nothing."""
        uri = call.params.uri
        return Failed(codes.INVALID_PARAMS, f"there is no resource {shortened(uri)}: {problem}", {"uri": uri})

    def completed(self, value: Any, call: Call) -> Ending:
        """The contents for `value`."""
        if isinstance(value, ReadResourceResult):
            return Completed(value)
        several = value if _is_several(value) else [value]
        contents = [to_contents(one, call.params.uri, self._mime_type) for one in several]
        return Completed(ReadResourceResult(contents, self._caching.ttl_ms, self._caching.scope))


def _is_several(value: Any) -> bool:
    kinds = (str, bytes, bytearray, memoryview, ResourceContents, Media)
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, kinds) for one in value)


def resource_spec(
    owner: Named,
    function: Callable[..., Any],
    stated: ResourceOptions,
    *,
    is_method: bool,
    caching: Caching,
) -> ResourceSpec:
    """The spec of a function as a resource, or as a template of resources.

    Raises:
        DeclarationError: it cannot be one.
    """
    if not is_uri(stated.uri):
        raise DeclarationError(f"{stated.uri!r} is no URI: it begins with a scheme, as in docs://readme")
    template = parse_template(stated.uri)
    schema = inspect_handler(function, context_type=Context, skip_self=is_method, has_result_schema=False)
    _check_variables(stated, template, schema)
    members: dict[str, Any] = {
        "name": str(stated.name or getattr(function, "__name__", "")) or stated.uri,
        "description": stated.description or schema.description or UNSET,
        "mime_type": stated.mime_type or UNSET,
        "annotations": stated.annotations or UNSET,
        **stated.shown(),
    }
    definition: Resource | ResourceTemplate
    if template is not None and stated.size is not None:
        raise DeclarationError(f"{stated.uri}: size is of a single resource, and this is a template of many")
    if template is None:
        definition = Resource(uri=stated.uri, size=UNSET if stated.size is None else stated.size, **members)
    else:
        definition = ResourceTemplate(uri_template=stated.uri, **members)
    kept = Caching(
        caching.ttl_ms if stated.ttl_s is None else round(stated.ttl_s * 1000),
        stated.cache_scope or caching.scope,
    )
    kind = kind_of(function, process=False, is_method=is_method)
    return ResourceSpec(
        owner, definition, schema, function, template=template, caching=kept, kind=kind, **stated.running()
    )


def _check_variables(stated: ResourceOptions, template: UriTemplate | None, schema: HandlerSchema) -> None:
    variables = set(template.variables) if template is not None else set()
    parameters = {parameter.name: parameter for parameter in schema.parameters}
    unknown = sorted(variables - parameters.keys())
    if unknown:
        raise DeclarationError(f"{stated.uri}: the function has no parameter {unknown[0]!r}")
    lacking = [name for name, one in parameters.items() if one.required and name not in variables]
    if lacking:
        raise DeclarationError(f"{stated.uri}: nothing in it says what parameter {lacking[0]!r} is")


def to_contents(value: Any, uri: str, mime_type: str | None) -> ResourceContents:
    """The contents for what a resource's function returned: text, bytes, or data, which becomes JSON.

    Raises:
        InvalidResult: it has no JSON form.
    """
    match value:
        case ResourceContents():
            return value
        case str():
            return ResourceContents(uri=uri, mime_type=mime_type or _TEXT, text=value)
        case bytes() | bytearray() | memoryview():
            blob = base64.b64encode(value).decode()
            return ResourceContents(uri=uri, mime_type=mime_type or _BYTES, blob=blob)
        case Media():
            kind = value.mime_type or mime_type or _BYTES
            return ResourceContents(uri=uri, mime_type=kind, blob=value.encoded())
        case _:
            try:
                text = encode(value).decode()
            except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
                raise InvalidResult(f"what was read has no JSON form: {error}") from error
            return ResourceContents(uri=uri, mime_type=mime_type or _JSON, text=text)
