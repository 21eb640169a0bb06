"""What a schedule gives to the handler that it starts."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Tick(BaseModel):
    """One occurrence of a schedule: declare it as a handler's input to be told which one it is."""

    model_config = ConfigDict(frozen=True)

    due_at: AwareDatetime = Field(description="when it was due, in the schedule's time zone; not when the run began")
    schedule: str = Field(description="the schedule's name")
