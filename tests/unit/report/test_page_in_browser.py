"""The page as a browser shows it."""

import re
import shutil
import subprocess

import pytest

from simulator.report.page import write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=4000",
    "--enable-logging=stderr", "--v=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    def open_page(*answers):
        folder = tmp_path_factory.mktemp("page")
        write_page(answers, folder / "report.html", title="Four schedules")
        address = (folder / "report.html").as_uri()
        command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", address]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)

    return open_page


@pytest.fixture(scope="module")
def one(opened, make_answer):
    return opened(make_answer())


@pytest.fixture(scope="module")
def several(opened, make_answer, infeasible):
    return opened(make_answer("sequential"), make_answer("sbo"), infeasible)


def rendered(run):
    """The page after its scripts ran, without them."""
    return re.sub(r"<script.*?</script>", "", run.stdout, flags=re.DOTALL)


def n_drawn(page):
    return page.count('class="plot js-plotly-plot"')


def test_every_plot_of_one_answer_is_drawn(one):
    page = rendered(one)
    assert "128 GPUs reach" in page
    assert n_drawn(page) == page.count("<figure>") == 4
    assert page.count('class="main-svg"') >= 4
    assert page.count('class="updatemenu-button"') == 4
    assert len(re.findall(r'class="point"', page)) > 100


def test_several_answers_are_drawn_with_their_comparison(several):
    page = rendered(several)
    # three of the comparison, four for each answer that fits, the memory of the one that does not
    assert n_drawn(page) == page.count("<figure>") == 3 + 2 * 4 + 1
    assert "The same as sequential in every time: sbo." in page


def test_the_browser_has_nothing_to_complain_about(one, several):
    assert [line for run in (one, several) for line in run.stderr.splitlines() if "CONSOLE" in line] == []


def test_nothing_is_fetched_and_nothing_can_be_sent(one, several):
    for page in map(rendered, (one, several)):
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
        assert "Share chart" not in page
