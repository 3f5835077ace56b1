"""The types of the page, as its comments state them."""

import pytest

from tests.web.typescript import FOLDER, run


@pytest.mark.live
@pytest.mark.parametrize("project", ["tsconfig.page.json", "tsconfig.worker.json"])
def test_the_modules_of_the_page_have_no_errors_in_their_types(project: str) -> None:
    assert run("tsc", "--project", project, cwd=FOLDER) == ""
