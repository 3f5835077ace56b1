"""The files for browsers: the client for front ends, and the page that the service serves."""
