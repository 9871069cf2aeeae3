"""``/health``: whether the server answers. Asks neither the database nor the engine."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)


@router.get("/health")
async def health() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}
