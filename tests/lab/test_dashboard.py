# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard as a person uses it: log in, launch a server, see it listed. Needs chromium and chromium-driver."""

from __future__ import annotations

import shutil
import typing as t

import pytest
from openstack.connection import Connection
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from standing_lab import ROOT, account, connected

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

NAME = "dashboard-1"
NETWORK = "dashboard"
WAIT_S = 120
# The steps of the form that need a choice, with what is chosen in each.
CHOICES = {"Source": "guest", "Flavor": "small", "Networks": NETWORK}
ARGUMENTS = ("--headless=new", "--no-sandbox", "--ignore-certificate-errors", "--window-size=1280,900")


class Browser:
    """A headless Chromium on the dashboard at ``address``. Every wait is for something shown, and bounded."""

    def __init__(self, address: str) -> None:
        options = webdriver.ChromeOptions()
        for argument in ARGUMENTS:
            options.add_argument(argument)
        # Named, so that nothing looks for another driver in the internet.
        found = shutil.which("chromedriver")
        assert found, "this machine has no chromedriver; scripts/test cloud installs it"
        service = webdriver.ChromeService(executable_path=found)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(WAIT_S)
        self.address = address

    def open(self, path: str) -> None:
        self.driver.get(f"https://{self.address}{path}")

    def find(self, xpath: str) -> WebElement:
        """The first shown element at ``xpath``."""

        def shown(driver: webdriver.Chrome) -> WebElement | None:
            return next((each for each in driver.find_elements(By.XPATH, xpath) if each.is_displayed()), None)

        wait = WebDriverWait(self.driver, WAIT_S, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(shown, f"{xpath} was not shown within {WAIT_S} s at {self.driver.current_url}")

    def click(self, xpath: str) -> None:
        """Click as a script does, since a menu may lie above the element."""
        self.driver.execute_script("arguments[0].click()", self.find(xpath))


@pytest.fixture
def project() -> Iterator[Connection]:
    """The project of the demonstration with a network; the network and the server are gone in the end."""
    with connected("demo") as cloud:
        network = cloud.network.create_network(name=NETWORK)
        try:
            cloud.network.create_subnet(name=NETWORK, network_id=network.id, ip_version=4, cidr="192.168.251.0/24")
            yield cloud
        finally:
            cloud.delete_server(NAME, wait=True, timeout=WAIT_S)
            cloud.network.delete_network(network)


@pytest.fixture
def browser() -> Iterator[Browser]:
    browser = Browser(account("demo")["auth"]["auth_url"].split("/")[2].partition(":")[0])
    yield browser
    browser.driver.quit()


def test_a_server_is_launched_and_listed(browser: Browser, project: Connection) -> None:
    login = account("demo")["auth"]
    browser.open("/")
    browser.find("//input[@id='id_username']").send_keys(login["username"])
    browser.find("//input[@id='id_password']").send_keys(login["password"])
    browser.click("//button[@id='loginBtn']")
    browser.find("//nav//*[contains(., 'demo')]")

    browser.open("/horizon/project/instances/")
    browser.click("//*[@id='instances__action_launch-ng']")
    browser.find("//input[@name='name']").send_keys(NAME)
    for step, choice in CHOICES.items():
        browser.click(f"//li[contains(@class, 'nav-item')]//*[normalize-space(text())='{step}']")
        button = browser.find(f"//tr[td[normalize-space()='{choice}']]//button[contains(@class, 'fa-arrow')]")
        # What is the only one of its kind is chosen already.
        if "fa-arrow-up" in button.get_attribute("class"):
            button.click()
    browser.click("//button[contains(@class, 'finish')]")
    browser.find(f"//table[@id='instances']//a[normalize-space()='{NAME}']")

    server = project.compute.wait_for_server(project.compute.find_server(NAME), wait=WAIT_S)
    assert server.status == "ACTIVE"
    browser.open("/horizon/project/instances/")
    browser.find(f"//table[@id='instances']//tr[.//a[normalize-space()='{NAME}']]//td[normalize-space()='Active']")
    browser.driver.save_screenshot(str(ROOT / "reports" / "dashboard.png"))


def test_a_wrong_password_is_refused(browser: Browser) -> None:
    browser.open("/")
    browser.find("//input[@id='id_username']").send_keys("demo")
    browser.find("//input[@id='id_password']").send_keys("wrong")
    browser.click("//button[@id='loginBtn']")
    browser.find("//*[contains(text(), 'Invalid credentials')]")
