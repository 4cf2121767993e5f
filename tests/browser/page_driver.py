"""The page in Debian's Chromium, driven by Selenium: opened from disk, as people do."""

import json
import shutil
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1050",
)
PATIENCE = 60  # seconds, on a machine that is busy


def start_browser(folder):
    """Chromium without a window; its profile and its downloads lie in a folder."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and chromedriver, "chromium and chromedriver are not installed; make test-page does it on Debian"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    return driver


class Page:
    """The page that is open, by what people see and do."""

    def __init__(self, driver, path):
        self.driver = driver
        self.path = path

    def open(self):
        """Open it anew; what was logged before is forgotten."""
        self.driver.get("about:blank")
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.get(self.path.as_uri())
        self.until("return document.body.dataset.ready === 'yes'")
        return self

    def js(self, code, *values):
        return self.driver.execute_script(code, *values)

    def until(self, code, *values):
        """Wait until what the code returns is true."""
        return WebDriverWait(self.driver, PATIENCE, 0.1).until(lambda _: self.js(code, *values), code)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        (element,) = self.all(css)
        return element

    def click(self, css):
        """Click where the element is, once it is in sight."""
        element = self.one(css)
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def set(self, css, value, event):
        """Set a slider or a list as people do."""
        code = (
            "const [e, value, event] = arguments; e.value = value; e.dispatchEvent(new Event(event, {bubbles: true}))"
        )
        self.js(code, self.one(css), value, event)

    def press(self, *keys):
        """Press keys one after another, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key) if key.isupper() else key)

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def requests(self):
        """Addresses of all that was asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [message["params"]["request"]["url"] for message in sent]

    def rows(self):
        """Slicks in the table, from above."""
        return [row.get_attribute("data-slick") for row in self.all("#slicks tbody tr")]

    def chosen(self):
        return [row.get_attribute("data-slick") for row in self.all("#slicks tr[aria-selected=true]")]

    def window(self):
        """Left, top, right, bottom of what the map shows, in pixels of the grid."""
        return self.js(f"const {{x_range: x, y_range: y}} = {model('map')}; return [x.start, y.end, x.end, y.start]")

    def drawn(self, name):
        """A column of what is drawn on the map: of source and column."""
        source, column = name.split(".")
        return self.js(f"return {model(source)}.data.{column}")

    def on_screen(self, x, y):
        """Where in the browser's window a pixel of the grid is drawn."""
        self.js("document.getElementById('map-frame').scrollIntoView({block: 'center', behavior: 'instant'})")
        return self.js(
            f"const view = Bokeh.index.find_one({model('map')}), box = view.el.getBoundingClientRect();"
            "const {x_scale, y_scale} = view.frame, [x, y] = arguments;"
            "return [box.left + x_scale.compute(x), box.top + y_scale.compute(y)].map(Math.round)",
            x,
            y,
        )

    def point(self, x, y, *, click=False, drag=None):
        """Bring the pointer to a pixel of the grid; click there, or drag by so many pixels of the screen."""
        across, down = self.on_screen(x, y)
        actions = ActionBuilder(self.driver)
        pointer = actions.pointer_action
        pointer.move_to_location(across - 3, down - 3).move_to_location(across, down)
        if click:
            pointer.click()
        if drag:
            pointer.pointer_down().move_to_location(across + drag[0] // 2, down + drag[1] // 2)
            pointer.move_to_location(across + drag[0], down + drag[1]).pointer_up()
        actions.perform()

    def saved(self, folder):
        """The file that the button gives."""
        path = folder / "downloads" / "decisions.csv"
        path.unlink(missing_ok=True)
        self.click("#save")
        end = time.monotonic() + PATIENCE
        while not path.is_file():
            assert time.monotonic() < end, "the browser saved nothing"
            time.sleep(0.1)
        return path


def model(name):
    """JavaScript for a part of the map."""
    return f"Bokeh.documents[0].get_model_by_name('{name}')"
