from __future__ import annotations

import pytest

from analyzer import options
from analyzer.pytest_plugin import options as plugin_options


def test_severities_are_those_of_the_command() -> None:
    assert set(plugin_options.FAIL_ON) == set(options.FAIL_ON)


@pytest.mark.parametrize(("mark", "message"), [("colour=1", "no option 'colour'"), ("fail_on='fatal'", "fail_on='fatal' is not one of")])
def test_an_option_that_does_not_exist_is_refused(project: pytest.Pytester, mark: str, message: str) -> None:
    project.makepyfile(f"""
        import pytest

        @pytest.mark.pcaplint({mark})
        def test_marker(pcaplint):
            pass
    """)
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{message}*"])
