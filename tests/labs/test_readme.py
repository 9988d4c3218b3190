from moe_keras.labs.readme import BEGIN, END, badges, labs_table, renew, repository, update


def test_without_an_address_there_are_no_badges(lab):
    assert labs_table([lab], None).splitlines() == [
        "| Lab | Minutes to run | You learn to | Student's copy | Solution |",
        "| --- | ---: | --- | --- | --- |",
        "| 01 sums and more | 5 | add two numbers | [notebook](notebooks/01_sums.ipynb) "
        "| [solved](notebooks/solutions/01_sums.ipynb) |",
    ]


def test_an_address_on_github_brings_badges():
    colab, binder = badges("notebooks/01_a.ipynb", "https://github.com/some-one/some.repo")
    assert colab.endswith(
        "(https://colab.research.google.com/github/some-one/some.repo/blob/main/notebooks/01_a.ipynb)"
    )
    assert binder.endswith(
        "(https://mybinder.org/v2/gh/some-one/some.repo/main?labpath=notebooks%2F01_a.ipynb)"
    )
    assert badges("a", "https://github.com/some-one/some.repo.git/") == badges(
        "a", "https://github.com/some-one/some.repo"
    )


def test_an_address_elsewhere_brings_none():
    assert badges("a.ipynb", "https://example.org/some-one/repo") == []


def test_the_table_is_renewed_between_its_markers(lab):
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = renew(text, [lab], None)
    assert once.startswith(f"before\n{BEGIN}\n| Lab |")
    assert once.endswith(f"|\n{END}\nafter\n")
    assert renew(once, [lab], None) == once
    assert renew("no markers", [lab], None) == "no markers"


def test_the_setting_is_read_from_pyproject(lab, tmp_path):
    pyproject, readme = tmp_path / "pyproject.toml", tmp_path / "README.md"
    pyproject.write_text('[project]\nname = "x"\n')
    assert repository(pyproject) is None
    pyproject.write_text('[project.urls]\nRepository = "https://github.com/a/b"\n')
    readme.write_text(f"{BEGIN}\n{END}\n")
    update(readme, [lab])
    assert "colab.research.google.com/github/a/b/" in readme.read_text()
