"""The files of the page and of the client for browsers. `todo_api.http.front_end` serves them."""
