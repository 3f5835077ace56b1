"""Limits on large responses in flight, for one user and for all users."""

from todo_api.http.large_responses import (
    MAX_BYTES_FOR_ALL_USERS,
    MAX_BYTES_PER_USER,
    ResponsesInFlight,
)

HALF = MAX_BYTES_PER_USER // 2


def test_responses_beyond_the_maximum_of_a_user_are_refused_until_one_is_read() -> None:
    in_flight = ResponsesInFlight()
    assert in_flight.add("ada", HALF)
    assert in_flight.add("ada", HALF)
    assert not in_flight.add("ada", 1)
    assert in_flight.add("bob", HALF)
    in_flight.remove("ada", HALF)
    assert in_flight.add("ada", HALF)


def test_the_only_response_in_flight_of_a_user_is_sent_at_any_size() -> None:
    in_flight = ResponsesInFlight()
    assert in_flight.add("ada", 2 * MAX_BYTES_PER_USER)
    assert not in_flight.add("ada", 1)


def test_each_user_may_have_one_response_when_the_maximum_of_all_users_is_reached() -> None:
    in_flight = ResponsesInFlight()
    users = [f"user {number}" for number in range(MAX_BYTES_FOR_ALL_USERS // HALF)]
    assert all(in_flight.add(user, HALF) for user in users)
    assert not in_flight.add(users[0], 1)
    assert in_flight.add("ada", HALF)
    for user in users:
        in_flight.remove(user, HALF)
    assert in_flight.add("ada", 1)
