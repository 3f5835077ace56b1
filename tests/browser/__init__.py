"""The page in a real browser: `uv run --group browser pytest -m browser`.

They need Debian's Chromium. Without it or Playwright they are skipped, except where CI is set.
"""
