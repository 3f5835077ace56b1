"""A real Better Auth, so that tests can send the tokens that stock front ends send."""
