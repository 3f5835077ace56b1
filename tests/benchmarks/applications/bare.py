"""The smallest endpoint of this framework, which is the upper limit for every application on it."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def answer() -> dict[str, bool]:
    """Return a constant response."""
    return {"ok": True}
