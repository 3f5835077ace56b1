"""The `todo` command, also as `python -m todo_api`."""

from todo_api.startup import skip_unused_libraries

skip_unused_libraries()

from todo_api.cli import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
