"""The gateway's FastAPI application."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.types import ASGIApp

from trunkline.domain.codec import dumps
from trunkline.gateway import catalog, deploying, door, measure, paths, problems, repair, shortcut, streams
from trunkline.gateway.desk import Desk
from trunkline.gateway.routes import router
from trunkline.observe import metrics


def layered(desk: Desk) -> ASGIApp:
    """The application with its layers, from the outside in: paths, measuring, the bound, the shortcut."""
    return paths.Segments(measure.Measure(door.Doorkeeper(shortcut.Shortcut(create_app(desk)), desk.door)))


def create_app(desk: Desk) -> FastAPI:
    """All routes, on the given desk."""
    app = FastAPI(
        title="Trunkline",
        description="Event-driven agents: start runs, signal them, read what became true.",
        responses=problems.RESPONSES,
    )
    app.state.desk = desk
    problems.install(app)
    app.include_router(catalog.router)
    app.include_router(deploying.router)
    app.include_router(repair.router)
    app.include_router(streams.router)
    app.include_router(router)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether Postgres and NATS are reached; 503 names what is missing."""
        missing = await desk.ready()
        body = {"status": "unready" if missing else "ready", "missing": missing}
        return Response(dumps(body), status_code=503 if missing else 200, media_type="application/json")

    @app.get("/metrics")
    async def show_metrics() -> Response:
        """Prometheus's text format."""
        return Response(metrics.expose(), media_type=metrics.CONTENT_TYPE)

    return app
