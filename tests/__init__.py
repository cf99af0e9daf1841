"""The tests of pip-retry-patch."""
