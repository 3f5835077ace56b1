"""The `todo` command, also as `python -m todo_api`."""

from todo_api.startup import garbage_kept, skip_unused_libraries

skip_unused_libraries()

with garbage_kept():
    from todo_api.cli import main

if __name__ == "__main__":
    main()
