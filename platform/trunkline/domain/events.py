"""CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from trunkline.domain.errors import BadEvent
from trunkline.domain.ids import new_id

EventType = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=200)]
NonEmpty = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class CloudEvent(BaseModel):
    """One event. ``type`` is dot-separated tokens, because it becomes the end of a NATS subject.

    Attributes other than the specified ones are kept as extensions; their names are lower-case letters and digits.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: Literal["1.0"] = "1.0"
    id: NonEmpty = Field(default_factory=new_id)
    source: NonEmpty
    type: EventType
    subject: NonEmpty | None = None
    time: datetime | None = Field(default_factory=lambda: datetime.now(UTC))
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: Any = None
    data_base64: str | None = None

    @model_validator(mode="after")
    def _check(self) -> CloudEvent:
        if self.data is not None and self.data_base64 is not None:
            raise ValueError("data and data_base64 exclude each other")
        for name, value in (self.model_extra or {}).items():
            if not name.isascii() or not name.isalnum() or not name.islower() or len(name) > 20:
                raise ValueError(f"extension {name!r}: use at most 20 lower-case letters and digits")
            if not isinstance(value, str | int | bool):
                raise ValueError(f"extension {name!r} must be text, an integer or a boolean")  # noqa: TRY004
        return self

    @property
    def identity(self) -> str:
        """What makes a repeat of this event harmless: ``source`` and ``id`` together are unique (section 3.1.1)."""
        return f"{self.source}\x1f{self.id}"

    def to_body(self) -> dict[str, Any]:
        """The structured JSON form, without the attributes that are not set."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_event(body: Any) -> CloudEvent:
    """Validate the decoded JSON of a structured event.

    Raises:
        BadEvent: it is not an object, or an attribute is missing or malformed; the reason names it.
    """
    if not isinstance(body, dict):
        raise BadEvent(reason="the body is not a JSON object")
    for attribute in ("specversion", "id", "source", "type"):
        if attribute not in body:
            raise BadEvent(reason=f"the attribute {attribute!r} is missing")
    try:
        return CloudEvent.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "event"
        raise BadEvent(reason=f"{where}: {first['msg']}") from None
