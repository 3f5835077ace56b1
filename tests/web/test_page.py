"""The modules of the page are checked by the TypeScript compiler, as those of the client are."""

import pytest

from tests.web.typescript import FOLDER, run


@pytest.mark.live
@pytest.mark.parametrize("project", ["tsconfig.page.json", "tsconfig.worker.json"])
def test_the_modules_of_the_page_have_no_error_in_their_types(project: str) -> None:
    run("tsc", "--project", project, cwd=FOLDER)
