"""The page and the client for browsers: static files, which `todo_api.http` serves."""
