"""All settings: one frozen object, read from ``TRUNKLINE_…`` environment variables; nothing else reads these.

``docs/settings.md`` is made from the descriptions below (``make docs``), the one place to document them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trunkline.domain.ids import check_name


class Settings(BaseSettings):
    """Every process takes these; what a process does not use it ignores."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", frozen=True, extra="ignore")

    # --- where the servers are ---
    nats_url: str = Field(
        "nats://127.0.0.1:4222",
        description="NATS servers, separated by commas. `tls://` turns TLS on; user and password may stand in the URL.",
    )
    nats_credentials: Path | None = Field(None, description="A NATS `.creds` file.")
    nats_token: SecretStr | None = Field(None, description="A NATS token.")
    nats_ca: Path | None = Field(None, description="CA certificates that the NATS servers are checked against.")
    nats_cert: Path | None = Field(None, description="Client certificate for NATS (mutual TLS).")
    nats_key: Path | None = Field(None, description="Private key of `TRUNKLINE_NATS_CERT`.")
    database_url: SecretStr = Field(
        SecretStr("postgresql://postgres@127.0.0.1:5432/trunkline"),
        description="A libpq URL. A Unix socket: `postgresql://user@/database?host=/run/postgresql`; TLS: `sslmode=`.",
    )
    database_schema: str = Field("public", description="The Postgres schema that holds Trunkline's tables.")
    database_pool: int = Field(
        4,
        ge=1,
        le=64,
        description="Most connections of a process's pool; agent workers have two besides, whoever accepts has one.",
    )
    database_pooled: bool = Field(
        False,
        description="`true` behind a pooler in transaction mode, such as PgBouncer: nothing is prepared or kept in "
        "a session, and the role's `search_path` must begin with the schema.",
    )

    schema_wait: float = Field(
        0.0, ge=0, description="Seconds for which a process that starts waits until `trunkline migrate` has been there."
    )

    # --- names ---
    namespace: str = Field("tl", description="First token of every subject, and (upper-case) of every stream's name.")
    tenant: str = Field("default", description="The tenant that workers, sensors and the direct client serve.")

    # --- the bus ---
    nats_replicas: int = Field(1, ge=1, le=5, description="Replicas of each JetStream stream (3 in a cluster).")
    events_max_age: float = Field(7 * 86400.0, gt=0, description="Seconds that events stay on EVENTS.")
    ack_wait: float = Field(3.0, gt=0.1, description="Seconds of silence after which a work item is redelivered.")
    max_deliver: int = Field(20, ge=2, description="Deliveries of one message before it becomes a dead letter.")

    # --- life and death ---
    heartbeat: float = Field(
        0.2,
        gt=0,
        description="Seconds between two heartbeats of a worker, over NATS and through Postgres; while it holds "
        "nothing it beats on both in turn, half as long again apart.",
    )
    lease: float = Field(1.0, gt=0, description="Seconds of silence, on both, after which a worker is declared dead.")
    reconcile_every: float = Field(2.0, gt=0, description="Seconds between two looks for untaken mail and still runs.")
    reconcile_after: float = Field(2.0, gt=0, description="Age in seconds at which untaken mail is woken again.")
    alarm_every: float = Field(
        2.0,
        gt=0,
        description="Most seconds between two looks for due timers and schedules; there is one when the next is due.",
    )
    idle_after: float = Field(20.0, ge=0, description="Seconds after which an activation without work leaves memory.")
    drain: float = Field(20.0, ge=0, description="Seconds that SIGTERM gives to steps that are running.")
    blocked_after: float = Field(
        5.0, gt=0, description="Seconds without a turn of its event loop after which a process ends itself."
    )
    takeovers: int = Field(3, ge=1, description="Takeovers without progress at which an instance's runs are parked.")

    # --- bounds ---
    max_payload: int = Field(
        4 * 1024 * 1024, ge=1024, description="Most bytes of an input, an event or a step's result."
    )
    offload_over: int = Field(256 * 1024, ge=1024, description="Bytes above which a payload is kept aside in Postgres.")
    snapshot_after: int = Field(
        50, ge=1, description="Journal entries after which an instance without an open run gets a new snapshot."
    )
    max_activations: int = Field(
        10_000, ge=1, description="Instances that one agent worker holds at once. Sleeping ones make room for others."
    )
    max_mailbox: int = Field(
        10_000,
        ge=1,
        description="Untaken letters of one instance beyond which requests, events and signals for it are refused.",
    )
    max_accepts: int = Field(
        2048,
        ge=1,
        description="Requests that one gateway takes in at once, until what they ask for is committed; more are sent "
        "away with 503. Where several tenants have keys, one tenant's may be three quarters of these; more get 429.",
    )
    max_backlog: int = Field(
        10_000,
        ge=1,
        description="Instances of one agent that wait for a worker, beyond which a gateway begins no more of its runs "
        "and answers 503.",
    )
    max_issued: int = Field(
        256, ge=1, description="Tool and model calls of one instance on the bus at once; its further ones wait."
    )
    memory_limit: int = Field(
        0,
        ge=0,
        description="Resident bytes of an agent worker above which sleeping instances leave its memory; "
        "0: half of what its container or machine has.",
    )
    llm_concurrency: int = Field(64, ge=1, description="Model calls at once in one LLM worker.")
    stream_max_age: float = Field(600.0, gt=0, description="Seconds that tokens and progress stay readable.")

    # --- retention ---
    retention_days: float = Field(
        0.0,
        ge=0,
        description="Days for which ended runs are kept, with their journals, mail and idempotency keys; 0: for ever.",
    )
    retention_every: float = Field(300.0, gt=0, description="Seconds between two looks for what is older.")

    # --- the gateway ---
    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that the gateway listens on; 0 takes a free one.")
    api_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        description="API keys with their tenants: `tenant=key,tenant=key`. Needed beyond loopback.",
    )
    gateway_url: str = Field(
        "http://127.0.0.1:8080", description="Where the client and the command line find the gateway."
    )
    api_key: SecretStr | None = Field(None, description="The key that the client and the command line send.")

    # --- operations ---
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's `/healthz`, `/readyz` and `/metrics`.")
    metrics_port: int = Field(0, ge=-1, le=65535, description="Port of these; 0 takes a free one, -1 turns them off.")
    log_level: str = Field("info", description="`debug`, `info`, `warning` or `error`.")
    log_format: str = Field("auto", description="`json`, `console`, or `auto`: console on a terminal, JSON elsewhere.")

    # --- models ---
    model: str | None = Field(None, description="Overrides the model of every model-driven agent (used by the demo).")
    model_api_base: str | None = Field(
        None, description="Base URL of an OpenAI-compatible server for every model call."
    )

    # --- audits and testing ---
    executions_log: Path | None = Field(
        None, description="File to which tool and LLM workers add a JSON line as each execution begins (`check`)."
    )
    fault: str = Field("", description="`point=action[:seconds]`: act at a named fault point. For tests only.")

    @field_validator("api_keys", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs: dict[str, str] = {}
        for pair in filter(None, (part.strip() for part in value.split(","))):
            tenant, separator, key = pair.partition("=")
            if not separator or len(key) < 16:
                raise ValueError("write tenant=key,tenant=key with keys of at least 16 characters")
            pairs[check_name("tenant", tenant)] = key
        return pairs

    @field_validator("namespace", "tenant")
    @classmethod
    def _token(cls, value: str) -> str:
        return check_name("subject token", value)
