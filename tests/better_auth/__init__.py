"""A real Better Auth, so that tests send the tokens which stock front ends send."""
