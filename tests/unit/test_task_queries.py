"""Reading the query parameters of lists."""

import time

import pytest
from fastapi import Request

from todo_api.http.task_queries import list_request
from todo_core.errors import ValidationFailed

LONGEST_QUERY = 8 * 1024


@pytest.mark.parametrize("text", ["T" * 8_000, "T" * 7_000 + "+00:00", "T+" * 4_000])
def test_a_time_that_fills_the_query_is_refused_at_once(text: str) -> None:
    query = f"created_after={text}"
    assert len(query) <= LONGEST_QUERY
    request = Request({"type": "http", "query_string": query.encode(), "headers": []})
    began = time.process_time()
    with pytest.raises(ValidationFailed):
        list_request(request)
    # A regular expression that tries every beginning takes half a second.
    assert time.process_time() - began < 0.1
