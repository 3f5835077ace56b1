"""The least that an endpoint of this framework can do: the ceiling for everything built on it."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def answer() -> dict[str, bool]:
    """Say that all is well."""
    return {"ok": True}
